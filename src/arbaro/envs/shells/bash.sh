# SPDX-License-Identifier: Apache-2.0
__arbaro_now() { now=$EPOCHSECONDS; }

__arbaro_has() { type -P "$1" >/dev/null; }

__arbaro_clear() {
    local name
    for name in "${!OS_@}"; do unset "$name"; done
}

__arbaro_stray() {
    local name
    stray=
    for name in "${!OS_@}"; do
        case $name in
            OS_CLOUD|OS_CLIENT_CONFIG_FILE|OS_CLIENT_SECURE_FILE|OS_REGION_NAME|OS_PROJECT_NAME) ;;
            *) stray=$name; return ;;
        esac
    done
}

__arbaro_prompt() {
    local code=$?
    __arbaro_text
    __arbaro_segment=
    [[ -z $__arbaro_words ]] || case $__arbaro_colour in
        development) __arbaro_segment=$'\001\e[32m\002['"$__arbaro_words"$']\001\e[0m\002 ' ;;
        test) __arbaro_segment=$'\001\e[33m\002['"$__arbaro_words"$']\001\e[0m\002 ' ;;
        write|stray) __arbaro_segment=$'\001\e[1;97;41m\002['"$__arbaro_words"$']\001\e[0m\002 ' ;;
        *) __arbaro_segment=$'\001\e[1;31m\002['"$__arbaro_words"$']\001\e[0m\002 ' ;;
    esac
    __arbaro_place
    __arbaro_last
    return $code
}

# Puts the segment at the prompt's begin, again if starship or its like has made the prompt anew. A variable is expanded
# once: what a name contains is printed, not executed. The braces part it from what follows.
__arbaro_place() {
    [[ ${ARBARO_PROMPT-} != off ]] || return 0
    if shopt -q promptvars; then
        [[ ${PS1-} == *__arbaro_segment* ]] || PS1='${__arbaro_segment}'${PS1-}
    else
        PS1=${PS1//"${__arbaro_placed-}"/}
        __arbaro_placed=${__arbaro_segment//\\/\\\\}
        PS1=$__arbaro_placed$PS1
    fi
}

# Ours comes after all others, which may make the prompt anew.
__arbaro_last() {
    local all last
    if [[ -n ${bash_preexec_imported-}${__bp_imported-} ]]; then
        # bash-preexec wants PROMPT_COMMAND for itself.
        all=("${precmd_functions[@]-}")
        [[ ${all[*]: -1} == __arbaro_prompt ]] || precmd_functions+=(__arbaro_prompt)
        return 0
    fi
    all=("${PROMPT_COMMAND[@]-}")
    # Before 5.1 only the first element counts.
    (( BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501 )) || all=("${all[0]}")
    last=${all[*]: -1}
    [[ $last != *__arbaro_prompt ]] || return 0
    if (( ${#all[@]} > 1 )); then
        PROMPT_COMMAND+=(__arbaro_prompt)
    else
        while [[ $last == *[\;[:space:]] ]]; do last=${last%?}; done
        PROMPT_COMMAND="${last:+$last; }__arbaro_prompt"
    fi
}

__arbaro_segment=
__arbaro_place
__arbaro_last

__arbaro_names() {
    __arbaro_fresh 2>/dev/null
    local slug name rest
    while IFS=$'\x1f' read -r slug name rest; do
        if [[ -n $slug && $name == "$1"* ]]; then printf -v name %q "$name"; COMPREPLY+=("$name"); fi
    done < "$__arbaro_index"
} 2>/dev/null

__arbaro_projects() {
    local all file="$__arbaro_projects_dir/${1//\//_}"
    [[ -r $file ]] || return
    mapfile -t all < "$file"
    local IFS=$'\n' project
    for project in "${all[@]}"; do [[ $project == "$2"* ]] && COMPREPLY+=("${3-}$project"); done
}

__arbaro_complete() {
    local cur=${COMP_WORDS[COMP_CWORD]} IFS=$' \t\n'
    COMPREPLY=()
    if (( COMP_CWORD == 1 )); then
        COMPREPLY=($(compgen -W "$__arbaro_verbs" -- "$cur"))
    elif [[ ${COMP_WORDS[1]} == env && COMP_CWORD -eq 2 ]]; then
        local word
        for word in $__arbaro_env_verbs; do [[ $word == "$cur"* ]] && COMPREPLY+=("$word"); done
    elif [[ ${COMP_WORDS[1]} == env ]]; then
        __arbaro_complete_env
    else
        # The other verbs, and the names of personal clouds, from click itself.
        COMPREPLY=($(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD _ARBARO_COMPLETE=bash_complete "$__arbaro_command" | sed 's/^plain,//;/,/d'))
    fi
}

__arbaro_complete_env() {
    local cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[2]} at
    for (( at = 3; at < COMP_CWORD; at++ )); do
        if [[ ${COMP_WORDS[at]} == -- ]]; then
            __arbaro_complete_rest $(( at + 1 )); return
        fi
    done
    if [[ ${COMP_WORDS[COMP_CWORD-1]} == --project ]]; then
        __arbaro_projects "${COMP_WORDS[3]}" "$cur"; return
    fi
    case $cur in
        -*) local word; for word in $__arbaro_env_options; do [[ $word == "$cur"* ]] && COMPREPLY+=("$word"); done; return ;;
    esac
    case $verb in
        import) compopt -o default; COMPREPLY=() ;;
        mark) if (( COMP_CWORD > 3 )); then COMPREPLY=($(compgen -W "development test production" -- "$cur")); else __arbaro_names "$cur"; fi ;;
        *) __arbaro_names "$cur" ;;
    esac
}

# After `--` stands another command: its own completion, for openstack ours.
__arbaro_complete_rest() {
    if (( COMP_CWORD == $1 )); then COMPREPLY=($(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")); return; fi
    [[ ${COMP_WORDS[$1]} == openstack ]] || { compopt -o default; return; }
    COMP_WORDS=("${COMP_WORDS[@]:$1}")
    COMP_CWORD=$(( COMP_CWORD - $1 ))
    __arbaro_complete_openstack
}

# The client's verbs and options, as `openstack complete` gave them, one line for each group of words.
__arbaro_complete_openstack() {
    local cur=${COMP_WORDS[COMP_CWORD]} path= key words found= word at skip=
    COMPREPLY=()
    if [[ ${COMP_WORDS[COMP_CWORD-1]} == --os-cloud ]]; then __arbaro_names "$cur"; return; fi
    [[ -r $__arbaro_openstack_words/.first ]] || { ("$__arbaro_command" shell-init --openstack >/dev/null 2>&1 &); return; }
    for (( at = 1; at < COMP_CWORD; at++ )); do
        word=${COMP_WORDS[at]}
        if [[ -n $skip ]]; then skip=; continue; fi
        case $word in
            --os-*) [[ $word == *=* ]] || skip=1 ;;
            -*) ;;
            *) path+=${path:+ }$word ;;
        esac
    done
    local file="$__arbaro_openstack_words/${path%% *}"
    [[ -n $path ]] || file="$__arbaro_openstack_words/.first"
    [[ -r $file ]] || return
    # The longest group that the words so far begin with; what follows a whole command is its arguments.
    while IFS=$'\t' read -r key words; do
        if [[ -z $key && -z $path ]] || [[ "$path " == "$key "* && ${#key} -ge ${#found} && -n $key ]]; then found=$key; local best=$words; fi
    done < "$file"
    [[ -n ${best-} ]] || return
    [[ $path == "$found" || $best == -* ]] || return
    for word in $best; do [[ $word == "$cur"* && ( $word != -* || $cur == -* ) ]] && COMPREPLY+=("$word"); done
}

complete -F __arbaro_complete arbaro
complete -o default -F __arbaro_complete_openstack openstack
