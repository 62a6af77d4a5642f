# SPDX-License-Identifier: Apache-2.0
"""What ports.py has in neutron: a project of its own, with a subnet for many ports; and its scripts on the hosts."""

import concurrent.futures
import functools
import json
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openstack

HERE = Path(__file__).parent
NAME = "arbaro-benchmark-ports"
#: Shared address space (RFC 6598): neither a personal cloud nor the Internet has it.
POOL = "100.64.0.0/20"
BULK = 100


class Remote:
    """One of our scripts on a host of the cloud, asked one question at a time; it ends when its input does."""

    def __init__(self, cloud: str, host: str, script: str, **settings: Any) -> None:
        self.host = host
        text = (HERE / script).read_text()
        command = f"exec python3 -Buc {shlex.quote(text)} {shlex.quote(json.dumps(settings))}"
        argv = [HERE.parent / "arbaro", "ssh", cloud, host, "--", command]
        # A session of its own: Ctrl-C ends us, and our end ends it, in order.
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True, start_new_session=True)

    def ask(self, do: str, **words: Any) -> Any:
        """Have one thing done there."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps({"do": do, **words}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"The script on {self.host} ended.")
        return json.loads(line)

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=120)


class Neutron:
    """Our part of neutron; its ports are in the group `default`, as those of servers are that name no other."""

    def __init__(self, cloud: str) -> None:
        self.connection = openstack.connect(cloud=f"arbaro-{cloud}")
        self.api = self.connection.network
        agents = list(self.api.agents())
        self.driver = "l2isolate" if any("isolate" in agent.agent_type for agent in agents) else "linuxbridge"
        self.compute = next(agent.host for agent in agents if agent.host != "controller")

    def __enter__(self) -> "Neutron":
        self._remove()
        self.project = self.connection.identity.create_project(name=NAME, description="made by benchmarks/ports.py").id
        self.api.update_quota(self.project, ports=-1)
        self.network = self._network()
        self.subnet = self.api.create_subnet(name=NAME, network_id=self.network, ip_version=4, cidr=POOL).id
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def _network(self) -> str:
        """A network of our own; of a flat one there can be no second, so its ports are on the servers' own."""
        if self.driver == "l2isolate":
            return str(self.api.create_network(name=NAME, provider_network_type=self.driver).id)
        return next(network.id for network in self.api.networks() if network.provider_physical_network == "physnet1")

    def create(self, count: int) -> tuple[dict[str, str], float]:
        """Make ports, bound to the compute as nova binds them; return {id: MAC}, and when neutron had answered."""
        port = {
            "name": NAME,
            "project_id": self.project,
            "network_id": self.network,
            "fixed_ips": [{"subnet_id": self.subnet}],
            "device_owner": "compute:nova",
            "binding:host_id": self.compute,
        }
        asked = {"ports": [{**port, "device_id": str(uuid.uuid4())} for _ in range(count)]}
        answer = patiently("neutron makes ports", lambda: self.api.post("/ports", json=asked, timeout=300))
        at = time.monotonic()
        if answer.status_code != 201:
            raise SystemExit(f"neutron refused {count} ports: {answer.text[:500]}")
        made = answer.json()["ports"]
        unbound = [port["id"] for port in made if port["binding:vif_type"] in ("binding_failed", "unbound")]
        if unbound:
            raise SystemExit(f"{len(unbound)} of {count} ports were not bound: is the agent on {self.compute} alive?")
        return {port["id"]: port["mac_address"] for port in made}, at

    def _remove(self) -> None:
        """Take all away that this or an earlier run has made."""
        for project in list(self.connection.identity.projects(name=NAME)):
            ports = [port.id for port in self.api.ports(project_id=project.id, fields=["id"])]
            for start in range(0, len(ports), BULK):
                say(f"deleting ports, {len(ports) - start} left")
                patiently("still deleting", functools.partial(self._delete, ports[start : start + BULK]))
            for subnet in list(self.api.subnets(name=NAME)):
                self.api.delete_subnet(subnet)
            for network in list(self.api.networks(name=NAME)):
                self.api.delete_network(network)
            for group in list(self.api.security_groups(project_id=project.id)):
                self.api.delete_security_group(group)
            self.api.delete_quota(project.id)
            self.connection.identity.delete_project(project)

    def _delete(self, ports: list[str]) -> None:
        with concurrent.futures.ThreadPoolExecutor(4) as several:
            list(several.map(self.api.delete_port, ports))


def patiently(what: str, call: Callable[[], Any]) -> Any:
    """Do something that may take long, and say each ten seconds that it does."""
    with concurrent.futures.ThreadPoolExecutor(1) as aside:
        future = aside.submit(call)
        began = time.monotonic()
        while not future.done():
            concurrent.futures.wait([future], timeout=10)
            if not future.done():
                say(f"{what} ({time.monotonic() - began:.0f} s)")
        return future.result()


def wait(done: Callable[[], bool], seconds: float, progress: Callable[[], str]) -> bool:
    """Look each half second until it is done or the time is over; say how far it is each ten seconds."""
    began = said = time.monotonic()
    while not done():
        now = time.monotonic()
        if now - began > seconds:
            say(f"not done within {seconds:.0f} s: {progress()}")
            return False
        if now - said >= 10:
            say(progress())
            said = now
        time.sleep(0.5)
    return True


def say(text: str) -> None:
    """Say how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
