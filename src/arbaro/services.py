# SPDX-License-Identifier: Apache-2.0
"""Services are data: ansible/services.yml says what the services of a cloud are, to Ansible's roles and to us."""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from functools import cache
from typing import Literal

from pydantic.dataclasses import dataclass

from arbaro.datafiles import CLOSED, read_data
from arbaro.hosts import CONTROLLER
from arbaro.settings import files_dir

#: Who may connect: the same host; the cloud's hosts and its operator; servers too.
Reach = Literal["loopback", "hosts", "guests"]


@dataclass(frozen=True, config=CLOSED)
class Port:
    """A TCP port that a service listens on."""

    number: int
    reach: Reach


@dataclass(frozen=True, config=CLOSED)
class Service:
    """A service of a cloud; the file itself explains the fields. Its accounts everywhere have its name."""

    #: Its key in the file.
    name: str = ""
    type: str | None = None
    path: str = ""
    group: str = CONTROLLER
    catalog_name: str | None = None
    ports: Mapping[str, Port] = field(default_factory=dict)
    databases: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    rabbitmq: bool = False
    secrets_in: tuple[str, ...] = ()
    memory: int = 0

    @property
    def api(self) -> int:
        """The port of its API. Only services with one have a `type`."""
        return self.ports["api"].number


@cache
def load_services() -> Sequence[Service]:
    """Read what services there are. Raises ArbaroError that names what is wrong with the file."""
    found = read_data(files_dir() / "ansible" / "services.yml", "services", dict[str, Service])
    return tuple(replace(service, name=name) for name, service in found.items())


def find_service(name: str) -> Service:
    """One service by its name."""
    return next(service for service in load_services() if service.name == name)
