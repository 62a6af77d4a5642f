# SPDX-License-Identifier: Apache-2.0
"""The Tab key in real, interactive bash, zsh and fish: verbs, names, the openstack client's own words."""

import re

import pexpect
import pytest

from .conftest import ARBARO, Home

WORDS = {
    ".first": "\tserver image token\n",
    "server": "server\tlist show create\nserver list\t-h --help --all-projects\n",
    "token": "token\tissue revoke\n",
}
ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[()][AB0]|\x1b[=>]|\x1b\][^\x07]*\x07|[\x01\x02\x0f\r]")


def typed(home: Home, shell: str, *keys: str) -> str:
    """What a person sees who types these keys, each line ended by Return."""
    words = home.path / "cache/arbaro/env/openstack-words"
    words.mkdir(parents=True, exist_ok=True)
    for first, text in WORDS.items():
        (words / first).write_text(text)
    argv = {"bash": ["bash", "--norc", "-i"], "zsh": ["zsh", "-f", "-i"], "fish": ["fish", "--no-config", "-i"]}[shell]
    load = f"{ARBARO} shell-init fish | source" if shell == "fish" else f'eval "$({ARBARO} shell-init {shell})"'
    child = pexpect.spawn(
        argv[0],
        argv[1:],
        env={**home.variables, "TERM": "xterm"},
        cwd=str(home.path),
        encoding="utf-8",
        dimensions=(40, 160),
        timeout=20,
    )
    seen = ""
    try:
        for number, line in enumerate([load, *keys]):
            child.send(line + "\r")
            # Written apart, so that the echo of what was typed does not match.
            child.send(f"echo END''{number}\r")
            child.expect(f"END{number}\r?\n")
            seen += child.before if number else ""
    finally:
        child.close(force=True)
    return ANSI.sub("", seen)


@pytest.mark.parametrize(
    ("keys", "runs"),
    [
        ("arbaro env cur\t", "No environment is chosen."),
        ("arbaro env use test-3\t && openstack x", "WENT test-3 by"),
        ("arbaro env use dev-1 && openstack token iss\t", "WENT dev-1 by"),
        ("arbaro env exec test-2 -- openstack token iss\t", "WENT test-2 by"),
        ("arbaro env mark test-2 dev\t", "test-2 is development now."),
        ("arbaro env ls --js\t", '"name": "test-2"'),
    ],
)
def test_tab_completes_and_the_line_runs(home: Home, shell: str, keys: str, runs: str) -> None:
    seen = typed(home, shell, keys)
    assert runs in seen, seen


def test_names_of_a_cloud_after_os_cloud(home: Home, shell: str) -> None:
    seen = typed(home, shell, "echo openstack; openstack --os-cloud test-4\t server list")
    assert "test-4" in seen


def test_zsh_suggests_inline_where_the_plug_in_is_loaded(home: Home) -> None:
    plug_in = "/usr/share/zsh-autosuggestions/zsh-autosuggestions.zsh"
    # Right arrow takes the grey suggestion over.
    seen = typed(home, "zsh", f"source {plug_in}", "arbaro env use lab", "arbaro env use test-4\x1b[C && openstack x")
    assert "WENT test-4 by" in seen
