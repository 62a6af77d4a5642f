# SPDX-License-Identifier: Apache-2.0
# For fish. A switch reads the index and sets variables of this shell only; no process is started for it unless
# clouds.yaml has changed or keystone must be asked for a credential.

function arbaro
    switch "$argv[1] $argv[2]"
        case 'env use'
            __arbaro_use $argv[3..]
        case 'env current'
            if test (count $argv) -eq 2
                __arbaro_current
            else
                $__arbaro_command $argv
            end
        case '*'
            $__arbaro_command $argv
    end
end

# Sets __arbaro_clouds and __arbaro_secure to the files that count. The index names all files that it was made from, in
# its second line; beside it lies an empty file for each that existed, with the same time stamp.
function __arbaro_fresh
    __arbaro_is_fresh; and return
    $__arbaro_command shell-init --refresh; and __arbaro_is_fresh just-made
end

# With an argument, what has changed since the index was made a moment ago does not count.
function __arbaro_is_fresh
    test -r $__arbaro_index; or return
    set -l head
    set -l places
    begin
        read -d \x1f -a head
        read -d \x1f -a places
    end <$__arbaro_index
    test "$head[2]" = arbaro-index-2; or return
    set -g __arbaro_clouds $head[4]
    set -g __arbaro_secure $head[5]
    test (count $argv) -eq 0; or return 0
    set -l at 0
    for place in $places[2..]
        set at (math $at + 1)
        set -l stamp $__arbaro_index.$head[3]/$at
        if test -e $place
            test -e $stamp; and not test $place -nt $stamp; and not test $place -ot $stamp; or return
        else if test -e $stamp
            return 1
        end
    end
end

function __arbaro_use
    set -l name
    set -l mode
    for word in $argv
        switch $word
            case --read-only --plain
                set mode (string sub -s 3 -- $word)
            case -
                set name $ARBARO_ENV_BEFORE
                test -n "$name"; or set name -
            case '-*'
                __arbaro_slowly $argv
                return
            case '*'
                if test -n "$name"
                    __arbaro_slowly $argv
                    return
                end
                set name $word
        end
    end
    if test -z "$name"
        __arbaro_slowly $argv
        return
    end
    __arbaro_fresh; or return
    set -l found
    while read -l -d \x1f -a field
        if test "$field[2]" = "$name" -a -n "$field[1]"
            set found $field
            break
        end
    end <$__arbaro_index
    # slug name kind cloud os_region region project user auth_url secret fault
    if test -z "$found" -o -n "$found[11]"
        __arbaro_slowly $argv
        return
    end
    if test -z "$mode"
        set mode plain
        contains -- $found[10] file nowhere; or set mode session
        test $found[3] = production; and set mode read-only
    else if test $mode = plain -a $found[3] = production
        __arbaro_slowly $argv
        return
    end
    set -l config $__arbaro_clouds
    set -l secure $__arbaro_secure
    set -l ends
    if test $mode != plain
        set config $__arbaro_views/$found[1].$mode.yaml
        set secure $config
        if test -r $config; and not test $__arbaro_clouds -nt $config
            read -l line <$config
            set ends (string split ' ' -- $line)[4]
        end
        if not test -n "$ends"; or not test $ends -gt (math (__arbaro_now) + 300)
            __arbaro_slowly $argv
            return
        end
    else if test -n "$found[5]"
        # Programs that use openstacksdk take the region from the file only.
        set config $__arbaro_views/$found[1].plain.yaml
        if not test -r $config
            __arbaro_slowly $argv
            return
        end
    end
    __arbaro_enter "$found[2]" "$found[3]" "$found[4]" "$found[5]" "$found[6]" "$found[7]" $mode "$ends" $config $secure
end

# What keystone or a person must be asked about. The answer is one call of __arbaro_enter or __arbaro_leave, with a seal
# before it; anything else (help, for example) is text for the person, and is never evaluated.
function __arbaro_slowly
    set -l answer ($__arbaro_command env use --shell fish $argv | string collect)
    set -l code $pipestatus[1]
    test $code -eq 0; or return $code
    if string match -q -- '#arbaro# __arbaro_enter *' $answer; or test "$answer" = '#arbaro# __arbaro_leave'
        eval (string replace -- '#arbaro# ' '' $answer | string collect)
    else
        printf '%s\n' $answer
    end
end

# name kind cloud os_region region project mode until config secure
function __arbaro_enter
    test "$ARBARO_ENV" = $argv[1]; or set -gx ARBARO_ENV_BEFORE $ARBARO_ENV
    __arbaro_clear
    set -gx OS_CLOUD $argv[3]
    set -gx OS_CLIENT_CONFIG_FILE $argv[9]
    set -gx OS_CLIENT_SECURE_FILE $argv[10]
    test -z $argv[4]; or set -gx OS_REGION_NAME $argv[4]
    set -gx ARBARO_ENV $argv[1]
    set -gx ARBARO_ENV_KIND $argv[2]
    set -gx ARBARO_ENV_REGION $argv[5]
    set -gx ARBARO_ENV_PROJECT $argv[6]
    set -gx ARBARO_ENV_MODE $argv[7]
    set -gx ARBARO_ENV_UNTIL $argv[8]
    set -gx ARBARO_ENV_IS "$argv[3]|$argv[9]|$argv[10]|$argv[4]|"
    __arbaro_token
end

function __arbaro_leave
    test -z "$ARBARO_ENV"; or set -gx ARBARO_ENV_BEFORE $ARBARO_ENV
    __arbaro_clear
    for name in (set -n | string match 'ARBARO_ENV*')
        contains -- $name ARBARO_ENV_BEFORE ARBARO_ENV_DEPTH ARBARO_ENV_CLOUDS ARBARO_ENV_SECURE; or set -e $name
    end
    test -z "$ARBARO_ENV_CLOUDS"; or set -gx OS_CLIENT_CONFIG_FILE $ARBARO_ENV_CLOUDS
    test -z "$ARBARO_ENV_SECURE"; or set -gx OS_CLIENT_SECURE_FILE $ARBARO_ENV_SECURE
end

function __arbaro_clear
    for name in (set -n | string match 'OS_*')
        set -e $name
    end
end

function __arbaro_current
    __arbaro_text
    if test -z "$__arbaro_words"
        echo 'No environment is chosen. Next: arbaro env use NAME' >&2
        return 1
    end
    echo $__arbaro_words
end

# The client's own login is cached by openstacksdk; how long it lasts is written beside it. Read here, not in the prompt.
function openstack --wraps=''
    if command -q openstack
        command openstack $argv
    else
        set -l client (path dirname $__arbaro_command)/openstack
        $client $argv
    end
    set -l code $status
    __arbaro_token
    return $code
end

function __arbaro_token
    test "$ARBARO_ENV_MODE" = plain; or return 0
    set -l ends
    set -l file $__arbaro_tokens/(string replace -a / _ -- $ARBARO_ENV).until
    test -r $file; and read ends <$file
    set -gx ARBARO_ENV_UNTIL $ends
    return 0
end

# fish has no clock of its own: the kernel's counter since boot, plus the time of boot, without starting a process.
function __arbaro_now
    read -l up rest </proc/uptime
    math "floor($__arbaro_booted + $up)"
end

# Sets __arbaro_words and __arbaro_colour from this shell's variables and the clock; the prompt calls nothing else.
function __arbaro_text
    set -g __arbaro_words
    set -g __arbaro_colour
    set -l stray
    for name in (set -n | string match 'OS_*')
        switch $name
            case OS_CLOUD OS_CLIENT_CONFIG_FILE OS_CLIENT_SECURE_FILE OS_REGION_NAME OS_PROJECT_NAME
            case '*'
                set stray $name
                break
        end
    end
    if test -z "$ARBARO_ENV"
        test -n "$stray" -o -z "$OS_CLOUD"; or set stray OS_CLOUD
        if test -n "$stray"
            set __arbaro_words "! $stray set by hand"
            set __arbaro_colour stray
        end
        return 0
    end
    if test -n "$stray" -o "$OS_CLOUD|$OS_CLIENT_CONFIG_FILE|$OS_CLIENT_SECURE_FILE|$OS_REGION_NAME|$OS_PROJECT_NAME" != "$ARBARO_ENV_IS"
        test -n "$stray"; or set stray 'OS_…'
        set __arbaro_words "! no longer $ARBARO_ENV: $stray set by hand"
        set __arbaro_colour stray
        return 0
    end
    set __arbaro_colour $ARBARO_ENV_KIND
    set __arbaro_words $ARBARO_ENV
    test -z "$ARBARO_ENV_REGION"; or string match -q -- "*/$ARBARO_ENV_REGION" $ARBARO_ENV
    or set __arbaro_words "$__arbaro_words $ARBARO_ENV_REGION"
    test -z "$ARBARO_ENV_PROJECT"; or set __arbaro_words "$__arbaro_words $ARBARO_ENV_PROJECT"
    switch "$ARBARO_ENV_MODE"
        case read-only
            set __arbaro_words "$__arbaro_words read-only"
        case write
            set __arbaro_words "$__arbaro_words WRITE"
            set __arbaro_colour write
    end
    if test -n "$ARBARO_ENV_UNTIL"
        set -l left (math $ARBARO_ENV_UNTIL - (__arbaro_now))
        if test $left -le 0
            test $ARBARO_ENV_MODE = plain; or set __arbaro_words "$__arbaro_words over"
        else if test $left -lt 6000
            set __arbaro_words "$__arbaro_words "(math "floor(($left + 59) / 60)")m
        else
            set __arbaro_words "$__arbaro_words "(math "floor($left / 3600)")h
        end
    end
    test -z "$ARBARO_ENV_DEPTH" -o "$ARBARO_ENV_DEPTH" = 0; or set __arbaro_words "$__arbaro_words ↳$ARBARO_ENV_DEPTH"
end

function __arbaro_segment
    __arbaro_text
    test -n "$__arbaro_words"; or return 0
    switch $__arbaro_colour
        case development
            set_color green
        case test
            set_color yellow
        case write stray
            set_color --bold --background red brwhite
        case '*'
            set_color --bold red
    end
    echo -n "[$__arbaro_words]"
    set_color normal
    echo -n ' '
end

# Puts the segment before the person's own prompt, again if starship or its like has defined that anew.
function __arbaro_place --on-event fish_prompt
    test "$ARBARO_PROMPT" != off; or return 0
    functions -q fish_prompt; or source $__fish_data_dir/functions/fish_prompt.fish 2>/dev/null
    functions -q fish_prompt; or function fish_prompt; echo '> '; end
    string match -q -- '*__arbaro_segment*' (functions fish_prompt); and return
    functions -e __arbaro_old_prompt
    functions -c fish_prompt __arbaro_old_prompt
    function fish_prompt
        set -l code $status
        __arbaro_segment
        # The person's own prompt may show it.
        __arbaro_return $code
        __arbaro_old_prompt
    end
end
__arbaro_place

function __arbaro_return
    return $argv[1]
end

function __arbaro_names
    __arbaro_fresh 2>/dev/null
    while read -l -d \x1f slug name kind rest
        test -n "$slug"; and echo $name\t$kind
    end <$__arbaro_index
end 2>/dev/null

function __arbaro_words_before
    set -l before (commandline -opc)
    set -e before[1]
    string join \n -- $before
end

function __arbaro_complete
    set -l before (__arbaro_words_before)
    if test (count $before) -eq 0
        string split ' ' -- $__arbaro_verbs
    else if test $before[1] != env
        set -lx COMP_WORDS (commandline -cp)
        set -lx COMP_CWORD (commandline -t)
        _ARBARO_COMPLETE=fish_complete $__arbaro_command | string replace -r '^plain,' ''
    else if test (count $before) -eq 1
        string split ' ' -- $__arbaro_env_verbs
    else if set -l at (contains -i -- -- $before)
        set -l line (commandline -ct)
        complete -C (string join ' ' -- (string escape -- $before[(math $at + 1)..]) $line | string collect)
    else if test "$before[-1]" = --project
        set -l file $__arbaro_projects_dir/(string replace -a / _ -- $before[3])
        test -r $file; and cat $file
    else if string match -q -- '-*' (commandline -ct)
        string split ' ' -- $__arbaro_env_options
    else if test $before[2] = import
        __fish_complete_path (commandline -ct)
    else if test $before[2] = mark -a (count $before) -gt 2
        printf '%s\n' development test production
    else
        __arbaro_names
    end
end

# The client's verbs and options, as `openstack complete` gave them, one line for each group of words.
function __arbaro_complete_openstack
    set -l before (__arbaro_words_before)
    if test "$before[-1]" = --os-cloud
        __arbaro_names
        return
    end
    if not test -r $__arbaro_openstack_words/.first
        $__arbaro_command shell-init --openstack >/dev/null 2>&1 &
        disown
        return
    end
    set -l way
    set -l skip
    for word in $before
        if test -n "$skip"
            set skip
            continue
        end
        switch $word
            case '--os-*=*' '-*'
                string match -q -- '--os-*' $word; and not string match -q -- '*=*' $word; and set skip 1
            case '*'
                set -a way $word
        end
    end
    set -l file $__arbaro_openstack_words/$way[1]
    test -n "$way"; or set file $__arbaro_openstack_words/.first
    test -r $file; or return
    set way (string join ' ' -- $way)
    set -l found
    set -l best
    while read -l -d \t key group
        if test -z "$key" -a -z "$way"; or begin
                test -n "$key"; and string match -q -- "$key *" "$way "; and test (string length -- "$key") -ge (string length -- "$found")
            end
            set found $key
            set best $group
        end
    end <$file
    test -n "$best"; or return
    test "$way" = "$found"; or string match -q -- '-*' $best; or return
    string split ' ' -- $best
end

complete -c arbaro -f -a '(__arbaro_complete)'
complete -c openstack -a '(__arbaro_complete_openstack)'
