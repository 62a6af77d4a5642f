# SPDX-License-Identifier: Apache-2.0
"""A guest's host keys are read from its console, and only when all of them are there."""

from arbaro.cluster.guest_console import host_keys

CONSOLE = """\
arbaro: 1.9 kernel 6.1.0 up
arbaro: 3.1 address 198.18.1.40/24 by DHCP
arbaro: 3.4 metadata reached
-----BEGIN SSH HOST KEY KEYS-----\r
ssh-ed25519 AAAAC3Nza root@first-vm\r
-----END SSH HOST KEY KEYS-----\r
arbaro: 3.9 ssh ready
arbaro: 4.0 user script done (exit 0)
"""


def test_host_keys_are_read_from_the_console() -> None:
    assert host_keys(CONSOLE) == ["ssh-ed25519 AAAAC3Nza"]
    assert host_keys("nothing") == []


def test_a_console_that_is_cut_off_has_no_keys_until_both_ends_are_there() -> None:
    begin, key, end = CONSOLE.splitlines()[3:6]
    assert host_keys(f"{key}\n{end}\n") == []
    assert host_keys(f"{end}\n{begin}\n{key}\n") == []
    assert host_keys(f"{end}\n{begin}\n{key}\n{end}\n{begin}\n") == ["ssh-ed25519 AAAAC3Nza"]
