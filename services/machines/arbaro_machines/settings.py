# SPDX-License-Identifier: Apache-2.0
"""Settings: one TOML file, /etc/arbaro-machines/machines.toml or what ARBARO_MACHINES_CONFIG names."""

import os
import socket
import tomllib
import uuid
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_FILE = Path("/etc/arbaro-machines/machines.toml")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Keystone(_Section):
    """How the service itself logs in, to have other people's tokens judged and to read images."""

    auth_url: str = Field(pattern=r"^https?://.*/v3$")
    username: str = "arbaro-machines"
    password_file: Path
    project_name: str = "service"
    user_domain_name: str = "Default"
    project_domain_name: str = "Default"
    region_name: str | None = None
    cacert: Path | None = None
    #: How long the answer about a token is believed.
    token_cache: int = 60
    reader_role: str = "reader"
    member_role: str = "member"
    operator_roles: frozenset[str] = frozenset({"admin", "machine_operator"})


class Times(_Section):
    """Seconds after which something is a fault (docs/reference/machines-api.md)."""

    bmc_patience: float = 60
    #: While a machine is cleaned nobody waits for it: a BMC that does not answer is tried again without end, after
    #: pauses that double up to this.
    bmc_pause: float = 300
    power: float = 120
    first_word: float = 300
    silence: float = 60
    #: A silence is believed when it has lasted this much longer after it was noticed, and the API answered meanwhile:
    #: where the API itself was down, ramdisks get this long to be heard again.
    doubt: float = 15
    write: float = 3600
    wipe: float = 3600
    fetch_image: float = 1800
    soft_off: float = 60
    #: A worker that has said nothing for so long is dead, and another goes on.
    lease: float = 30
    #: How often what the machine does is looked at.
    poll: float = 2


class Images(_Section):
    """From where operators may have images fetched by URL, and how much any image may take of this host."""

    #: Names (or addresses) of web servers, with a port where it is not the scheme's own. None: no image by URL.
    url_hosts: tuple[str, ...] = ()
    #: Where such a server must never be, whatever its name says: by default all private networks. Loopback, link-local,
    #: multicast and this host's own addresses are refused always.
    forbidden_networks: tuple[str, ...] = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
    #: What is fetched, and the disk that it becomes.
    max_gib: float = Field(default=64, gt=0)
    max_virtual_gib: float = Field(default=256, gt=0)
    #: So much of the file system stays free: a database may live on it.
    reserve_gib: float = Field(default=4, ge=0)


class Settings(_Section):
    """All settings."""

    database: str = "sqlite:////var/lib/arbaro-machines/machines.sqlite"
    #: Fernet keys, one a line, the newest first; made by `arbaro-machines key`.
    key_file: Path = Path("/etc/arbaro-machines/key")
    listen: str = "0.0.0.0"
    #: The API's port, for everybody who has a token of keystone.
    port: int = 8780
    #: The port of ramdisks, firmware, BMCs and Prometheus. Servers of the cloud must not reach it.
    agent_port: int = 8781
    #: Where ramdisks, firmware and BMCs reach that port of this very host.
    agent_url: str = "http://127.0.0.1:8781"
    #: Who is answered on that port: the networks (or single addresses) of ramdisks, firmware and BMCs.
    agent_networks: tuple[str, ...] = ()
    #: From where `/metrics` on that port may be read.
    metrics_networks: tuple[str, ...] = ("127.0.0.0/8", "::1")
    #: What images/agents/deploy built.
    ramdisk: Path = Path("/usr/share/arbaro-machines/ramdisk")
    image_cache: Path = Path("/var/lib/arbaro-machines/images")
    image_cache_gib: int = 50
    #: How many machines a project may hold, unless it has a number of its own; -1 is any number. As many as nova
    #: by default gives a project servers.
    project_quota: int = Field(default=10, ge=-1)
    #: Tasks that one worker works on at once.
    threads: int = Field(default=16, ge=1)
    images: Images = Images()
    keystone: Keystone | None = None
    times: Times = Times()
    #: Under which name this worker takes its leases. New for each process, so that a successor does not keep a dead
    #: one's leases alive.
    worker_name: str = Field(default_factory=lambda: f"{socket.gethostname()}:{uuid.uuid4().hex[:8]}")


def load_settings() -> Settings:
    """Read the settings' file."""
    path = Path(os.environ.get("ARBARO_MACHINES_CONFIG", DEFAULT_FILE))
    return Settings.model_validate(tomllib.loads(path.read_text()))
