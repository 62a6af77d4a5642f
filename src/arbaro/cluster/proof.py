# SPDX-License-Identifier: Apache-2.0
"""The proof that a cloud works: a server made by the real client ran the script and is reached from this machine."""

import contextlib
import json
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arbaro import shell
from arbaro.checks import Finding, wait_until_silent
from arbaro.cluster import machine
from arbaro.cluster.access import REGION, auth_url
from arbaro.cluster.guests import Guest
from arbaro.cluster.identity import Keeper, write_private
from arbaro.cluster.spec import CloudSpec
from arbaro.errors import ArbaroError, CommandError
from arbaro.hosts import Host
from arbaro.openstack import connect
from arbaro.steps import Note

if TYPE_CHECKING:
    from openstack.connection import Connection

SERVER = "first-vm"
NETWORK = "provider"
SECURITY_GROUP = "ping-and-ssh"
KEYPAIR = "arbaro"
FLAVOR = "tiny"
#: Where the guest keeps what the script printed, and the line that ends it (images/guests/README.md).
SCRIPT_LOG = "/var/log/user-script.log"
SCRIPT_DONE = "user script done"
KEYS_BEGIN, KEYS_END = "-----BEGIN SSH HOST KEY KEYS-----", "-----END SSH HOST KEY KEYS-----"

DEFAULT_SCRIPT = """#!/bin/sh
echo "Hello from $(hostname), the first server of your own cloud."
echo "Kernel $(uname -r), up for $(cut -d' ' -f1 /proc/uptime) seconds."
"""


@dataclass(frozen=True)
class Proof:
    """The first server of a cloud, and what it stands on."""

    spec: CloudSpec
    keeper: Keeper
    guest: Guest
    script: Path | None = None

    @cached_property
    def connection(self) -> "Connection":
        """A connection as admin."""
        return connect(auth_url(self.spec), self.keeper.identity()["keystone_admin_password"], region=REGION)

    def image_is_missing(self) -> bool:
        """Say whether Glance lacks the guest image as it is built now."""
        found = self.connection.image.find_image(self.guest.name)
        return (
            found is None
            or found.status != "active"
            or found.properties.get("arbaro_build") != self.guest.directory.name
        )

    def upload_image(self, note: Note) -> None:
        """Upload kernel and ramdisk, and the empty disk that names them; what an older build left goes first."""
        image = self.connection.image
        built = json.loads((self.guest.directory / "metadata.json").read_text())
        for suffix in ("", "-ramdisk", "-kernel"):
            for old in image.images(name=self.guest.name + suffix):
                image.delete_image(old)
        parts = {}
        for kind, container_format in (("kernel", "aki"), ("ramdisk", "ari")):
            note(kind)
            part = image.create_image(
                f"{self.guest.name}-{kind}",
                filename=str(self.guest.directory / ("vmlinuz" if kind == "kernel" else "initrd")),
                container_format=container_format,
                disk_format=container_format,
                visibility="public",
                validate_checksum=False,
            )
            parts[f"{kind}_id"] = part.id
        image.create_image(
            self.guest.name,
            data=bytes(2**20),
            container_format="bare",
            disk_format="raw",
            visibility="public",
            min_ram=built["min_ram_mb"],
            os_command_line=built["command_line"],
            hw_rng_model="virtio",
            hw_machine_type="pc",
            arbaro_build=self.guest.directory.name,
            validate_checksum=False,
            **parts,
        )

    def ground_is_missing(self) -> bool:
        """Say whether flavour, network, keypair or security group is missing."""
        c = self.connection
        return not (
            c.compute.find_flavor(FLAVOR)
            and c.network.find_subnet(NETWORK)
            and c.compute.find_keypair(KEYPAIR)
            and (group := c.network.find_security_group(SECURITY_GROUP))
            and len(group.security_group_rules) >= 4
        )

    def prepare_ground(self, note: Note) -> None:
        """Make a flavour, the provider network, the operator's keypair and a security group for ping and SSH."""
        c = self.connection
        note("flavour, keypair")
        if not c.compute.find_flavor(FLAVOR):
            c.compute.create_flavor(name=FLAVOR, vcpus=1, ram=128, disk=1)
        if not c.compute.find_keypair(KEYPAIR):
            c.compute.create_keypair(name=KEYPAIR, public_key=self.keeper.authorized_key())
        note("network")
        network = c.network.find_network(NETWORK) or c.network.create_network(
            name=NETWORK,
            is_shared=True,
            provider_network_type="flat",
            provider_physical_network="physnet1",
        )
        if not c.network.find_subnet(NETWORK):
            pool = self.spec.provider
            c.network.create_subnet(
                name=NETWORK,
                network_id=network.id,
                ip_version=4,
                cidr=str(pool),
                gateway_ip=str(pool[1]),
                allocation_pools=[{"start": str(pool[32]), "end": str(pool[-2])}],
                dns_nameservers=machine.nameservers(),
            )
        note("security group")
        group = c.network.find_security_group(SECURITY_GROUP) or c.network.create_security_group(name=SECURITY_GROUP)
        allowed = {(rule.get("protocol"), rule.get("port_range_min")) for rule in group.security_group_rules}
        for protocol, port in (("icmp", None), ("tcp", 22)):
            if (protocol, port) not in allowed:
                c.network.create_security_group_rule(
                    security_group_id=group.id,
                    direction="ingress",
                    protocol=protocol,
                    port_range_min=port,
                    port_range_max=port,
                )

    def server_is_missing(self) -> bool:
        """Say whether there is no first server that is up; one in ERROR does not count."""
        server = self._server()
        return server is None or server.status != "ACTIVE"

    def create_server(self, note: Note) -> None:
        """Create the server with the real client, and wait until nova calls it ACTIVE."""
        server = self._server()
        if server and server.status == "SHUTOFF":
            note("starting it again")
            self.connection.compute.start_server(server)
        if server and server.status == "ERROR":
            note("removing the one that did not work")
            self.connection.compute.delete_server(server, force=False)
            self.connection.compute.wait_for_delete(server, wait=120)
            server = None
        if server is None:
            note("openstack server create")
            self._openstack(
                "server",
                "create",
                "--image",
                self.guest.name,
                "--flavor",
                FLAVOR,
                "--network",
                NETWORK,
                "--key-name",
                KEYPAIR,
                "--security-group",
                SECURITY_GROUP,
                "--user-data",
                str(self._script_file()),
                SERVER,
            )
        wait_until_silent(
            self._active,
            what=f"{SERVER} becoming ACTIVE",
            timeout=300,
            note=note,
            interval=1,
            hint=f"arbaro status {self.spec.name}, then arbaro logs {self.spec.name}",
        )

    def is_unreached(self) -> bool:
        """Say whether the server does not show the script's output by SSH right now."""
        try:
            return self._reached() != []
        except ArbaroError:
            return True

    def reach(self, note: Note) -> None:
        """Wait until the server answers ping and SSH and its script has ended; say which link of the chain broke."""
        try:
            wait_until_silent(
                self._reached, what=f"Reaching {SERVER} and its script", timeout=180, note=note, interval=1
            )
        except ArbaroError as error:
            broken = broken_link(self._console(), self._ping())
            error.why = f"{broken}\n{error.why}"
            error.hint = broken.run.format(name=self.spec.name, host=self._server().compute_host)
            raise

    def output(self) -> str:
        """What the script printed, read by SSH from the guest; its own lines only, not the guest's around them."""
        return "".join(line for line in self._script_log().splitlines(True) if not line.startswith("arbaro: "))

    def _script_has_ended(self) -> bool:
        return SCRIPT_DONE in self._script_log()

    def _script_log(self) -> str:
        address = self.address()
        self._pin_host_key(str(address.address))
        return shell.run_on(address, self.ssh(address), ["cat", SCRIPT_LOG], timeout=15)

    def address(self) -> Host:
        """The server as a host to reach. Raises ArbaroError when it has no address."""
        from ipaddress import IPv4Address

        server = self._server()
        found = [entry["addr"] for entries in (server.addresses if server else {}).values() for entry in entries]
        if not found:
            raise ArbaroError(f"{SERVER} has no address.", hint="openstack server show first-vm")
        return Host(SERVER, IPv4Address(found[0]), frozenset())

    def ssh(self, host: Host) -> list[str]:
        """The ssh command to the server, as a person would type it too."""
        return [
            "ssh",
            "-i",
            str(self.keeper.key),
            "-o",
            f"UserKnownHostsFile={self._known_guests}",
            "-o",
            "BatchMode=yes",
            "-o",
            "ConnectTimeout=5",
            "-o",
            "LogLevel=ERROR",
            f"root@{host.address}",
        ]

    def ssh_line(self) -> str:
        """The shortest line that a person can type to get into the server."""
        return f"ssh -i {self.keeper.key} -o UserKnownHostsFile={self._known_guests} root@{self.address().address}"

    def console_url(self) -> str:
        """The noVNC page of the server's console; it holds a token that ends after ten minutes."""
        server = self._server()
        console = self.connection.compute.create_console(server, console_type="novnc")
        return str(console["url"])

    @property
    def _known_guests(self) -> Path:
        return self.keeper.directory / "known_guests"

    def _server(self) -> Any:
        found = self.connection.compute.find_server(SERVER)
        return self.connection.compute.get_server(found) if found else None

    def _openstack(self, *words: str) -> Any:
        client = Path(sys.executable).with_name("openstack")
        return json.loads(shell.run([client, "--os-cloud", self.spec.cloud_name, *words, "-f", "json"], timeout=120))

    def _script_file(self) -> Path:
        if self.script:
            return self.script
        path = self.keeper.directory / "first-script.sh"
        write_private(path, DEFAULT_SCRIPT)
        return path

    def _active(self) -> list[Finding]:
        server = self._server()
        if server is None:
            return [Finding("nova", f"no server {SERVER}")]
        if server.status == "ERROR":
            fault = server.fault or {}
            raise ArbaroError(
                f"{SERVER} ended in ERROR: {fault.get('message', 'nova gives no reason')}",
                hint=f"arbaro status {self.spec.name}, then arbaro logs {self.spec.name} controller nova-scheduler",
            )
        if server.status != "ACTIVE":
            return [Finding("nova", f"{SERVER} is {server.status}, {server.task_state or 'no task'}")]
        return []

    def _ping(self) -> bool:
        return shell.succeeds(["ping", "-c", "1", "-W", "1", str(self.address().address)])

    def _reached(self) -> list[Finding]:
        if not self._ping():
            return [Finding(SERVER, "does not answer ping")]
        try:
            if self._script_has_ended():
                return []
        except CommandError as error:
            return [Finding(SERVER, error.why.splitlines()[-1] if error.why else "no SSH")]
        return [Finding(SERVER, "the script has not ended yet")]

    def _console(self) -> str:
        with contextlib.suppress(Exception):
            return str(self.connection.compute.get_server_console_output(self._server())["output"])
        return ""

    def _pin_host_key(self, address: str) -> None:
        """Take the guest's host key from its console, which nova hands out, not from whoever answers on the network.

        Each boot of a tiny guest has a new one.
        """
        keys = host_keys(self._console())
        if keys:
            write_private(self._known_guests, "".join(f"{address} {key}\n" for key in keys))


def host_keys(console: str) -> list[str]:
    """The SSH host keys that a guest printed on its console, as `type base64`."""
    lines = [line.strip() for line in console.replace("\r", "").splitlines()]
    if KEYS_BEGIN not in lines or KEYS_END not in lines:
        return []
    end = len(lines) - 1 - lines[::-1].index(KEYS_END)
    begin = max(index for index, line in enumerate(lines[:end]) if line == KEYS_BEGIN)
    return [" ".join(line.split()[:2]) for line in lines[begin + 1 : end] if line.startswith(("ssh-", "ecdsa-"))]


def broken_link(console: str, pings: bool) -> Finding:
    """Find the first broken link between a started guest and its script, by what the guest said on its console."""
    chain = (
        (r"kernel .*up", "the guest's kernel did not start", "arbaro logs {name} {host} nova-compute"),
        (r"by DHCP", "no DHCP answer: dnsmasq, the tap, the bridge", "arbaro logs {name} {host} neutron-dhcp-agent"),
        (
            r"metadata reached|config drive read",
            "no metadata: the proxy or nova-api-metadata",
            "arbaro logs {name} {host} neutron-metadata-agent",
        ),
        (r"ssh ready", "dropbear did not start in the guest", "openstack console log show first-vm"),
        (r"user script done", "the script has not ended", "openstack console log show first-vm"),
    )
    for link, means, run in chain:
        if not re.search(rf"arbaro: \S+ .*(?:{link})", console):
            return Finding("The chain broke here", f"the guest's console lacks {link!r}", means, run)
    if not pings:
        return Finding(
            "The chain broke here",
            "the guest is up, but does not answer ping",
            "security group or bridge",
            "arbaro logs {name} {host} neutron-linuxbridge-agent",
        )
    return Finding(
        "The chain broke here",
        "the guest is up and answers ping",
        "SSH is refused",
        "openstack console log show first-vm",
    )
