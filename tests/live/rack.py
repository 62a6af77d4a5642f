# SPDX-License-Identifier: Apache-2.0
"""A rack of emulated machines beside a cloud: one more plain host, and the playbook machines.yml over it and the controller."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arbaro import shell
from arbaro.cluster import playbooks
from arbaro.cluster.cloud import Cloud
from arbaro.cluster.providers.podman import Podman
from arbaro.hosts import Host

from .conftest import ROOT

RACK = "rack"


class Rack:
    """The host, its network (the last quarter of the underlay), and its machines pm1, pm2, …"""

    def __init__(self, cloud: Cloud, machines: int, scratch: Path, ramdisk: Path):
        self.cloud, self.machines, self._scratch, self._ramdisk = cloud, machines, scratch, ramdisk
        self.host = Host(RACK, cloud.spec.underlay[9], frozenset({RACK}))
        self.network = list(cloud.spec.underlay.subnets(new_prefix=26))[-1]
        self.gateway = self.network[1]

    def bundle(self, name: str, *requirements: str) -> Path:
        """Pack Python distributions for a host."""
        file = self._scratch / f"{name}.tar"
        if not file.exists():
            shell.run([ROOT / "services/machines/bundle", file, *requirements], timeout=600)
        return file

    @property
    def variables(self) -> dict[str, Any]:
        """What the playbook is told."""
        return {
            "machines_bundle": str(self.bundle("machines", f"{ROOT}/services/machines[service]")),
            "machines_ramdisk": str(self._ramdisk),
            "machines_emulated_bundle": str(self.bundle("rack", "sushy-tools", "sushy", "bcrypt")),
            "machines_emulated_count": self.machines,
            "machines_emulated_network": str(self.network),
            "machines_emulated_gateway": str(self.gateway),
            "machines_emulated_ramdisks": f"{self.network[2]},{self.network[15]}",
        }

    @property
    def inventory(self) -> dict[str, Any]:
        """The cloud's inventory with the rack in it."""
        inventory = self.cloud.inventory
        inventory["all"]["vars"].update(self.variables)
        inventory["all"]["vars"]["hosts_entries"].append({"name": RACK, "address": str(self.host.address)})
        inventory["all"]["children"][RACK] = {"hosts": {RACK: {"ansible_host": str(self.host.address)}}}
        return inventory

    def start(self) -> None:
        """Make the host, and this machine's route to the machines."""
        spec, keeper, provider = self.cloud.spec, self.cloud.keeper, Podman()
        keeper.prepare(spec.public_address, [*spec.hosts, self.host])
        files: Mapping[str, tuple[int, bytes]] = {
            "/etc/hosts": (0o644, playbooks.host_entries([*spec.hosts, self.host])),
            "/etc/dpkg/dpkg.cfg.d/unsafe-io": (0o644, b"force-unsafe-io\n"),
            **keeper.host_keys(self.host),
        }
        provider.create_host(spec, self.host, self.cloud.images.base, files)
        provider.start_host(spec.name, RACK)
        shell.run(["ip", "route", "replace", str(self.network), "via", str(self.host.address)])

    def play(self) -> str:
        """Run the playbook."""
        return playbooks.run_playbook("machines", self.inventory, self.cloud.keeper, lambda _: None)

    def run(self, *command: str) -> str:
        """Run a command on the rack's host."""
        return shell.run([*self.cloud.keeper.ssh(self.host), *command])

    def console(self, number: int) -> str:
        """Read what a machine said on its serial console."""
        return self.run("cat", f"/var/lib/rack/consoles/pm{number}")

    def _api(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Ask the machine service as the cloud's admin."""
        answer = self.cloud.ground.connection.session.request(
            f"http://{self.cloud.spec.public_address}:8780{path}", method, json=body, raise_exc=True
        )
        answered: dict[str, Any] = answer.json()
        return answered

    def enrol(self) -> None:
        """Enrol the machines, have them inspected, and bring them into the stock."""
        password = (self.cloud.keeper.directory / "machines" / "bmc").read_text().strip()
        known = {machine["name"] for machine in self.enrolled()}
        for number in range(1, self.machines + 1):
            if f"pm{number}" in known:
                continue
            self._api("POST", "/v1/machines", {
                "name": f"pm{number}", "resource_class": "CUSTOM_PM_SMALL", "model": "emulated", "room": "here", "rack": "a01",
                "interfaces": [{"mac": f"52:54:00:70:6d:{number:02x}", "name": "eth0", "boot": True}],
                "console_url": f"tcp://{self.host.address}:{7000 + number}",
                "bmc": {
                    "address": f"http://{self.host.address}:8000", "username": "admin", "password": password,
                    "system": f"/redfish/v1/Systems/00000000-0000-0000-0000-0000000000{number:02}",
                },
            })  # fmt: skip
        for verb, done in (("inspect", "inspected"), ("provide", "available")):
            for machine in self.enrolled():
                self._api("POST", f"/v1/machines/{machine['id']}/{verb}", {})
                # One after the other: two cores boot one machine faster than two.
                self.wait(machine["id"], done)

    def enrolled(self) -> list[dict[str, Any]]:
        """List the machines."""
        machines: list[dict[str, Any]] = self._api("GET", "/v1/machines")["machines"]
        return machines

    def states(self) -> list[str]:
        """List their states."""
        return [machine["state"] for machine in self.enrolled()]

    def number_of(self, machine_id: str) -> int:
        """Say which of the emulated machines this is."""
        return int(self._api("GET", f"/v1/machines/{machine_id}")["name"].removeprefix("pm"))

    def wait(self, machine_id: str, state: str, seconds: float = 180) -> None:
        """Wait until a machine's task is over; it must then be in this state."""
        deadline = time.monotonic() + seconds
        while (machine := self._api("GET", f"/v1/machines/{machine_id}"))["task"]:
            assert time.monotonic() < deadline, machine
            time.sleep(1)
        assert machine["state"] == state, machine
