# SPDX-License-Identifier: Apache-2.0
"""The segment in prompts of all kinds, in real interactive shells: it is there, the prompt is whole, nothing complains."""

import re

import pexpect
import pytest

from .conftest import ARBARO, Home

ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[()][AB0]|\x1b[=>]|\x1b\][^\x07]*\x07|[\x01\x02\x0f\r\x07]")
COMPLAINTS = re.compile(r"bad math|not found|no such|error|unknown|syntax|bad substitution|invalid", re.IGNORECASE)
FLAGS = {"bash": ["--norc", "-i"], "zsh": ["-f", "-i"], "fish": ["--no-config", "-i"]}

#: Name → shell, lines of the start file before ours, lines after ours, what the prompt must end with.
PROMPTS = {
    "debian's bash": ("bash", r"PS1='\u@\h:\w\$ '", "", ":~# "),
    "bash with a directory first": ("bash", r"PS1='\w> '", "", "~> "),
    "bash set later": ("bash", "", r"PS1='later\$ '", "later# "),
    "bash without promptvars": ("bash", r"shopt -u promptvars; PS1='$HOME\$ '", "", "$HOME# "),
    "bash with a digit first": ("bash", r"PS1='1a[x] '", "", "1a[x] "),
    "bash, strict": ("bash", r"set -u; PS1='u\$ '", "", "u# "),
    "starship's way, before": (
        "bash",
        "starship_precmd() { PS1=\"$(printf '\\nstar')> \"; }; PROMPT_COMMAND=starship_precmd",
        "",
        "star> ",
    ),
    "starship's way, after": (
        "bash",
        "",
        "starship_precmd() { eval \"${SPC-}\"; PS1='star> '; }; SPC=$PROMPT_COMMAND; PROMPT_COMMAND=starship_precmd",
        "star> ",
    ),
    "an array of commands": (
        "bash",
        "f() { PS1='arr> '; }; PROMPT_COMMAND=('true;' f)",
        "PROMPT_COMMAND+=(f)",
        "arr> ",
    ),
    "a command that ends with a semicolon": ("bash", "PS1='s> '; PROMPT_COMMAND='true; '", "", "s> "),
    "fedora's zsh": ("zsh", "PS1='[%n@%m]%~%# '", "", "]~# "),
    "macOS's zsh": ("zsh", "PS1='%n@%m %1~ %# '", "", " ~ # "),
    "zsh with text that looks like code": ("zsh", "PS1='$HOME `id` %# '", "", "$HOME `id` # "),
    "zsh with prompt_subst": ("zsh", "setopt prompt_subst; PS1='$((1+1))%# '", "", "2# "),
    "zsh, strict": ("zsh", "setopt nounset; PS1='u%# '", "", "u# "),
    "oh-my-zsh's way": ("zsh", "", "setopt prompt_subst; omz() { PROMPT='➜ %c '; }; precmd_functions+=(omz)", "➜ ~ "),
    "powerlevel10k's way": (
        "zsh",
        "p() { PROMPT='${(e)P9K}%# '; P9K=p10k; }; setopt prompt_subst; precmd_functions=(p)",
        "q() { PROMPT='${(e)P9K}%# '; }; precmd_functions+=(q)",
        "p10k# ",
    ),
    "fish, defined before": ("fish", "function fish_prompt; echo 'before> '; end", "", "before> "),
    "fish, defined after, as starship does": ("fish", "", "function fish_prompt; echo 'after> '; end", "after> "),
}


def start(home: Home, shell: str, before: str, after: str) -> "pexpect.spawn[str]":
    load = f"{ARBARO} shell-init fish | source" if shell == "fish" else f'eval "$({ARBARO} shell-init {shell})"'
    file = home.path / "start"
    file.write_text(f"{before}\n{load}\n{after}\n")
    child = pexpect.spawn(
        shell,
        FLAGS[shell],
        env={**home.variables, "TERM": "xterm"},
        cwd=str(home.path),
        encoding="utf-8",
        dimensions=(50, 200),
        timeout=60,
    )
    child.send(f". {file}\r")
    return child


def after_line(child: "pexpect.spawn[str]", line: str, ending: str, number: int) -> str:
    """What a person sees after a line, up to the end of the next prompt."""
    child.send(f"{line}; echo DO''NE{number}\r")
    child.expect(f"DONE{number}\r?\n")
    child.expect_exact(ending.strip())
    return ANSI.sub("", child.before)


@pytest.mark.parametrize("name", PROMPTS)
def test_the_segment_is_there_and_the_prompt_is_whole(home: Home, name: str) -> None:
    shell, before, after, ending = PROMPTS[name]
    child = start(home, shell, before, after)
    try:
        plain = after_line(child, "true", ending, 1)
        shown = [after_line(child, f"arbaro env use {n}", ending, k) for k, n in enumerate(("test-1", "dev-1"), 2)]
        left = after_line(child, "arbaro env use --none", ending, 6)
    finally:
        child.close(force=True)
    assert "kr-9" not in plain and "kr-9" not in left, (plain, left)
    assert "[test-1 kr-9 p-test-1] " in shown[0] and "[dev-1 kr-9 p-dev-1] " in shown[1] and "test-1" not in shown[1]
    assert not COMPLAINTS.search("".join([plain, left, *shown])), shown


def test_an_environment_given_from_outside_is_in_the_first_prompt(home: Home) -> None:
    """`env shell` starts in production's colours, whatever the person's start file does."""
    (home.path / ".bashrc").write_text("late() { PS1='mine> '; }; PROMPT_COMMAND=late\n")
    child = pexpect.spawn(
        str(ARBARO),
        ["env", "shell", "test-1"],
        env={**home.variables, "SHELL": "/bin/bash", "TERM": "xterm"},
        encoding="utf-8",
        dimensions=(40, 160),
        timeout=60,
    )
    child.expect("mine> ")
    assert "[test-1 kr-9 p-test-1 ↳1] " in ANSI.sub("", child.before)
    child.close(force=True)
