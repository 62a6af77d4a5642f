# SPDX-License-Identifier: Apache-2.0
"""`env import --evaluate`: real bash runs a file where there is nothing to touch."""

import socket
from pathlib import Path

import pytest

from arbaro.envs import sandbox
from arbaro.errors import ArbaroError


def evaluate(tmp_path: Path, text: str, *answers: str, **given: str) -> dict[str, str]:
    file = tmp_path / "openrc"
    file.write_text(text)
    typed = iter(answers)
    asked: list[str] = []

    def ask(what: str) -> str:
        asked.append(what)
        return next(typed)

    found = sandbox.evaluate(file, given, ask).exported
    return found | {"asked": " | ".join(asked)}


def test_functions_loops_arithmetic_and_questions(tmp_path: Path) -> None:
    text = "f() { export OS_A=$1; }\nf 'a b'\nfor i in 1 2; do A+=$i; done\nexport OS_B=$((A+1)) OS_P PATH=/x\n"
    text += "read -p 'User: ' OS_U; export OS_U\necho 'Password?'; read -sr OS_P\n"
    found = evaluate(tmp_path, text, "me", "s e\\c$ret")
    asked = "openrc asks: User: | openrc asks: Password?"
    assert found == {"OS_A": "a b", "OS_B": "13", "OS_U": "me", "OS_P": "s e\\c$ret", "asked": asked}


def test_a_variable_of_the_person_comes_in_by_name(tmp_path: Path) -> None:
    assert evaluate(tmp_path, "f() { export OS_A=$HOME/x; }; f", HOME="/home/me")["OS_A"] == "/home/me/x"
    with pytest.raises(ArbaroError, match=r"line 1: \$HOME is of your own shell"):
        evaluate(tmp_path, "f() { export OS_A=$HOME/x; }; f")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("export OS_A=$(hostname)", "program"),
        ("export OS_A=$(/bin/hostname 2>/dev/null)", "program"),
        ("C=cat; export OS_A=$($C /etc/passwd 2>/dev/null)", "program"),
        ("[ -f /etc/passwd ] && export OS_A=b", "whether something is there"),
        (". /etc/profile", "another file"),
        ("export OS_A=$(</etc/passwd)", "No such file"),
        ("echo x >/tmp/y", "No such file|Read-only"),
        ("export OS_A=(", "unexpected EOF"),
        ("export OS_A=a; exit 0", "did not come to its end"),
        ("trap 'OS_A=b' EXIT", "trap"),
        ("while read x; do :; done", "more than 20 questions"),
    ],
)
def test_what_would_be_otherwise_in_a_shell_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ArbaroError, match=why) as refused:
        evaluate(tmp_path, text, *["x"] * 30)
    assert "root:" not in str(refused.value)


def test_nothing_can_be_touched_or_reached(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        text = f"echo x 2>/dev/null >{mark}\n(exec 3<>/dev/tcp/127.0.0.1/{server.getsockname()[1]}) 2>/dev/null\n"
        with pytest.raises(ArbaroError):
            evaluate(tmp_path, text)
        with pytest.raises(TimeoutError):
            server.accept()
    assert not mark.exists()


def test_no_secret_in_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArbaroError) as refused:
        evaluate(tmp_path, "s3cr3t=(\n")
    assert "s3cr3t" not in str(refused.value)
