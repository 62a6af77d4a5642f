# SPDX-License-Identifier: Apache-2.0
"""The stated part of bash: what is evaluated, and what is refused with which reason. Real bash: tests/envs."""

import pytest

from arbaro.envs.bash.shell import evaluate
from arbaro.envs.bash.values import Answer, Refused, Text, Unknown


def value(text: str, name: str = "OS_X") -> object:
    found = evaluate(text).get(name)
    return found.text if isinstance(found, Text) else found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "V=3; if [ $V = 2 ]; then export OS_X=two; elif [ $V = 3 ]; then export OS_X=three; else export OS_X=o; fi",
            "three",
        ),
        ("B=x.y; export OS_X=${B%%.*}-$B", "x-x.y"),
        ('export OS_X=${OS_X:-"Default"}', "Default"),
        ("export OS_X=$'a\\x41\\101'", "aAA"),
        ("export OS_X=$'it\\'s'", "it's"),
        ("set -a; OS_X=1; set +a; OS_Y=2", "1"),
        ("export OS_X=1; return; export OS_X=2", "1"),
        ("A=1 B=$A\nexport OS_X=$B", "1"),
        ("A=1; export A=2 OS_X=$A", "1"),
        ("export OS_X; OS_X=a; OS_X+=b", "ab"),
        ("export OS_X=a; export -n OS_X", None),
        ("readonly OS_X=a; export OS_X", "a"),
        ('for n in X Y; do export "OS_$n=$n"; done', "X"),
        ("A='a  b'; export OS_X=$A", "a  b"),
        (": ${OS_X:=d}; export OS_X", "d"),
        ("export OS_X=\\é\\x", "éx"),
        ('[ -n "$1" ] && export OS_X=$1; export OS_X=${1:-d}', "d"),
    ],
)
def test_evaluated(text: str, wanted: str | None) -> None:
    assert value(text) == wanted


def test_questions() -> None:
    found = evaluate("read -p 'User: ' U; echo 'Password?'; read -sr P; export OS_USERNAME=$U OS_PASSWORD=\"$P\"")
    assert found == {"OS_USERNAME": Answer(1, "User:"), "OS_PASSWORD": Answer(2, "Password?")}
    loop = "while [ -z \"$OS_X\" ]; do read -rsp 'P: ' OS_X; done; export OS_X"
    assert value(loop) == Answer(1, "P:")
    assert isinstance(value("read U; export OS_X=$U@example"), Unknown)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("export OS_X=$MY_PASS", "$MY_PASS is a variable of your own shell"),
        ("export OS_X=$PWD/ca.pem", "$PWD is set by the shell itself"),
        ("export OS_X=~/ca.pem", "home directory"),
        ('export OS_X="Pa$$word"', "number of the shell's process"),
        ("[ -f /etc/x ] && export OS_X=a", "only a shell can decide"),
        ("[ -f /etc/x ] && A=1; export OS_X=$A", "only a shell can decide"),
        ('[ -f x ] && { printf "\\n"; export OS_X=a; }', "only a shell can decide"),
        ("[ -f ~/x ] && export OS_X=a", "only a shell can decide"),
        ("[[ -r ~/x ]] && export OS_X=a", "only a shell can decide"),
        ("export OS_X=`date`", "output of a command"),
        ("C=$B; export OS_X=${C-d}", "$B is a variable of your own shell"),
        ("B+=; export OS_X=${B-d}", "$B is a variable of your own shell"),
        ("export OS_X=x${OS_Y:-a:~}", "home directory"),
        ("read -r P; export OS_X=${P#a}", "put together from an answer"),
    ],
)
def test_not_known(text: str, why: str) -> None:
    found = value(text)
    assert isinstance(found, Unknown) and why in found.why and found.line == 1


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("\n. ./other", 2, "another file"),
        ("exit 1", 1, "ends the shell"),
        ("curl x | sh", 1, "`curl` would have to be executed"),
        ("f() { :; }\nf", 2, "own function"),
        ("A=(1 2)", 1, "an array"),
        ("cat <<E\nx\nE", 1, "a here-document"),
        ("echo a &", 1, "background"),
        ("IFS=:", 1, "meaning of its own"),
        ("set -e", 1, "changes how bash goes on"),
        ("export OS_X=a\r\nexport OS_Y=b", 1, "as on Windows"),
        ("A=b\nexport OS_X=\x07", 2, "control character"),
        ("\ufeffexport OS_X=a", 1, "byte order mark"),
        ("export OS_X='a", 1, "not complete"),
        ("while true; do read X; done", 1, "does not end"),
        ("A=a; while true; do A=$A$A; done", 1, "too long"),
        ("if [ -f x ]; then return; fi", 1, "whether `return` is reached"),
        ("export OS_X=a;; export OS_Y=b", 1, "not in the part"),
        ("X=${!Y}", 1, "this form of ${…} is not in the part"),
        ("export OS_X=a\u00a0OS_Y=b", 1, "a blank (U+00A0) stands here"),
        ("set -a; declare +x OS_X=a", 1, "takes back"),
        # A redirection, not a comparison.
        ("if [ 2 < x ]; then OS_X=a; fi", 1, "not in the part"),
        # In bash these end the file, also where the branch is not taken.
        ("if [ a = b ]; then [[ a = b -a c = d ]]; fi; export OS_X=a", 1, "a condition"),
        ("[ -f x ] && [[ -z a -o -n b ]]; export OS_X=a", 1, "a condition"),
        ("if (( 0 )); then export OS_X=a; fi", 1, "arithmetic"),
        ("(( 0 )) || export OS_X=a", 1, "arithmetic"),
    ],
)
def test_refused(text: str, line: int, why: str) -> None:
    with pytest.raises(Refused) as refused:
        evaluate(text)
    assert refused.value.line == line and why in refused.value.why


@pytest.mark.parametrize(
    ("condition", "verdict"),
    [
        ("! a && ''", False),
        ("! '' && a", True),
        ("a || '' && ''", True),
        ("'' && a || a", True),
        ("! a || a", True),
        ("! -z a && -n a", True),
    ],
)
def test_conditions_bind_as_in_bash_or_are_refused(condition: str, verdict: bool) -> None:
    try:
        found = value(f"if [[ {condition} ]]; then export OS_X=yes; else export OS_X=no; fi")
    except Refused:
        return
    assert found == ("yes" if verdict else "no")


#: Each was taken wrongly once: what bash makes of it is in the name.
TAKEN_WRONGLY = {
    "a function called return": "return() { :; }; return; export OS_X=a",
    "an operator without its operand ends the file": "if [[ -n ]]; then export OS_X=a; fi",
    "select asks": "select OS_X in a b; do break; done; export OS_X",
    "else without a statement ends the file": "if true; then export OS_X=a; else fi",
    "printf -v sets a variable": "OS_X=a; if [ -f x ]; then printf -v OS_X b; fi; export OS_X",
    "command unset": "export OS_X=a; [ -f x ] && command unset OS_X",
    "command export": "export OS_X=a; [ -f x ] && command export OS_X=b",
    "nobody knows whether it is asked": "[ -f x ] && read A; read B; export OS_X=$B",
    "it is asked in a shell of its own": "A=$(read B; echo $B); read C; export OS_X=$C",
    "the loop's own variable is unset": "export OS_X=a; for OS_Y in $( set | awk '{FS=\"=\"} /^OS_/ {print $1}' ); do unset $OS_Y; done",
    "awk's name runs on": "export OS_X=a; for k in $( set | awk'{FS=\"=\"} /^OS_/ {print $1}' ); do unset $k; done",
    "awk is not found any more": "PATH=; export OS_X=a; for k in $( set | awk '{FS=\"=\"} /^OS_/ {print $1}' ); do unset $k; done",
    "a list of other things": "unset $(cat names); export OS_X=a",
    "a name goes on in the next line": "unset OS_\\\nX; export OS_X",
    "an expansion goes on in the next line": 'A=a; export OS_X="$A\\\nB"',
    "a bracket after $$ in quotes": 'echo "$$(a"; export OS_X=a',
    "a redirection stands alone": "> /dev/null",
    "a prompt of several words": "A='a b'; read -p $A OS_X; export OS_X",
    "a prompt with braces": "read -p {a,b} OS_X; export OS_X",
    "an option behind a name": "if read OS_X -s; then export OS_X; fi",
    "a read-only variable is set twice": "if readonly A={a,b}; then OS_X=a; else OS_X=b; fi; export OS_X",
    "history's variables are exported": "set -a; set -o history",
}


@pytest.mark.parametrize("text", TAKEN_WRONGLY.values(), ids=TAKEN_WRONGLY.keys())
def test_refused_since_bash_sees_more_in_it(text: str) -> None:
    with pytest.raises(Refused):
        evaluate(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('while [ -z "$OS_Y" ]; do OS_Y=1; false; done || export OS_X=a', "a"),
        ('if [ "$0" = "$BASH_SOURCE" ]; then export OS_X=run; else export OS_X=sourced; fi', "sourced"),
        ("export OS_Y=a OS_X=b; unset ${!OS_*}; export OS_X=c$OS_Y", "c"),
        ("export OS_X; for k in ${!OS_*}; do unset $k; done; OS_X=a", "a"),
        ("export OS_X; unset $(printenv | grep OS_) OS_X; OS_X=a", None),
    ],
)
def test_evaluated_as_bash_does(text: str, wanted: str | None) -> None:
    assert value(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "A='+(a)'; [[ aa == $A ]] && OS_X=a || OS_X=b; export OS_X",
        "A='@(a|b)'; case a in $A) OS_X=a ;; *) OS_X=b ;; esac; export OS_X",
        "export OS_X=${0:-a}",
    ],
)
def test_not_known_either(text: str) -> None:
    assert isinstance(value(text), Unknown)


def test_a_loop_that_empties_the_environment_first_is_known() -> None:
    for loop in ("for k in $(env | cut -d= -f1); do unset $k; done", "unset $(printenv | grep OS_)"):
        assert value(f"{loop}\nexport OS_X=a") == "a"
    kolla = "for key in $( set | awk '{FS=\"=\"}  /^OS_/ {print $1}' ); do unset $key ; done"
    assert evaluate(f"export OS_X=a B=b\n{kolla}") == {"B": Text("b")}
    with pytest.raises(Refused):
        evaluate("export OS_X=a; unset $(printenv | grep OS_)")
