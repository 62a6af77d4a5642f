# SPDX-License-Identifier: Apache-2.0
"""The JSON that comes out."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from arbaro_machines.api.bodies import Boot, InterfaceBody


class HolderOut(BaseModel):
    """Who holds a machine."""

    project_id: str | None
    user_id: str | None
    server_id: str | None
    reservation_id: str | None
    group: str | None
    since: datetime | None


class Progress(BaseModel):
    """How much of a step is done, in bytes."""

    done: int
    total: int


class WaitOut(BaseModel):
    """A BMC that does not answer, which the task waits for."""

    code: str
    cause: str
    since: datetime


class TaskOut(BaseModel):
    """What works on a machine."""

    verb: str
    step: str
    started_at: datetime
    deadline: datetime | None
    progress: Progress | None
    waits_for: WaitOut | None


class FaultOut(BaseModel):
    """Why the last task failed."""

    code: str
    cause: str
    next_step: str
    step: str
    at: datetime


class MaintenanceOut(BaseModel):
    """Why a machine is out of use, and since when."""

    reason: str
    by: str
    since: datetime


class BmcOut(BaseModel):
    """Where the management controller is; its password is never told."""

    address: str
    system: str
    username: str
    verify_tls: bool


class MachineOut(BaseModel):
    """A machine."""

    id: str
    name: str
    revision: int
    state: str
    power: str
    maintenance: MaintenanceOut | None
    resource_class: str
    model: str
    room: str
    rack: str
    properties: dict[str, Any]
    interfaces: list[InterfaceBody]
    boot: Boot
    bmc: BmcOut | None
    console_url: str | None
    holder: HolderOut | None
    deployment: dict[str, Any] | None
    task: TaskOut | None
    fault: FaultOut | None
    verbs: list[str]
    created_at: datetime
    updated_at: datetime


class Links(BaseModel):
    """Where to go on."""

    next: str | None


class MachinesPage(BaseModel):
    """A page of machines."""

    machines: list[MachineOut]
    links: Links


class Machines(BaseModel):
    """Machines, all of them."""

    machines: list[MachineOut]


class ReservationOut(BaseModel):
    """What was reserved."""

    reservation_id: str
    machines: list[MachineOut]


class ConsoleOut(BaseModel):
    """Where the console is."""

    protocol: str
    host: str
    port: int
    url: str


class StockLine(BaseModel):
    """How many there are of a kind in a place."""

    resource_class: str
    model: str | None = None
    room: str | None = None
    rack: str | None = None
    total: int
    free: int
    held: int
    busy: int
    out: int
    cleaning: int


class Stock(BaseModel):
    """The stock."""

    stock: list[StockLine]


class QuotaOut(BaseModel):
    """How many machines a project may hold (-1: any number), and holds."""

    project_id: str
    machines: int
    used: int
    is_default: bool


class EventOut(BaseModel):
    """Something that happened to a machine."""

    id: int
    at: datetime
    machine_id: str
    machine: str
    type: str
    text: str
    by: dict[str, Any] | None
    request_id: str
    detail: dict[str, Any]


class EventsPage(BaseModel):
    """A page of events."""

    events: list[EventOut]
    links: Links


class ErrorBody(BaseModel):
    """What was refused, and what to do next."""

    code: str
    message: str
    next_step: str
    request_id: str


class ErrorOut(BaseModel):
    """A refusal."""

    error: ErrorBody
