# SPDX-License-Identifier: Apache-2.0
"""The agent as a process.

Real: the console script's main, neutron's common agent loop and RPC callbacks, oslo.messaging, the privsep daemons, the
capabilities of both containers, keep-dnsmasq, kernel, nft, dnsmasq. Stands in: neutron-server and the broker
(agent_with_server.py), the rest of the containers, guests, the fabric.
"""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import pytest
from hypervisor import Guest, Hypervisor, inside, is_root, ping, run, wait_for

import conftest

pytestmark = pytest.mark.skipif(not is_root(), reason="makes network namespaces")
A, B = Guest("a", 1, "10.64.1.11"), Guest("b", 2, "10.64.1.12")
SUBNET, NETWORK = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
CONFIGURATION = """
[DEFAULT]
transport_url = fake://
host = hv1
state_path = {directory}
rpc_response_timeout = 5
[oslo_concurrency]
lock_path = {directory}
[AGENT]
polling_interval = 1
report_interval = 2
root_helper = env
[SECURITYGROUP]
firewall_driver = l2isolate
[l2isolate]
dhcp_directory = {directory}/dhcp
dhcp_user = root
dhcp_supervised = {supervised}
elevated_seconds = 1
"""
TREE = pathlib.Path(__file__).parents[3]
UNITS = TREE / "ansible/roles/neutron_l2isolate/templates"
KEEPER = TREE / "images/agents/l2isolate/root/usr/bin/keep-dnsmasq"
STAYS_UP = TREE / "ansible/playbooks/tasks/stays-up.yml"
THROUGH = re.search(r'"(A whole turn .*?)\\?"', STAYS_UP.read_text())[1]
RULES = [
    {"direction": "egress", "ethertype": "IPv4"},
    {"direction": "ingress", "ethertype": "IPv4", "protocol": "icmp"},
]


def container(name):
    """Return the capabilities that a container's unit gives it."""
    text = (UNITS / f"{name}.service.j2").read_text()
    return re.search(rf"container\.run\('{name}', \[(.*?)\]\)", text)[1].replace("'", "").lower().split(", ")


def limited(capabilities):
    """Return what starts a process with these capabilities in its bounding set, and nothing else."""
    return ["setpriv", "--bounding-set", ",".join(["-all", *(f"+{name}" for name in capabilities)])]


class Agent:
    def __init__(self, directory, supervised):
        self.directory, self.seen = directory, 0
        self.capabilities = container("neutron-l2isolate-agent")
        (directory / "dhcp").mkdir()
        (directory / "agent.conf").write_text(CONFIGURATION.format(directory=directory, supervised=supervised))
        self.here(A, B)

    def here(self, *guests, elsewhere=(), failing=()):
        fixed = lambda guest: [{"subnet_id": SUBNET, "ip_address": guest.address}]  # noqa: E731
        details = {
            g.tap: {**g.details(fixed_ips=fixed(g), network_id=NETWORK), "physical_network": None} for g in guests
        }
        details.update({g.tap: {"device": g.tap, "no_active_binding": True} for g in elsewhere})
        bound = {
            "binding:host_id": "hv1",
            "binding:vif_details": {"bound_drivers": {"0": "l2isolate"}},
            "binding:profile": {},
        }
        listed = [{**details[g.tap], **bound, "id": g.tap[3:], "security_groups": ["web"]} for g in guests]
        moving = {"binding:vif_type": "tap", "binding:profile": {"migrating_to": "hv1"}}
        ports = {g.tap: g.filtered("web") for g in guests} | {g.tap: g.filtered("web", **moving) for g in elsewhere}
        groups = {"security_groups": {"web": RULES}, "sg_member_ips": {}}
        answers = {"details": details, "ports": ports, "groups": groups, "network": NETWORK, "failing": list(failing)}
        answers["listed"] = listed
        (self.directory / "answers.json").write_text(json.dumps(answers))

    def start(self):
        path = f"{conftest.SCRATCH.name}:{conftest.PLUGIN}"
        script = str(pathlib.Path(__file__).with_name("agent_with_server.py"))
        output = (self.directory / "out").open("a")
        with inside("host"):
            self.process = subprocess.Popen(
                [*limited(self.capabilities), sys.executable, script, str(self.directory)],
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONPATH": path},
            )

    def kill(self):
        self.process.kill()
        self.process.wait()

    def send(self, method, **arguments):
        (self.directory / "draft").write_text(json.dumps([method, arguments]))
        (self.directory / "draft").rename(self.directory / "send")

    def heard(self, method):
        log = self.directory / "log"
        return [
            entry[1]
            for entry in map(json.loads, log.read_text().splitlines() if log.exists() else [])
            if entry[0] == method
        ]

    def is_through(self):
        """Return whether it has said what playbooks wait for (ansible/playbooks/tasks/stays-up.yml)."""
        return THROUGH in (self.directory / "out").read_text()

    def messages(self):
        """Return how many messages neutron-server has had, but for the agent's being alive."""
        return sum('"report_state"' not in line for line in (self.directory / "log").read_text().splitlines())

    def complaints(self):
        """Return the errors, and what could not be told, that were logged since the last time."""
        lines = (self.directory / "out").read_text().splitlines()
        seen, self.seen = self.seen, len(lines)
        return [line for line in lines[seen:] if " ERROR " in line or "could not take" in line]


@contextlib.contextmanager
def agent_on_a_host(directory, supervised):
    with Hypervisor() as hypervisor:
        agent = Agent(directory, supervised)
        agent.hypervisor = hypervisor
        try:
            yield agent
        finally:
            agent.process.terminate()
            agent.process.wait(20)
            print((directory / "out").read_text()[-6000:])


@contextlib.contextmanager
def dnsmasqs_container(directory):
    """Run what the container l2isolate-dhcp runs, in its host's network."""
    with inside("host"):
        words = [*limited(container("l2isolate-dhcp")), KEEPER, directory]
        keeper = subprocess.Popen(words, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        wait_for("the pipe", (directory / "control").exists)
        yield
    finally:
        subprocess.run(["kill", "--", f"-{keeper.pid}"], check=False)
        keeper.wait()


@pytest.fixture
def agent(tmp_path):
    """Return an agent as the cloud runs it."""
    with agent_on_a_host(tmp_path, True) as agent, dnsmasqs_container(tmp_path / "dhcp"):
        yield agent


def routes():
    """Return the metrics of our routes, by their destinations."""
    found = {}
    with inside("host"):
        for line in run("ip", "route", "show", "proto", "97").splitlines():
            found.setdefault(line.split()[0], set()).add(line.split("metric ")[1].strip())
    return found


def test_it_says_when_a_whole_turn_has_gone_through(agent):
    agent.hypervisor.boot(A)
    agent.here(A, failing=[A.tap])
    agent.start()
    wait_for("A told twice", lambda: agent.heard("update_device_list").count([A.tap]) > 1, 240)
    assert not agent.is_through(), "neutron-server has not taken the state of A"
    agent.here(A)
    wait_for("a whole turn", agent.is_through, 10)


def test_the_agents_life(agent):
    agent.hypervisor.boot(A)
    agent.start()
    wait_for("A up", lambda: A.tap in agent.heard("update_device_up"), 240)
    wait_for("ping", lambda: ping("out", A.address), 5)
    assert agent.heard("report_state")[0] == "L2 isolate agent"

    agent.hypervisor.boot(B)
    wait_for("B up", lambda: B.tap in agent.heard("update_device_up"), 5)
    assert ping("a", B.address) == 1
    assert len(agent.heard("bulk_pull")) == 1, "one question for the subnet, none for later ports"
    before = agent.messages()
    time.sleep(2.5)
    assert agent.messages() == before, "no messages while nothing happens"

    # The agent dies and comes back: not a packet is lost.
    with inside("out"):
        flood = subprocess.Popen(
            ["ping", "-n", "-q", "-i", "0.02", "-c", "350", A.address], stdout=subprocess.PIPE, text=True
        )
    dnsmasq = (agent.directory / "dhcp" / "pid").read_text()
    agent.kill()
    time.sleep(0.5)
    before, reported = agent.messages(), len(agent.heard("update_device_list"))
    agent.start()
    # The list of ports, their network, the rules of one in the name of both, the subnet; both are active already.
    wait_for("its questions", lambda: agent.messages() == before + 4, 240)
    assert " 0% packet loss" in flood.communicate(timeout=60)[0]
    assert (agent.directory / "dhcp" / "pid").read_text() == dnsmasq
    assert agent.messages() == before + 4 and len(agent.heard("update_device_list")) == reported

    # Neutron-server fails to take a state: it is told again.
    assert agent.complaints() == []
    agent.here(A, B, failing=[A.tap])
    agent.send(
        "port_update", port={"id": A.tap[3:]}, network_type="l2isolate", segmentation_id=None, physical_network=None
    )
    wait_for("a failure", lambda: any("could not take the state of" in line for line in agent.complaints()), 5)
    agent.here(A, B)
    told = agent.heard("update_device_up").count(A.tap)
    wait_for("A told again", lambda: agent.heard("update_device_up").count(A.tap) == told + 1, 5)
    agent.complaints()

    # A moves away, and comes back.
    agent.here(B, elsewhere=[A])
    agent.send("binding_deactivate", port_id=A.tap[3:], host="hv1", network_id=NETWORK)
    started = time.monotonic()
    wait_for("no route to A", lambda: set(routes()) == {B.address}, 2)
    print(f"withdrawn after {time.monotonic() - started:.3f} s, of which up to 0.05 s were the test's own")
    agent.here(A, B)
    agent.send("binding_activate", port_id=A.tap[3:], host="hv1")
    started = time.monotonic()
    wait_for("a route to A", lambda: routes().get(A.address) == {"4209", "4210"}, 2)
    print(f"announced after {time.monotonic() - started:.3f} s, of which up to 0.05 s were the test's own")
    wait_for("no preference any more", lambda: routes()[A.address] == {"4210"}, 5)

    # B is deleted: first its tap goes, then its file, flows, rules.
    agent.hypervisor.halt(B)
    wait_for("B down", lambda: B.tap in agent.heard("update_device_down"), 5)
    wait_for("its lease's end", lambda: not (agent.directory / "dhcp" / "hosts" / B.tap).exists(), 3)
    assert set(routes()) == {A.address}

    # B comes by live migration: the tap is made, QEMU lets the guest run, neutron hears of it later.
    agent.here(A, elsewhere=[B])
    asked = len(agent.heard("get_devices_details_list"))
    with inside("b"):
        # Else it would speak as soon as its link is up.
        pathlib.Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
    agent.hypervisor.boot(B)
    gateway = "fe" + B.mac[2:]
    with inside("b"):
        run("ip", "neigh", "replace", "10.64.1.1", "lladdr", gateway, "dev", "eth0")  # As it was on the old host.
    with inside("host"):
        run("ip", "link", "set", B.tap, "address", gateway, "up")
    wait_for("question about B", lambda: len(agent.heard("get_devices_details_list")) > asked, 5)
    time.sleep(0.5)
    assert set(routes()) == {A.address}
    with inside("b"):
        announcement = subprocess.Popen(["ping", "-c1", "-W1", "192.0.2.2"], stdout=subprocess.DEVNULL)
    started = time.monotonic()
    wait_for("a route to B", lambda: routes().get(B.address) == {"4209", "4210"}, 1)
    print(f"welcomed after {time.monotonic() - started:.3f} s, of which up to 0.05 s were the test's own")
    announcement.wait(5)
    assert ping("out", B.address) == 1
    assert agent.complaints() == []


def test_an_agent_that_nobody_helps_keeps_dnsmasq_itself(tmp_path):
    """As from the plug-in's wheel, without our containers: it needs what both of them have together."""
    with agent_on_a_host(tmp_path, False) as agent:
        pid = tmp_path / "dhcp" / "pid"
        agent.capabilities = container("l2isolate-dhcp")
        agent.hypervisor.boot(A)
        agent.start()
        try:
            first = wait_for("dnsmasq", lambda: pid.exists() and pid.read_text().strip(), 240)
            subprocess.run(["kill", "-9", first], check=True)
            wait_for("another one", lambda: pid.read_text().strip() not in ("", first), 5)
        finally:
            subprocess.run(["kill", pid.read_text().strip()], check=False)
