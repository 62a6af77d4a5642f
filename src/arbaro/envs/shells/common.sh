# SPDX-License-Identifier: Apache-2.0
# For bash and zsh. A switch reads the index and sets variables of this shell only; no process is started for it unless
# clouds.yaml has changed or keystone must be asked for a credential.

arbaro() {
    case "${1-} ${2-}" in
        'env use') shift 2; __arbaro_use "$@" ;;
        'env current') if (( $# == 2 )); then __arbaro_current; else "$__arbaro_command" "$@"; fi ;;
        *) "$__arbaro_command" "$@" ;;
    esac
}

# Sets __arbaro_clouds and __arbaro_secure to the files that count. The index names all files that it was made from, in
# its second line; beside it lies an empty file for each that existed, with the same time stamp.
__arbaro_fresh() {
    __arbaro_is_fresh && return
    "$__arbaro_command" shell-init --refresh && __arbaro_is_fresh "$?"
}

# With an argument, what has changed since the index was made a moment ago does not count.
__arbaro_is_fresh() {
    local none version key rest place stamp at=0
    [[ -r $__arbaro_index ]] || return
    {
        IFS=$'\x1f' read -r none version key __arbaro_clouds __arbaro_secure
        IFS= read -r rest
    } < "$__arbaro_index"
    [[ $version == arbaro-index-2 ]] || return
    (( $# == 0 )) || return 0
    rest=${rest#$'\x1f'}
    while [[ -n $rest ]]; do
        place=${rest%%$'\x1f'*}
        rest=${rest#"$place"}
        rest=${rest#$'\x1f'}
        (( at += 1 ))
        stamp=$__arbaro_index.$key/$at
        if [[ -e $place ]]; then
            [[ -e $stamp && ! $place -nt $stamp && ! $place -ot $stamp ]] || return
        elif [[ -e $stamp ]]; then
            return 1
        fi
    done
}

__arbaro_use() {
    local name= mode= project= word
    for word in "$@"; do
        case $word in
            --read-only|--write|--plain) mode=${word#--} ;;
            --project=*) project=${word#*=} ;;
            --*|-?*) __arbaro_slowly "$@"; return ;;
            -) name=${ARBARO_ENV_BEFORE:--} ;;
            *) [[ -z $name ]] || { __arbaro_slowly "$@"; return; }; name=$word ;;
        esac
    done
    [[ -n $name ]] || { __arbaro_slowly "$@"; return; }
    if [[ $mode == write || -n $project ]]; then __arbaro_slowly "$@"; return; fi
    __arbaro_fresh || return
    local slug found kind cloud os_region region of_project user url secret fault now= ends=
    while IFS=$'\x1f' read -r slug found kind cloud os_region region of_project user url secret fault; do
        [[ $found == "$name" && -n $slug ]] && break
        found=
    done < "$__arbaro_index"
    [[ -n $found && -z $fault ]] || { __arbaro_slowly "$@"; return; }
    if [[ -z $mode ]]; then
        mode=plain
        [[ $secret == file || $secret == nowhere ]] || mode=session
        [[ $kind == production ]] && mode=read-only
    elif [[ $mode == plain && $kind == production ]]; then
        __arbaro_slowly "$@"; return
    fi
    local config=$__arbaro_clouds secure=$__arbaro_secure
    if [[ $mode != plain ]]; then
        config=$__arbaro_views/$slug.$mode.yaml secure=$config
        __arbaro_now
        [[ -r $config && ! $__arbaro_clouds -nt $config ]] && read -r word word word ends word < "$config"
        (( ${ends:-0} > now + 300 )) || { __arbaro_slowly "$@"; return; }
    elif [[ -n $os_region ]]; then
        # Programs that use openstacksdk take the region from the file only.
        config=$__arbaro_views/$slug.plain.yaml
        [[ -r $config ]] || { __arbaro_slowly "$@"; return; }
    fi
    __arbaro_enter "$found" "$kind" "$cloud" "$os_region" "$region" "$of_project" "$mode" "$ends" "$config" "$secure"
}

# What keystone or a person must be asked about. The answer is one call of __arbaro_enter or __arbaro_leave, with a seal
# before it; anything else (help, for example) is text for the person, and is never evaluated.
__arbaro_slowly() {
    local answer seal='#arbaro# '
    answer=$("$__arbaro_command" env use --shell "$__arbaro_shell" "$@") || return
    case $answer in
        "$seal"__arbaro_enter\ *|"$seal"__arbaro_leave) eval "${answer#"$seal"}" ;;
        *) printf '%s\n' "$answer" ;;
    esac
}

# name kind cloud os_region region project mode ends config secure
__arbaro_enter() {
    [[ ${ARBARO_ENV-} == "$1" ]] || export ARBARO_ENV_BEFORE=${ARBARO_ENV-}
    __arbaro_clear
    export OS_CLOUD=$3 OS_CLIENT_CONFIG_FILE=$9 OS_CLIENT_SECURE_FILE=${10}
    [[ -z $4 ]] || export OS_REGION_NAME=$4
    export ARBARO_ENV=$1 ARBARO_ENV_KIND=$2 ARBARO_ENV_REGION=$5 ARBARO_ENV_PROJECT=$6 ARBARO_ENV_MODE=$7
    export ARBARO_ENV_UNTIL=$8 ARBARO_ENV_IS="$3|$9|${10}|$4|"
    __arbaro_token
}

__arbaro_leave() {
    [[ -z ${ARBARO_ENV-} ]] || export ARBARO_ENV_BEFORE=$ARBARO_ENV
    __arbaro_clear
    unset ARBARO_ENV ARBARO_ENV_KIND ARBARO_ENV_REGION ARBARO_ENV_PROJECT ARBARO_ENV_MODE ARBARO_ENV_UNTIL ARBARO_ENV_IS
    [[ -z ${ARBARO_ENV_CLOUDS-} ]] || export OS_CLIENT_CONFIG_FILE=$ARBARO_ENV_CLOUDS
    [[ -z ${ARBARO_ENV_SECURE-} ]] || export OS_CLIENT_SECURE_FILE=$ARBARO_ENV_SECURE
}

__arbaro_current() {
    __arbaro_text
    [[ -n $__arbaro_words ]] || { echo 'No environment is chosen. Next: arbaro env use NAME' >&2; return 1; }
    printf '%s\n' "$__arbaro_words"
}

# The client's own login is cached by openstacksdk; how long it lasts is written beside it. Read here, not in the prompt.
openstack() {
    if __arbaro_has openstack; then command openstack "$@"; else "${__arbaro_command%/*}/openstack" "$@"; fi
    local code=$?
    __arbaro_token
    return $code
}

__arbaro_token() {
    [[ ${ARBARO_ENV_MODE-} == plain ]] || return 0
    local ends= file="$__arbaro_tokens/${ARBARO_ENV//\//_}.until"
    [[ -r $file ]] && read -r ends < "$file"
    ARBARO_ENV_UNTIL=$ends
}

# Sets __arbaro_words and __arbaro_colour from this shell's variables and the clock; the prompt calls nothing else.
__arbaro_text() {
    __arbaro_words= __arbaro_colour=
    local stray now ends left
    __arbaro_stray
    if [[ -z ${ARBARO_ENV-} ]]; then
        [[ -n $stray ]] || stray=${OS_CLOUD:+OS_CLOUD}
        [[ -z $stray ]] || { __arbaro_words="! $stray set by hand"; __arbaro_colour=stray; }
        return 0
    fi
    if [[ -n $stray ||
        "${OS_CLOUD-}|${OS_CLIENT_CONFIG_FILE-}|${OS_CLIENT_SECURE_FILE-}|${OS_REGION_NAME-}|${OS_PROJECT_NAME-}" != "$ARBARO_ENV_IS" ]]; then
        __arbaro_words="! no longer $ARBARO_ENV: ${stray:-OS_…} set by hand" __arbaro_colour=stray
        return 0
    fi
    __arbaro_colour=$ARBARO_ENV_KIND
    __arbaro_words=$ARBARO_ENV
    [[ -z $ARBARO_ENV_REGION || $ARBARO_ENV == *"/$ARBARO_ENV_REGION" ]] || __arbaro_words+=" $ARBARO_ENV_REGION"
    [[ -z $ARBARO_ENV_PROJECT ]] || __arbaro_words+=" $ARBARO_ENV_PROJECT"
    case $ARBARO_ENV_MODE in
        read-only) __arbaro_words+=' read-only' ;;
        write) __arbaro_words+=' WRITE'; __arbaro_colour=write ;;
    esac
    if [[ -n $ARBARO_ENV_UNTIL ]]; then
        __arbaro_now
        left=$(( ARBARO_ENV_UNTIL - now ))
        if (( left <= 0 )); then
            [[ $ARBARO_ENV_MODE == plain ]] || __arbaro_words+=' over'
        elif (( left < 6000 )); then
            __arbaro_words+=" $(( (left + 59) / 60 ))m"
        else
            __arbaro_words+=" $(( left / 3600 ))h"
        fi
    fi
    [[ ${ARBARO_ENV_DEPTH:-0} == 0 ]] || __arbaro_words+=" ↳$ARBARO_ENV_DEPTH"
}
