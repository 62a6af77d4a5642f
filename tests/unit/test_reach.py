# SPDX-License-Identifier: Apache-2.0
"""How a host is reached becomes options that ssh itself understands (`ssh -G` tells what it would do)."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from arbaro.errors import CommandError
from arbaro.reach import Reach, Unreachable

KEY, KNOWN = Path("/nowhere/my id"), Path("/nowhere/known hosts")


def as_ssh_reads(reach: Reach) -> dict[str, str]:
    """The configuration that ssh itself makes of it."""
    argv = reach.ssh()
    printed = subprocess.run([argv[0], "-G", *argv[1:]], capture_output=True, text=True, check=True).stdout
    return dict(line.split(" ", 1) for line in printed.splitlines() if " " in line)


def test_with_pinned_keys_nothing_of_the_persons_own_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = as_ssh_reads(Reach("compute1", "198.18.0.11", "root", key=KEY, known_hosts=KNOWN, connect_timeout=7))
    assert (seen["user"], seen["hostname"], seen["port"]) == ("root", "198.18.0.11", "22")
    assert (seen["identityfile"], seen["identitiesonly"]) == (str(KEY), "yes")
    assert (seen["stricthostkeychecking"], seen["batchmode"], seen["connecttimeout"]) == ("true", "yes", "7")
    assert seen["userknownhostsfile"] == str(KNOWN)


def test_a_connection_is_shared_only_by_those_who_trust_the_same_keys() -> None:
    one = Reach("compute1", "198.18.0.11", "root", key=KEY, known_hosts=KNOWN)
    others = [
        replace(one, known_hosts=Path("/of/another/cloud")),
        replace(one, key=None),
        replace(one, jump=Reach("jump", "203.0.113.7")),
    ]
    sockets = [as_ssh_reads(reach)["controlpath"] for reach in (one, replace(one, connect_timeout=1), *others)]
    assert sockets[0] == sockets[1]
    assert len(set(sockets)) == 1 + len(others)
    assert all(len(socket) < 80 for socket in sockets), "a socket's path has at most 107 bytes, and ssh adds 17"


def test_user_port_and_arguments_of_an_inventory_count() -> None:
    seen = as_ssh_reads(
        Reach("a", "a.example", "ops", 2222, arguments=("-o", "ProxyJump=bastion.example"), shared=False)
    )
    assert (seen["user"], seen["port"], seen["proxyjump"]) == ("ops", "2222", "bastion.example")
    assert seen["controlmaster"] == "false"


def test_a_jump_host_is_reached_by_its_own_way() -> None:
    jump = Reach("jump", "203.0.113.7", "debian", 2200, key=KEY, known_hosts=KNOWN, shared=False)
    command = as_ssh_reads(Reach("a", "10.0.0.5", "root", key=KEY, known_hosts=KNOWN, jump=jump))["proxycommand"]
    through = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True
    ).stdout.splitlines()
    assert through[0] == "ssh"
    assert through[-1] == "203.0.113.7"
    assert through[through.index("-W") + 1] == "[%h]:%p"
    assert f'UserKnownHostsFile="{KNOWN}"' in through


def test_words_arrive_as_they_are() -> None:
    command = Reach("a", "a.example", sudo=True).command(["echo", "two words", "$HOME"])
    assert command[-2:] == ["--", "sudo --non-interactive -- echo 'two words' '$HOME'"]


def test_this_machine_needs_no_ssh() -> None:
    assert Reach("here", "", is_here=True).run(["echo", "two  words"]) == "two  words\n"
    with pytest.raises(CommandError, match="On here") as caught:
        Reach("here", "", is_here=True).run(["sh", "-c", "exit 255"])
    assert not isinstance(caught.value, Unreachable)


def test_a_host_that_cannot_be_asked_is_told_from_a_command_that_fails() -> None:
    with pytest.raises(Unreachable, match=r"^On away, `true` ended with code 255") as caught:
        Reach("away", "127.0.0.1", port=1, known_hosts=KNOWN, shared=False).run(["true"], timeout=20)
    assert "refused" in caught.value.why


def test_ansible_gets_the_same_way() -> None:
    variables = Reach("a", "10.0.0.5", "root", 2222, known_hosts=KNOWN).variables()
    assert (variables["ansible_host"], variables["ansible_user"], variables["ansible_port"]) == (
        "10.0.0.5",
        "root",
        2222,
    )
    assert f"'UserKnownHostsFile=\"{KNOWN}\"'" in str(variables["ansible_ssh_common_args"])
