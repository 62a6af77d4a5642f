# SPDX-License-Identifier: Apache-2.0
"""What makes one cloud different from the next: its secrets and keys, new for each, in a private directory."""

import base64
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from arbaro import shell
from arbaro.errors import ArbaroError
from arbaro.hosts import COMPUTE, CONTROLLER, RACK, TOR, Host
from arbaro.reach import Reach
from arbaro.services import load_services
from arbaro.settings import clouds_dir

#: Not secrets, but replaced in the same way: this cloud's own addresses.
ADDRESSES = frozenset({"public_address", "guest_pool", "guest_router"})
RACK_ADDRESSES = frozenset({"rack_address", "rack_network", "rack_gateway", "rack_ramdisks", "rack_machines"})
#: A compute gets what it needs to speak to the controller, and nothing that opens a database; a switch gets no secret.
NEEDS = {
    COMPUTE: ADDRESSES
    | {
        "metadata_proxy_secret",
        "nova_service_password",
        "nova_rabbitmq_password",
        "neutron_rabbitmq_password",
        "nova_migration_key",
        "nova_migration_public_key",
    },
    TOR: ADDRESSES,
    RACK: RACK_ADDRESSES | {"machines_bmc_password"},
}

Identity = dict[str, str]


def new_identity(addresses: Mapping[str, str]) -> Identity:
    """Draw all secrets of a cloud. Each value is a string that stands nowhere else, so that it can be replaced."""
    services = load_services()
    queues = [service.name for service in services if service.rabbitmq]
    names = [f"{service.name}_database_password" for service in services if service.databases]
    names += [f"{service.name}_service_password" for service in services if service.roles]
    names += [f"{name}_rabbitmq_password" for name in queues]
    names += ["keystone_admin_password", "metadata_proxy_secret", "rabbitmq_cookie", "machines_bmc_password"]
    identity = {name: secrets.token_hex(20) for name in names}
    for name in queues:
        identity[f"{name}_rabbitmq_hash"] = rabbitmq_hash(identity[f"{name}_rabbitmq_password"])
    return identity | migration_key() | dict(addresses)


def migration_key() -> Identity:
    """Draw the SSH key with which a compute reaches another one to move a server there."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    form, key = serialization.PrivateFormat.OpenSSH, Ed25519PrivateKey.generate()
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    openssh = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    public = key.public_key().public_bytes(*openssh)
    return {"nova_migration_key": private.decode(), "nova_migration_public_key": public.decode()}


def rabbitmq_hash(password: str) -> str:
    """Hash a password as RabbitMQ's definitions file wants it: salt and SHA-256 (rabbitmq.com/passwords.html)."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def part_for(role: str, identity: Identity) -> Identity:
    """The part of the identity that a host with this role needs to do its work; the controller needs all."""
    return {key: value for key, value in identity.items() if role == CONTROLLER or key in NEEDS[role]}


@dataclass(frozen=True)
class Keeper:
    """Keeps the secrets of one cloud in its private directory: identity.json, the operator's key, the hosts' keys."""

    name: str

    @property
    def directory(self) -> Path:
        """The cloud's private directory."""
        return clouds_dir() / self.name

    def identity_file(self, role: str = CONTROLLER) -> Path:
        """The secrets of the cloud that hosts with this role get; the controller gets all."""
        return self.directory / ("identity.json" if role == CONTROLLER else f"identity-{role}.json")

    @property
    def key(self) -> Path:
        """The private SSH key of the operator, for hosts and guests."""
        return self.directory / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The hosts' pinned keys; nothing is ever trusted at first sight."""
        return self.directory / "known_hosts"

    def prepare(self, addresses: Mapping[str, str], hosts: Iterable[Host]) -> None:
        """Make what is missing; what is there stays, but for addresses that a cloud before this one had."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        # What a cloud of an older version has not drawn is drawn now.
        drawn = new_identity(addresses) | (self.identity() if self.identity_file().exists() else {})
        for role in (CONTROLLER, *NEEDS):
            part = part_for(role, drawn | dict(addresses))
            write_private(self.identity_file(role), json.dumps(part, indent=1))
        self._make_key(self.key, f"arbaro-{self.name}")
        hosts = list(hosts)
        self._make_key(self.directory / "hosts_ca", f"hosts of arbaro-{self.name}")
        for host in hosts:
            self._make_key(self._host_key(host), host.name)
            self._certify(host)
        pinned = (f"{host.address} {self._public(self._host_key(host))}\n" for host in hosts)
        write_private(self.known_hosts, "".join(pinned))

    def identity(self) -> Identity:
        """Read the cloud's secrets. Raises ArbaroError when they are not there."""
        if not self.identity_file().exists():
            raise ArbaroError(
                f"The secrets of the cloud {self.name} are not in {self.directory}.",
                why="Somebody with another home made it, or they were deleted.",
                hint=f"Work with that home; or take the cloud away, which needs no secrets: arbaro down {self.name}",
            )
        found: Identity = json.loads(self.identity_file().read_text())
        return found

    def reach(self, host: Host) -> Reach:
        """How a host is reached: as root, with the operator's key."""
        return Reach(host.name, str(host.address), "root", key=self.key, known_hosts=self.known_hosts)

    def authorized_key(self) -> str:
        """The operator's public key."""
        return self._public(self.key)

    def host_secrets(self, host: Host) -> dict[str, tuple[int, bytes]]:
        """The secrets that the image's throw-away ones are replaced by when the host boots first."""
        part = json.loads(self.identity_file(host.role).read_text()) | {"host_address": str(host.address)}
        return {"/etc/arbaro/identity.new.json": (0o600, json.dumps(part).encode())}

    def host_keys(self, host: Host) -> dict[str, tuple[int, bytes]]:
        """The SSH keys that a host is born with."""
        private = self._host_key(host)
        return {
            "/root/.ssh/authorized_keys": (0o600, self.authorized_key().encode() + b"\n"),
            "/etc/ssh/ssh_host_ed25519_key": (0o600, private.read_bytes()),
            "/etc/ssh/ssh_host_ed25519_key.pub": (0o644, private.with_suffix(".pub").read_bytes()),
            # So that hosts know one another, also those that come later.
            "/etc/ssh/ssh_host_ed25519_key-cert.pub": (0o644, Path(f"{private}-cert.pub").read_bytes()),
            "/etc/ssh/sshd_config.d/certificate.conf": (
                0o644,
                b"HostCertificate /etc/ssh/ssh_host_ed25519_key-cert.pub\n",
            ),
            "/etc/ssh/ssh_known_hosts": (
                0o644,
                f"@cert-authority * {self._public(self.directory / 'hosts_ca')}\n".encode(),
            ),
        }

    def forget(self) -> None:
        """Close what is open to the hosts, and remove the private directory."""
        for line in self.known_hosts.read_text().splitlines() if self.known_hosts.exists() else ():
            address = line.split()[0]
            Reach(address, address, "root", known_hosts=self.known_hosts).close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _host_key(self, host: Host) -> Path:
        return self.directory / f"host_{host.name}"

    def _certify(self, host: Host) -> None:
        """Sign a host's key, for its name and its address."""
        key = self._host_key(host)
        names = f"{host.name},{host.address}"
        ca = self.directory / "hosts_ca"
        shell.run(["ssh-keygen", "-q", "-s", ca, "-h", "-I", host.name, "-n", names, f"{key}.pub"])

    def _public(self, private: Path) -> str:
        return " ".join(private.with_suffix(".pub").read_text().split()[:2])

    def _make_key(self, path: Path, comment: str) -> None:
        if not path.with_suffix(".pub").exists():
            path.unlink(missing_ok=True)
            shell.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path])


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, in one go: a reader sees the old or the new content."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
