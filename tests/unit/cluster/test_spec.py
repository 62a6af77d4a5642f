# SPDX-License-Identifier: Apache-2.0
"""Addresses are planned without a look at the machine."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from arbaro.cluster.spec import CloudSpec, choose_subnets
from arbaro.errors import ArbaroError

POOL = IPv4Network("198.18.0.0/15")


def test_two_clouds_get_different_networks() -> None:
    first = choose_subnets(POOL, [])
    second = choose_subnets(POOL, first)
    assert first == (IPv4Network("198.18.0.0/24"), IPv4Network("198.18.1.0/24"))
    assert second == (IPv4Network("198.18.2.0/24"), IPv4Network("198.18.3.0/24"))


def test_networks_in_use_are_kept_clear_of() -> None:
    assert choose_subnets(POOL, [IPv4Network("198.18.0.0/16")])[0] == IPv4Network("198.19.0.0/24")


def test_a_full_range_is_named() -> None:
    with pytest.raises(ArbaroError, match=r"198\.18\.0\.0/15"):
        choose_subnets(POOL, [IPv4Network("198.16.0.0/12")])


def test_hosts_and_their_addresses() -> None:
    spec = CloudSpec("lab", "zed", 2, "linuxbridge", IPv4Network("198.18.4.0/24"), IPv4Network("198.18.5.0/24"))
    assert [(host.name, str(host.address)) for host in spec.hosts] == [
        ("controller", "198.18.4.10"),
        ("compute1", "198.18.4.11"),
        ("compute2", "198.18.4.12"),
    ]
    assert spec.provider_address(spec.compute(1)) == IPv4Address("198.18.5.2")


def test_a_fabric_cables_each_compute_to_both_switches() -> None:
    spec = CloudSpec("lab", "zed", 2, "l2isolate", IPv4Network("198.18.4.0/24"), IPv4Network("198.18.5.0/24"))
    assert [host.name for host in spec.hosts] == ["controller", "tor1", "tor2", "compute1", "compute2"]
    ends = [(cable.one, cable.other) for cable in spec.cables]
    assert ends[0] == (("tor1", "peer"), ("tor2", "peer"))
    assert ends[-1] == (("tor2", "port2"), ("compute2", "tor2"))
    assert len(ends) == len({end for pair in ends for end in pair}) / 2 == 5
    assert str(spec.guest_router) not in {str(host.address) for host in spec.hosts}
