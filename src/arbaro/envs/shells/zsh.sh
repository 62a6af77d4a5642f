# SPDX-License-Identifier: Apache-2.0
zmodload zsh/datetime zsh/parameter
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
    psvar[91]= psvar[92]= psvar[93]= psvar[94]=
    [[ -z $__arbaro_words ]] || __arbaro_paint
    __arbaro_place
    __arbaro_last
}

__arbaro_paint() {
    # A per cent sign would mean something to the prompt.
    local shown="[${__arbaro_words//\%/%%}]"
    case $__arbaro_colour in
        development) psvar[91]=$__arbaro_words __arbaro_segment="%F{green}$shown%f " ;;
        test) psvar[92]=$__arbaro_words __arbaro_segment="%F{yellow}$shown%f " ;;
        write|stray) psvar[94]=$__arbaro_words __arbaro_segment="%K{red}%F{15}%B$shown%b%f%k " ;;
        *) psvar[93]=$__arbaro_words __arbaro_segment="%F{red}%B$shown%b%f " ;;
    esac
}

# One text for all times: it shows the element of psvar that is set. So it needs no prompt_subst, which the person's own
# prompt may not bear, and a copy that another program keeps of the prompt never tells of an old environment.
__arbaro_sign='%(91V.%F{green}[%91v]%f .)%(92V.%F{yellow}[%92v]%f .)%(93V.%F{red}%B[%93v]%b%f .)%(94V.%K{red}%F{15}%B[%94v]%b%f%k .)'

# Puts it at the prompt's begin, again if a theme has made the prompt anew.
__arbaro_place() {
    [[ ${ARBARO_PROMPT-} == off || $PS1 == *"$__arbaro_sign"* || $PS1 == *__arbaro_segment* ]] || PS1=$__arbaro_sign$PS1
}

# Ours comes after all others, which may make the prompt anew.
__arbaro_last() {
    [[ ${precmd_functions[-1]-} == __arbaro_prompt ]] ||
        precmd_functions=(${precmd_functions:#__arbaro_prompt} __arbaro_prompt)
}

# Themes that make the prompt even later, and those that came after us, are caught when the line begins.
__arbaro_line() {
    local before=$PS1
    __arbaro_place
    [[ $PS1 == "$before" ]] || zle .reset-prompt
}

__arbaro_segment=
typeset -ga precmd_functions psvar
__arbaro_place
__arbaro_last
if [[ -o interactive ]]; then
    autoload -Uz add-zle-hook-widget
    add-zle-hook-widget line-init __arbaro_line
fi

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
