# SPDX-License-Identifier: Apache-2.0
"""What dnsmasq's files say and when it has to start anew: pure. That it does what they say is in test_functional.py."""

from types import SimpleNamespace

import pytest
from arbaro_l2isolate import dnsmasq
from arbaro_l2isolate.ports import Subnet

SETTINGS = SimpleNamespace(
    dhcp_directory="/d", dhcp_user="dnsmasq", dhcp_lease_seconds=600, dns_servers=["192.0.2.1"], dns_domain=""
)
SUBNET = Subnet("s1", "10.64.1.0/24", "10.64.1.1")


def device(number, subnet="s1", address=None):
    fixed = [
        {"subnet_id": "s6", "ip_address": "2001:db8::1"},
        {"subnet_id": subnet, "ip_address": address or f"10.64.1.{number}"},
    ]
    return {"device": f"tap{number}", "mac_address": f"FA:16:3E:00:00:0{number}", "fixed_ips": fixed, "mtu": 1450}


def files(*devices, subnet=SUBNET):
    return dnsmasq.render(dnsmasq.wanted_leases(devices, {"s1": subnet}), SETTINGS)


def test_a_port_is_one_file_and_one_line():
    assert files(device(5))["hosts/tap5"] == "fa:16:3e:00:00:05,tag:tap5,10.64.1.5,host-10-64-1-5,600\n"


def test_a_subnet_is_one_file():
    assert files(device(5))["subnets/s1.conf"].splitlines() == [
        "dhcp-range=set:ss1,10.64.1.0,static,255.255.255.0,600s",
        "dhcp-option=tag:ss1,option:router,10.64.1.1",
        "dhcp-option=tag:ss1,option:classless-static-route,10.64.1.1/32,0.0.0.0,0.0.0.0/0,10.64.1.1",
        "dhcp-option=tag:ss1,249,10.64.1.1/32,0.0.0.0,0.0.0.0/0,10.64.1.1",
        "dhcp-option=tag:ss1,option:dns-server,192.0.2.1",
        "dhcp-option-force=tag:ss1,option:mtu,1450",
    ]


@pytest.mark.parametrize(
    "subnet", [Subnet("s1", "10.64.1.0/24", "10.64.1.1", dhcp=False), Subnet("s1", "10.64.1.0/24")]
)
def test_no_lease_without_dhcp_or_gateway(subnet):
    assert set(files(device(5), subnet=subnet)) == {"dnsmasq.conf"}


@pytest.mark.parametrize(
    ("found", "wanted", "expected"),
    [
        (files(device(5)), files(device(5)), dnsmasq.NOTHING),
        (files(device(5)), files(device(5), device(6)), dnsmasq.RELOAD),
        (files(device(5), device(6)), files(device(5)), dnsmasq.RESTART),
        (files(device(5)), files(device(5, address="10.64.1.9")), dnsmasq.RESTART),
        ({}, files(device(5)), dnsmasq.RESTART),
        (
            files(device(5)),
            files(device(5), subnet=Subnet("s1", "10.64.1.0/24", "10.64.1.1", dns=("9.9.9.9",))),
            dnsmasq.RESTART,
        ),
    ],
)
def test_what_a_change_needs(found, wanted, expected):
    assert dnsmasq.needed(found, wanted) == expected


def test_nothing_goes_before_neutron_has_spoken_of_all():
    assert set(dnsmasq.wanted_files(files(device(5)), files(device(6)), complete=False)) >= {"hosts/tap5", "hosts/tap6"}
    assert "hosts/tap5" not in dnsmasq.wanted_files(files(device(5)), files(device(6)), complete=True)
