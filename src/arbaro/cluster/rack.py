# SPDX-License-Identifier: Apache-2.0
"""A cloud's emulated physical machines: enrolled in the machine service, and what a server on one of them needs."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from arbaro.checks import Finding, judge, wait_until_silent
from arbaro.cluster import this_machine
from arbaro.cluster.built import Built
from arbaro.cluster.checks.machines import MACHINE_NOT_OFFERED
from arbaro.cluster.evidence import MACHINE_STATES, OFFERED_MACHINES, OPENSTACK, answer
from arbaro.cluster.ground import Ground
from arbaro.cluster.spec import CloudSpec
from arbaro.errors import ArbaroError
from arbaro.evidence import Evidence, Seen
from arbaro.services import find_service
from arbaro.steps import Note

#: Seconds. The service itself would wait for a silent BMC without end.
BMC_PATIENCE = 300
NETWORK = "pm"
FLAVOR = "pm.small"
IMAGE = "tiny-disk"
RESOURCE_CLASS = "CUSTOM_PM_SMALL"
#: A machine is given out whole: what it is made of counts for nothing in placement.
FLAVOR_SPECS: Mapping[str, str] = {
    **{f"resources:{name}": "0" for name in ("VCPU", "MEMORY_MB", "DISK_GB")},
    f"resources:{RESOURCE_CLASS}": "1",
}
#: State of a machine that is not in the stock yet → what brings it nearer.
NEXT: Mapping[str, str] = {
    "enrolled": "inspect",
    "inspect-failed": "inspect",
    "inspected": "provide",
    "clean-failed": "provide",
}
#: States on the way; all others are the stock, or somebody has it.
UNDER_WAY = frozenset({*NEXT, "inspecting", "cleaning"})


@dataclass(frozen=True)
class Rack:
    """The machines, made known and looked at as admin."""

    spec: CloudSpec
    ground: Ground
    disk: Built

    def is_incomplete(self) -> bool:
        """Say whether image, flavor or network for machines is missing."""
        c = self.ground.connection
        flavor = c.compute.find_flavor(FLAVOR, get_extra_specs=True)
        return not (flavor and flavor.extra_specs and self._subnet() and self._image())

    def prepare(self, note: Note) -> None:
        """Make a flavor and a network, and upload a guest on a disk that starts by itself."""
        compute, image = self.ground.connection.compute, self.ground.connection.image
        note("flavor")
        flavor = compute.find_flavor(FLAVOR) or compute.create_flavor(name=FLAVOR, vcpus=2, ram=768, disk=4)
        compute.create_flavor_extra_specs(flavor, dict(FLAVOR_SPECS))
        note("network")
        self._make_network()
        if not self._image():
            note("image")
            for old in image.images(name=IMAGE, owner=self.ground.connection.current_project_id):
                image.delete_image(old)
            image.create_image(
                IMAGE,
                filename=str(self.disk.path),
                container_format="bare",
                disk_format="raw",
                visibility="public",
                arbaro_build=self.disk.path.name,
                validate_checksum=False,
            )

    def _image(self) -> Any:
        c = self.ground.connection
        found = c.image.images(name=IMAGE, owner=c.current_project_id)
        current = (one for one in found if one.properties.get("arbaro_build") == self.disk.path.name)
        return next((one for one in current if one.status == "active"), None)

    def _make_network(self) -> None:
        neutron = self.ground.connection.network
        network = self.ground.own(neutron.networks, NETWORK) or neutron.create_network(
            name=NETWORK, is_shared=True, provider_network_type="flat", provider_physical_network="rack"
        )
        if not self._subnet():
            neutron.create_subnet(network_id=network.id, **wanted_subnet(self.spec.rack_network))

    def _subnet(self) -> Any:
        return self.ground.own(self.ground.connection.network.subnets, NETWORK)

    def lacks_machines(self) -> bool:
        """Say whether a machine is not enrolled, not in the stock yet, or not offered; or whether nobody answers."""
        if self._silence():
            return True
        states = {name: found["state"] for name, found in self.machines().items()}
        return any(states.get(name, "enrolled") in UNDER_WAY for name in self.spec.machine_names) or bool(
            self.unoffered()
        )

    def enrol(self, note: Note) -> None:
        """Enrol the machines, and bring them into the stock, one after the other: each starts its ramdisk for that.

        Then wait until nova offers them: it looks at them now and then only.
        """
        wait_until_silent(self._silence, what="An answer of the machine service", timeout=60, note=note)
        password = self.ground.keeper.identity()["machines_bmc_password"]
        known = self.machines()
        for name in self.spec.machine_names:
            if name not in known:
                known[name] = self.ask("POST", "/v1/machines", wanted_enrolment(self.spec, name, password))
        for name in self.spec.machine_names:
            self._bring_into_stock(known[name], note)
        wait_until_silent(self.unoffered, what="Nova offering the machines", timeout=180, interval=2, note=note)

    def _bring_into_stock(self, found: dict[str, Any], note: Note) -> None:
        while (found := self._when_idle(found, note))["state"] in NEXT:
            verb = NEXT[found["state"]]
            note(f"{found['name']}: {verb}")
            found = self._when_idle(self.ask("POST", f"/v1/machines/{found['id']}/{verb}", {}), note)
            if fault := found["fault"]:
                hint = f"arbaro ssh {self.spec.name} rack -- tail -c 2000 /var/lib/rack/consoles/{found['name']}"
                raise ArbaroError(
                    f"{found['name']}: {verb} failed: {fault['cause']}", why=fault["next_step"], hint=hint
                )

    def _when_idle(self, found: dict[str, Any], note: Note) -> dict[str, Any]:
        """Wait until nothing works on the machine. The service ends each step in time, but waits for a silent BMC."""
        path, silence_ends = f"/v1/machines/{found['id']}", 0.0
        while task := (found := self.ask("GET", path))["task"]:
            note(f"{found['name']}: {task['step'] or found['state']}")
            if waits_for := task["waits_for"]:
                silence_ends = silence_ends or time.monotonic() + BMC_PATIENCE
                if time.monotonic() > silence_ends:
                    hint = f"arbaro logs {self.spec.name} rack rack-bmc"
                    raise ArbaroError(f"{found['name']} waits for its BMC: {waits_for['cause']}", hint=hint)
            else:
                silence_ends = 0.0
            time.sleep(1)
        return found

    def machines(self) -> dict[str, dict[str, Any]]:
        """Ask for all machines by name."""
        return {found["name"]: found for found in self.ask("GET", "/v1/machines")["machines"]}

    def states(self) -> list[dict[str, Any]]:
        """How each machine is; of its fault and its maintenance only why."""
        found: list[dict[str, Any]] = []
        path = "/v1/machines"
        while path:
            page = self.ask("GET", path)
            found += page["machines"]
            path = page["links"]["next"]
        return [
            {
                **{key: one[key] for key in ("id", "name", "state")},
                "maintenance": (one["maintenance"] or {}).get("reason", ""),
                "fault": (one["fault"] or {}).get("cause", ""),
            }
            for one in found
        ]

    def offered(self) -> list[str]:
        """The ids of those machines that nova would give to a server."""
        connection = self.ground.connection
        question = {"resources": f"{RESOURCE_CLASS}:1"}
        # Refused while placement has never heard of the class.
        answer = connection.placement.get("/allocation_candidates", params=question, microversion="1.29")
        candidates = answer.json()["provider_summaries"] if answer.status_code == 200 else {}
        # Only those that nova has also mapped to a cell are listed.
        return [hypervisor.name for hypervisor in connection.compute.hypervisors() if hypervisor.name in candidates]

    def unoffered(self) -> list[Finding]:
        """Find machines that are free, but that nova would give to nobody yet."""
        at = time.time()
        facts = {MACHINE_STATES: Seen(self.states(), at), OFFERED_MACHINES: Seen(self.offered(), at)}
        wanted = {OPENSTACK: {answer(MACHINE_STATES): "given"}}
        return judge([MACHINE_NOT_OFFERED], Evidence(self.spec.name, {OPENSTACK: facts}, wanted))

    def _silence(self) -> list[Finding]:
        from keystoneauth1.exceptions import ClientException

        try:
            self.ask("GET", "/v1/machines")
        except ClientException as error:
            return [Finding("arbaro-machines", str(error), run=f"arbaro logs {self.spec.name} controller")]
        return []

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask the machine service, as admin. Raises keystoneauth's exceptions."""
        session = self.ground.connection.session
        answer = session.request(
            f"http://{self.spec.public_address}:{find_service('machines').api}{path}", method, json=body
        )
        answered: dict[str, Any] = answer.json()
        return answered


def wanted_subnet(network: IPv4Network) -> dict[str, Any]:
    """Plan the machines' subnet. No DHCP: the config drive says the address, and ramdisks have theirs of the rack."""
    return {
        "name": NETWORK,
        "ip_version": 4,
        "cidr": str(network),
        "gateway_ip": str(network[1]),
        "enable_dhcp": False,
        "allocation_pools": [{"start": str(network[16]), "end": str(network[-2])}],
        "dns_nameservers": this_machine.nameservers(),
    }


def wanted_enrolment(spec: CloudSpec, name: str, password: str) -> dict[str, Any]:
    """Plan what the service is told of a machine; the role machines_emulated makes it so."""
    number = int(name.removeprefix("pm"))
    return {
        "name": name,
        "resource_class": RESOURCE_CLASS,
        "model": "emulated",
        "room": "here",
        "rack": "a01",
        "boot": {"method": "virtual-media", "firmware": "bios"},
        "interfaces": [{"mac": f"52:54:00:70:6d:{number:02x}", "name": "eth0", "boot": True}],
        "console_url": f"tcp://{spec.rack.address}:{7000 + number}",
        "bmc": {
            "address": f"http://{spec.rack.address}:8000",
            "system": f"/redfish/v1/Systems/00000000-0000-0000-0000-{number:012}",
            "username": "admin",
            "password": password,
        },
    }
