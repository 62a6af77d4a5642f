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
        ("export OS_X=`date`", "output of a command"),
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
        ("X=${!Y}", 1, "not in the part"),
    ],
)
def test_refused(text: str, line: int, why: str) -> None:
    with pytest.raises(Refused) as refused:
        evaluate(text)
    assert refused.value.line == line and why in refused.value.why


def test_a_loop_that_empties_the_environment_first_is_known() -> None:
    for loop in ("for k in $(env | cut -d= -f1); do unset $k; done", "unset $(printenv | grep OS_)"):
        assert value(f"{loop}\nexport OS_X=a") == "a"
    kolla = "for key in $( set | awk '{FS=\"=\"}  /^OS_/ {print $1}' ); do unset $key ; done"
    assert evaluate(f"export OS_X=a B=b\n{kolla}") == {"B": Text("b")}
    with pytest.raises(Refused):
        evaluate("export OS_X=a; unset $(printenv | grep OS_)")
