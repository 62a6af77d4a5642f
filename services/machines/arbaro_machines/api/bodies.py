# SPDX-License-Identifier: Apache-2.0
"""The JSON that goes in, checked."""

import base64
import binascii
import ipaddress
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MAX_CONFIG_DRIVE = 2**20


def _is_base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64") from error
    return text


def _is_interface(text: str) -> str:
    ipaddress.ip_interface(text)
    return text


def _is_address(text: str) -> str:
    ipaddress.ip_address(text)
    return text


def _plain(maximum: int, minimum: int = 0) -> Any:
    # No control characters: neither logs nor databases agree on what they mean.
    return Annotated[str, Field(min_length=minimum, max_length=maximum, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]


Text = _plain(255)
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._+()/-]{0,63}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
ResourceClass = Annotated[str, Field(pattern=r"^CUSTOM_[A-Z0-9_]{1,57}$")]
Mac = Annotated[str, Field(pattern=r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$"), AfterValidator(str.lower)]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Url = Annotated[str, Field(pattern=r"^https?://[^\s@]+$", max_length=255)]
SystemPath = Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=255)]
ConsoleUrl = Annotated[str, Field(pattern=r"^(tcp|ssh|https?|wss?)://[^\s@]+$", max_length=255)]
Amount = Annotated[int, Field(ge=0, le=2**40)]
UserName = _plain(64)
#: bcrypt knows no more than 72 bytes.
RescuePassword = _plain(72, 1)
PublicKey = _plain(4096, 1)
Reason = _plain(255, 1)
Base64 = Annotated[str, AfterValidator(_is_base64)]
Address = Annotated[str, Field(max_length=64), AfterValidator(_is_address)]


class Strict(BaseModel):
    """A body whose every field is known and of its own type: a typing error is an error."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Properties(Strict):
    """What the machine has; inspection fills it in."""

    cpus: Annotated[int, Field(ge=0, le=100_000)] | None = None
    memory_mb: Amount | None = None
    disk_gb: Amount | None = None
    cpu_arch: Label | None = None
    serial_number: Text | None = None


class InterfaceBody(Strict):
    """A network interface."""

    mac: Mac
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,32}$")] = ""
    boot: bool = False


Interfaces = Annotated[list[InterfaceBody], Field(max_length=64)]


class Boot(Strict):
    """How the machine is made to start the deploy ramdisk."""

    method: Literal["virtual-media", "network", "http"] = "virtual-media"
    firmware: Literal["bios", "uefi"] = "uefi"

    @model_validator(mode="after")
    def _bios_knows_no_http(self) -> "Boot":
        if self.method == "http" and self.firmware == "bios":
            raise ValueError("method http is UEFI's")
        return self


class Bmc(Strict):
    """Where and how to reach the machine's management controller."""

    address: Url
    system: SystemPath
    username: UserName = ""
    password: Text | None = None
    verify_tls: bool = True


class Enrolment(Strict):
    """A machine to enrol."""

    name: Name
    resource_class: ResourceClass
    model: Label
    room: Label
    rack: Label
    properties: Properties = Properties()
    interfaces: Interfaces = []
    boot: Boot = Boot()
    bmc: Bmc
    console_url: ConsoleUrl | None = None


class Enrolments(Strict):
    """Many machines to enrol, all or none."""

    machines: Annotated[list[Enrolment], Field(min_length=1, max_length=1000)]


class BmcChange(Strict):
    """What changes of the management controller's data."""

    address: Url | None = None
    system: SystemPath | None = None
    username: UserName | None = None
    password: Text | None = None
    verify_tls: bool | None = None


class Change(Strict):
    """What changes of a machine; what is missing stays."""

    name: Name | None = None
    resource_class: ResourceClass | None = None
    model: Label | None = None
    room: Label | None = None
    rack: Label | None = None
    properties: Properties | None = None
    interfaces: Interfaces | None = None
    boot: Boot | None = None
    bmc: BmcChange | None = None
    console_url: ConsoleUrl | None = None


class ReserveOne(Strict):
    """For whom this machine is."""

    project_id: Id | None = None
    server_id: Id | None = None


class ReserveSome(ReserveOne):
    """Which machines are wanted, and how many."""

    count: Annotated[int, Field(ge=1, le=1000)] = 1
    resource_class: ResourceClass
    model: Label | None = None
    room: Label | None = None
    rack: Label | None = None
    spread: Literal["rack", "room"] | None = None
    spread_policy: Literal["strict", "best-effort"] = "strict"
    group: Id | None = None
    reservation_id: Id | None = None

    @model_validator(mode="after")
    def _one_server_one_machine(self) -> "ReserveSome":
        if self.server_id and self.count != 1:
            raise ValueError("server_id goes with count 1 only")
        return self


class QuotaBody(Strict):
    """How many machines a project may hold; -1 is any number."""

    machines: Annotated[int, Field(ge=-1, le=2**31 - 1)]


class GlanceImage(Strict):
    """An image of glance; its checksum is glance's."""

    # No dots: the id becomes part of a path.
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class UrlImage(Strict):
    """An image at a URL, for operators."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s@\\]+$", max_length=2048)]
    format: Literal["raw", "qcow2", "raw.zst"]
    checksum: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$")]
    min_disk_gb: Amount = 0
    name: Text = ""


class ConfigDrive(Strict):
    """The config drive's files, by path."""

    files: Annotated[
        dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){0,5}$", max_length=200)], Base64],
        Field(max_length=200),
    ]

    @model_validator(mode="after")
    def _not_too_large(self) -> "ConfigDrive":
        if sum(len(content) for content in self.files.values()) * 3 // 4 > MAX_CONFIG_DRIVE:
            raise ValueError(f"more than {MAX_CONFIG_DRIVE} bytes")
        parts = {part for path in self.files for part in path.split("/")}
        if parts & {".", ".."}:
            raise ValueError("no . and .. in paths")
        parents = {"/".join(path.split("/")[:depth]) for path in self.files for depth in range(1, path.count("/") + 1)}
        if parents & set(self.files):
            raise ValueError("a path is both file and directory")
        return self


class NetworkPort(Strict):
    """What one interface is connected to."""

    mac: Mac
    port_id: Id | None = None
    address: Annotated[str, Field(max_length=64), AfterValidator(_is_interface)] | None = None
    gateway: Address | None = None
    mtu: Annotated[int, Field(ge=68, le=65535)] | None = None
    dns: Annotated[list[Address], Field(max_length=8)] = []


class Deployment(Strict):
    """What is to be on the machine."""

    image: GlanceImage | UrlImage
    config_drive: ConfigDrive | None = None
    network: Annotated[list[NetworkPort], Field(max_length=64)] = []


class Power(Strict):
    """The wanted power state."""

    target: Literal["on", "off", "soft-off", "reboot", "soft-reboot"]


class Rescue(Strict):
    """Who may log in to the rescue system, as root."""

    public_keys: Annotated[list[PublicKey], Field(max_length=64)] = []
    password: RescuePassword | None = None

    @model_validator(mode="after")
    def _somebody(self) -> "Rescue":
        if not self.public_keys and not self.password:
            raise ValueError("neither public_keys nor password: nobody could log in")
        if self.password and len(self.password.encode()) > 72:
            raise ValueError("password: bcrypt knows no more than 72 bytes")
        return self


class Nothing(Strict):
    """An empty body."""


class Maintenance(Strict):
    """Why a machine is out of use."""

    reason: Reason
