# SPDX-License-Identifier: Apache-2.0
# Runs /openrc within `arbaro env import --evaluate` and says what it exports. What is said for arbaro stands between
# two NUL bytes, which no value can hold; all else is what the file printed.
exec 9>&1 2>&1
ulimit -t 10
ulimit -v 1000000
ulimit -f 0
. /given
__arbaro() { builtin printf '\0arbaro:%s\0' "$1" >&9; }
command_not_found_handle() {
    __arbaro "no:${BASH_LINENO[0]} the output or the end of a program is wanted, and there are none here"
    return 127
}
# Where the answers end, the next question is told, and the run is over.
read() {
    builtin read "$@" && return
    while [ $# != 0 ]; do
        case $1 in
            -*p) __arbaro "ask:$2"; builtin kill -KILL $$ ;;
            -*p*) __arbaro "ask:${1#-*p}"; builtin kill -KILL $$ ;;
        esac
        shift
    done
    __arbaro ask:
    builtin kill -KILL $$
}
# Before each command: what would find another world here than in the person's shell is told.
__arbaro_look() {
    case $2 in
        '. /openrc' | 'builtin trap - DEBUG') return ;;
        '[ '* | '[[ '* | 'test '*)
            case " $2 " in
                *' -'[bcdefghkprstuwxGLNOS]' '* | *' -nt '* | *' -ot '* | *' -ef '*)
                    __arbaro "no:$1 the file asks whether something is there, and here nothing is" ;;
            esac ;;
    esac
    case ${2%%[[:space:]]*} in
        [A-Za-z_]*=*) ;;
        . | source) __arbaro "no:$1 another file is read, and there are no files here" ;;
        */* | \$* | \"*) __arbaro "no:$1 a program is run, and there are none here" ;;
        trap | exec | enable) __arbaro "no:$1 this (${2%%[[:space:]]*}) cannot be evaluated here" ;;
    esac
}
set -T
trap '__arbaro_look "$LINENO" "$BASH_COMMAND"' DEBUG
. /openrc
builtin trap - DEBUG
unset -f builtin compgen printf
IFS=$'\n'
builtin printf '\0arbaro:end:\0' >&9
for __arbaro_name in $(builtin compgen -e); do
    builtin printf '\0arbaro:value:%s=%s\0' "$__arbaro_name" "${!__arbaro_name}" >&9
done
