# SPDX-License-Identifier: Apache-2.0
zmodload zsh/datetime zsh/parameter
setopt prompt_subst
__arbaro_now() { now=$EPOCHSECONDS }
__arbaro_has() { whence -p "$1" >/dev/null }

__arbaro_clear() {
    local name
    for name in ${(k)parameters[(I)OS_*]}; do unset "$name"; done
}

__arbaro_stray() {
    local name
    stray=
    for name in ${(k)parameters[(I)OS_*]}; do
        case $name in
            OS_CLOUD|OS_CLIENT_CONFIG_FILE|OS_CLIENT_SECURE_FILE|OS_REGION_NAME|OS_PROJECT_NAME) ;;
            *) stray=$name; return ;;
        esac
    done
}

__arbaro_prompt() {
    __arbaro_text
    __arbaro_segment=
    [[ -n $__arbaro_words ]] || return 0
    # A per cent sign would mean something to the prompt.
    local shown="[${__arbaro_words//\%/%%}]"
    case $__arbaro_colour in
        development) __arbaro_segment="%F{green}$shown%f " ;;
        test) __arbaro_segment="%F{yellow}$shown%f " ;;
        write|stray) __arbaro_segment="%K{red}%F{15}%B$shown%b%f%k " ;;
        *) __arbaro_segment="%F{red}%B$shown%b%f " ;;
    esac
}

# Expanded once: what a name contains is printed, not executed.
if [[ ${ARBARO_PROMPT-} != off && ${PS1-} != *'$__arbaro_segment'* ]]; then PS1='$__arbaro_segment'${PS1-}; fi
autoload -Uz add-zsh-hook
add-zsh-hook precmd __arbaro_prompt

# Sets reply to the names that begin with $1.
__arbaro_names() {
    __arbaro_fresh 2>/dev/null
    reply=()
    local slug name rest
    while IFS=$'\x1f' read -r slug name rest; do
        [[ -n $slug && $name == "$1"* ]] && reply+=("$name")
    done < "$__arbaro_index"
} 2>/dev/null

__arbaro_complete() {
    local cur=${words[CURRENT]} at reply
    if (( CURRENT == 2 )); then compadd -- ${=__arbaro_verbs}; return; fi
    if [[ $words[2] != env ]]; then
        # The other verbs, and the names of personal clouds, from click itself: kind, value, help in turns.
        local -a answer
        answer=("${(@f)$(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) _ARBARO_COMPLETE=zsh_complete "$__arbaro_command")}")
        local kind value help
        for kind value help in "${answer[@]}"; do compadd -- "$value"; done
        return
    fi
    if (( CURRENT == 3 )); then compadd -- ${=__arbaro_env_verbs}; return; fi
    at=${words[(i)--]}
    if (( at < CURRENT )); then
        # After `--` stands another command, with its own completion.
        shift $at words
        (( CURRENT -= at ))
        _normal
        return
    fi
    if [[ $words[CURRENT-1] == --project ]]; then
        local file="$__arbaro_projects_dir/${words[4]//\//_}"
        [[ -r $file ]] && compadd -- "${(@f)$(<$file)}"
        return
    fi
    if [[ $cur == -* ]]; then compadd -- ${=__arbaro_env_options}; return; fi
    if [[ $words[3] == import ]]; then _files; return; fi
    if [[ $words[3] == mark ]] && (( CURRENT > 4 )); then compadd -- development test production; return; fi
    __arbaro_names ''
    compadd -- "${reply[@]}"
}

# The client's verbs and options, as `openstack complete` gave them, one line for each group of words.
__arbaro_complete_openstack() {
    local cur=${words[CURRENT]} way= key group found= best= word at skip= reply
    if [[ $words[CURRENT-1] == --os-cloud ]]; then __arbaro_names ''; compadd -- "${reply[@]}"; return; fi
    [[ -r $__arbaro_openstack_words/.first ]] || { ("$__arbaro_command" shell-init --openstack >/dev/null 2>&1 &); return; }
    for (( at = 2; at < CURRENT; at++ )); do
        word=$words[at]
        if [[ -n $skip ]]; then skip=; continue; fi
        case $word in
            --os-*) [[ $word == *=* ]] || skip=1 ;;
            -*) ;;
            *) way+=${way:+ }$word ;;
        esac
    done
    local file="$__arbaro_openstack_words/${way%% *}"
    [[ -n $way ]] || file="$__arbaro_openstack_words/.first"
    [[ -r $file ]] || { _files; return; }
    while IFS=$'\t' read -r key group; do
        if [[ -z $key && -z $way ]] || [[ "$way " == "$key "* && ${#key} -ge ${#found} && -n $key ]]; then found=$key best=$group; fi
    done < "$file"
    [[ -n $best ]] && [[ $way == "$found" || $best == -* ]] || { _files; return; }
    local -a offers
    offers=(${=best})
    [[ $cur == -* ]] || offers=(${offers:#-*})
    compadd -- "${offers[@]}"
}

if (( ! $+functions[compdef] )); then autoload -Uz compinit && compinit -C -D; fi
compdef __arbaro_complete arbaro
compdef __arbaro_complete_openstack openstack

# Grey inline suggestions, where the plug-in zsh-autosuggestions is loaded: names after `env use` and its like.
_zsh_autosuggest_strategy_arbaro() {
    typeset -g suggestion=
    local reply
    [[ $1 == 'arbaro env '(use|exec|shell|export|rm|mark)' '* ]] || return
    __arbaro_names "${1##* }"
    (( $#reply )) && suggestion="${1% *} ${reply[1]}"
}
ZSH_AUTOSUGGEST_STRATEGY=(arbaro ${${ZSH_AUTOSUGGEST_STRATEGY[@]:-history}:#arbaro})
