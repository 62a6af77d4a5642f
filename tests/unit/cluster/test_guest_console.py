# SPDX-License-Identifier: Apache-2.0
"""The first broken link is named by what the guest said on its console."""

import pytest

from arbaro.cluster.drivers import L2ISOLATE
from arbaro.cluster.guest_console import broken_link, host_keys

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


@pytest.mark.parametrize(
    ("missing", "means"),
    [
        ("kernel 6.1.0 up", "kernel"),
        ("by DHCP", "dnsmasq"),
        ("metadata reached", "metadata"),
        ("ssh ready", "dropbear"),
        ("script done", "script"),
    ],
)
def test_each_link_can_break(missing: str, means: str) -> None:
    console = "\n".join(line for line in CONSOLE.splitlines() if missing not in line)
    broken = broken_link(console, True, L2ISOLATE)
    assert means in broken.means
    assert "{" not in broken.run.format(name="lab", host="compute1", openstack="openstack")


def test_a_guest_that_is_up_but_silent_points_to_the_network() -> None:
    assert "security group" in broken_link(CONSOLE, False, L2ISOLATE).means


def test_host_keys_are_read_from_the_console() -> None:
    assert host_keys(CONSOLE) == ["ssh-ed25519 AAAAC3Nza"]
    assert host_keys("nothing") == []


def test_a_console_that_is_cut_off_has_no_keys_until_both_ends_are_there() -> None:
    begin, key, end = CONSOLE.splitlines()[3:6]
    assert host_keys(f"{key}\n{end}\n") == []
    assert host_keys(f"{end}\n{begin}\n{key}\n") == []
    assert host_keys(f"{end}\n{begin}\n{key}\n{end}\n{begin}\n") == ["ssh-ed25519 AAAAC3Nza"]
