# SPDX-License-Identifier: Apache-2.0
"""What the role neutron_l2isolate gives a hypervisor beside the agent: taps that are closed until it starts, and a management network
that servers do not see. Real: the role's files, kernel, taps, nft, our manager and firewall driver. Stand in: Ansible's template
module (jinja2 alone), systemctl, and what test_functional says.
"""

import os
import pathlib
import subprocess

import jinja2
import pytest
from arbaro_l2isolate.firewall import rules
from hypervisor import connect, inside, is_root, listen, ping, run
from test_functional import A, allow, world  # noqa: F401 - the fixture

ROLE = pathlib.Path(__file__).parents[3] / "ansible/roles/neutron_l2isolate"
CLOSED = ROLE / "files/l2isolate-closed.nft"
pytestmark = pytest.mark.skipif(not is_root(), reason="makes network namespaces")
# In the namespaces, the uplink is the management network.
SETTINGS = {
    "management_interface": "up1", "l2isolate_reachable": ["192.0.2.2"], "l2isolate_reachable_ports": [5000, 9696],
    "l2isolate_metadata_address": "192.0.2.2", "l2isolate_metadata_port": 8775,
}  # fmt: skip


def tables():
    with inside("host"):
        return run("nft", "list", "tables").splitlines()


def load(file):
    with inside("host"):
        run("nft", "--file", str(file))


def host_rules(directory):
    template = jinja2.Template((ROLE / "templates/l2isolate-host.nft.j2").read_text())
    (directory / "l2isolate-host.nft").write_text(template.render(SETTINGS))
    return directory / "l2isolate-host.nft"


def has_asked_in_vain(guest):
    """Return whether nobody answers a guest's ARP for its gateway."""
    with inside(guest.name):
        run("ip", "neigh", "flush", "dev", "eth0")
    ping(guest.name, "10.64.1.1")
    with inside(guest.name):
        return "lladdr" not in run("ip", "neigh", "show", "10.64.1.1")


def test_taps_are_closed_from_boot_on_until_the_agent_takes_over(world):  # noqa: F811
    world.plug(A, "web")
    assert ping("a", "192.0.2.2") == 1 and ping("out", A.address) == 1
    with inside("host"):
        run("nft", "flush", "ruleset")
    assert not has_asked_in_vain(A), "without any table, taps stand open"
    assert ping("a", "192.0.2.2") == 1 and ping("out", A.address) == 1

    load(CLOSED)
    assert tables() == [f"table inet {rules.TABLE}", f"table arp {rules.TABLE}"]
    assert has_asked_in_vain(A)
    with inside("a"):
        run("ip", "neigh", "replace", "10.64.1.1", "lladdr", "fe" + A.mac[2:], "dev", "eth0")
    assert ping("a", "192.0.2.2") == 0 and ping("a", "10.64.1.1") == 0 and ping("out", A.address) == 0

    world.start_agent()
    assert ping("a", "192.0.2.2") == 0, "it has started, and neutron has not spoken yet"
    world.serve(A.details())
    world.protect([A.filtered("web")], {"web": [{"direction": "egress", "ethertype": "IPv4"}, allow(7000)]})
    assert ping("a", "192.0.2.2") == 1 and ping("out", A.address) == 0, "the agent's rules alone are there"
    assert not has_asked_in_vain(A)
    server = listen("a", 7000)
    assert connect("out", A.address, 7000)
    server.close()


def test_the_closed_table_is_not_laid_over_the_agents(world):  # noqa: F811
    world.plug(A, "web")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        load(CLOSED)
    assert "File exists" in refused.value.stderr
    assert ping("a", "192.0.2.2") == 1


def test_servers_see_the_public_ports_of_the_management_network_and_nothing_else(world, tmp_path):  # noqa: F811
    world.plug(A, "web")
    servers = {port: listen("out", port) for port in (22, 3306, 5000, 5672, 8775, 9696)}
    assert all(connect("a", "192.0.2.2", port) for port in servers) and ping("a", "192.0.2.2") == 1
    load(host_rules(tmp_path))
    assert {port for port in servers if connect("a", "192.0.2.2", port)} == {5000, 8775, 9696}
    assert ping("a", "192.0.2.2") == 0
    mine = listen("a", 7000)
    assert connect("out", A.address, 7000) and ping("out", A.address) == 1, "the way in is not touched"
    for server in (*servers.values(), mine):
        server.close()


def test_the_hosts_unit_brings_its_rules_and_ends_when_they_have_gone(world, tmp_path):  # noqa: F811
    host_rules(tmp_path)
    (tmp_path / "l2isolate-closed.nft").write_text(CLOSED.read_text())
    script, systemctl, state = tmp_path / "l2isolate-host", tmp_path / "systemctl", tmp_path / "state"
    script.write_text((ROLE / "files/l2isolate-host").read_text().replace("/etc/neutron", str(tmp_path)))
    systemctl.write_text(f'#!/bin/sh\n[ "$(cat {state})" = active ]\n')
    for file in (script, systemctl):
        file.chmod(0o755)
    path = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    own, agents = "table inet l2isolate_host", [f"table inet {rules.TABLE}", f"table arp {rules.TABLE}"]

    with inside("host"):
        state.write_text("active")
        run(script, "load", env=path)
        assert sorted(tables()) == sorted([own, *agents])
        assert "vmap @egress_of" in run("nft", "list", "table", "inet", rules.TABLE), "the agent's, as they were"
        watch = subprocess.Popen([script, "watch"], stderr=subprocess.PIPE, text=True, env=path)
        with pytest.raises(subprocess.TimeoutExpired):
            watch.wait(0.5)
        run("nft", "flush", "ruleset")
        assert "somebody flushed nftables" in watch.communicate(timeout=5)[1] and watch.returncode == 1

        run(script, "load", env=path)
        assert tables() == [own], "a running agent sees for itself that its table has gone"
        state.write_text("inactive")
        run(script, "load", env=path)
        assert sorted(tables()) == sorted([own, *agents])


def test_the_closed_table_names_what_the_agent_names():
    assert {line.split()[2] for line in CLOSED.read_text().splitlines() if line.startswith("table")} == {rules.TABLE}
