# SPDX-License-Identifier: Apache-2.0
"""A machine's BMC, spoken to in Redfish by sushy. Nothing here knows which make it is, or whether it is emulated."""

import contextlib
from collections.abc import Iterator
from typing import Any

import sushy
from sushy import exceptions as problems
from sushy.resources.manager.virtual_media import VirtualMedia
from sushy.resources.system.system import System

from arbaro_machines.faults import BmcTrouble, Fault

RESETS = {
    "on": sushy.ResetType.ON,
    "off": sushy.ResetType.FORCE_OFF,
    "soft-off": sushy.ResetType.GRACEFUL_SHUTDOWN,
}
SOURCES = {
    "cd": sushy.BootSource.CD,
    "network": sushy.BootSource.PXE,
    "http": sushy.BootSource.UEFI_HTTP,
    "disk": sushy.BootSource.HDD,
}
MODES = {"bios": sushy.BootSourceOverrideMode.LEGACY, "uefi": sushy.BootSourceOverrideMode.UEFI}
#: Redfish tells the family (Processor schema, ProcessorArchitecture), OpenStack has the kernel's names.
ARCHITECTURES = {
    sushy.ProcessorArchitecture.X86: "x86_64",
    sushy.ProcessorArchitecture.ARM: "aarch64",
    sushy.ProcessorArchitecture.POWER: "ppc64le",
}
CONNECT_SECONDS = 5
READ_SECONDS = 30


@contextlib.contextmanager
def _told_as_faults(address: str) -> Iterator[None]:
    """Tell sushy's exceptions in our words."""
    try:
        yield
    except problems.AccessError as error:
        raise Fault("bmc-credentials", f"{address} refuses these credentials: HTTP {error.status_code}") from error
    except problems.ConnectionError as error:
        raise BmcTrouble("bmc-unreachable", f"{address} does not answer: {error}", silent=True) from error
    except problems.ServerSideError as error:
        # 500 to 599: what is wrong is on the BMC's side, often only that it is busy or restarts.
        raise BmcTrouble("bmc-refused", f"{address}: {error}", silent=True) from error
    except problems.SushyError as error:
        raise BmcTrouble("bmc-refused", f"{address}: {error}") from error


@contextlib.contextmanager
def _refused_as_medium(address: str, url: str) -> Iterator[None]:
    """Tell a refusal in which this URL has a part, without the token in it: BMCs repeat what they were sent."""
    try:
        yield
    except problems.AccessError:
        raise
    except problems.HTTPError as error:
        if not url:
            raise
        told = f"{address} does not take {url}: {error}".replace(url.split("/")[-2], "…")
        raise BmcTrouble("media-refused", told) from None


class Bmc:
    """One machine's BMC. Each call looks afresh, and does as asked even where that is so already (but for `insert`)."""

    def __init__(self, address: str, system: str, username: str, password: str, *, verify_tls: bool) -> None:
        self._address = address
        self._path = system
        self._verify = verify_tls
        self._credentials = (username or None, password or None)
        self._connection: sushy.main.Sushy | None = None

    def close(self) -> None:
        """End the session at the BMC, of which it has only a few."""
        if self._connection is not None:
            with contextlib.suppress(problems.SushyError):
                if hasattr(self._connection._auth, "close"):
                    self._connection._auth.close()
            self._connection = None

    def _system(self) -> System:
        if self._connection is None:
            username, password = self._credentials
            self._connection = sushy.Sushy(
                self._address,
                username=username,
                password=password,
                verify=self._verify,
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                # How often to try again is the worker's business: it counts the time.
                server_side_retries=1,
                server_side_retries_delay=1,
            )
        return self._connection.get_system(self._path)

    def power(self) -> str:
        """Say whether the machine is on or off; what is in between counts as on."""
        with _told_as_faults(self._address):
            return "off" if self._system().power_state == sushy.PowerState.OFF else "on"

    def switch(self, target: str) -> None:
        """Ask for on, off or soft-off."""
        with _told_as_faults(self._address):
            self._system().reset_system(RESETS[target])

    def boot_from(self, source: str, firmware: str, url: str = "") -> None:
        """Choose what the next start boots from: cd, network, http (from the URL) or disk; and as bios or uefi.

        Disk for good; the others once, so that a machine that we lose sight of does not boot the ramdisk for ever.
        """
        target, mode = SOURCES[source], MODES[firmware]
        once = sushy.BootSourceOverrideEnabled.ONCE
        enabled = sushy.BootSourceOverrideEnabled.CONTINUOUS if source == "disk" else once
        more = {"http_boot_uri": url} if source == "http" else {}
        with _told_as_faults(self._address), _refused_as_medium(self._address, url):
            system = self._system()
            # Some BMCs tell no mode, and many cannot change it: it is only sent where another one is told.
            change = {} if getattr(system.boot, "mode", None) in (None, mode) else {"mode": mode}
            if change and target not in system.get_allowed_system_boot_source_values():
                # What may be booted from may depend on the mode.
                system.set_system_boot_options(mode=mode)
                system, change = self._system(), {}
            system.set_system_boot_options(target, enabled=enabled, **change, **more)

    def insert(self, url: str) -> None:
        """Put a CD into the virtual drive."""
        with _told_as_faults(self._address):
            drive = self._drive()
            if drive.inserted and drive.image == url:
                return
            if drive.inserted:
                drive.eject_media()
            with _refused_as_medium(self._address, url):
                drive.insert_media(url, inserted=True, write_protected=True)

    def eject(self) -> None:
        """Empty the virtual drive, if the machine has one."""
        with _told_as_faults(self._address):
            drive = self._drive()
            if drive.inserted:
                drive.eject_media()

    def _drive(self) -> VirtualMedia:
        system = self._system()
        for collection in self._collections(system):
            for drive in collection.get_members():
                if {sushy.VirtualMediaType.CD, sushy.VirtualMediaType.DVD} & set(drive.media_types or ()):
                    drive.refresh(force=True)
                    return drive
        raise Fault("media-refused", f"{self._address} has no virtual CD drive.")

    @staticmethod
    def _collections(system: System) -> Iterator[Any]:
        # Newer BMCs hang virtual media below the system, older ones below the manager.
        with contextlib.suppress(problems.MissingAttributeError, problems.ResourceNotFoundError):
            yield system.virtual_media
        for manager in system.managers:
            with contextlib.suppress(problems.MissingAttributeError, problems.ResourceNotFoundError):
                yield manager.virtual_media

    def look(self) -> dict[str, Any]:
        """Find out what the machine has, as far as its BMC tells."""
        with _told_as_faults(self._address):
            system = self._system()
            facts = {
                "cpus": _told(lambda: system.processors.summary.count),
                "cpu_arch": _told(lambda: ARCHITECTURES[system.processors.summary.architecture]),
                "memory_mb": _told(lambda: int(system.memory_summary.size_gib * 1024)),
                "disk_gb": _told(lambda: max(system.simple_storage.disks_sizes_bytes) // 10**9),
                "serial_number": _told(lambda: system.serial_number),
                "macs": sorted(mac.lower() for mac in (_told(lambda: system.ethernet_interfaces.summary) or {})),
            }
        return {name: value for name, value in facts.items() if value}


def _told(ask: Any) -> Any:
    """Ask for a fact that a BMC may or may not have; a missing one is None."""
    try:
        return ask()
    except (problems.MissingAttributeError, problems.HTTPError, AttributeError, LookupError, TypeError, ValueError):
        return None
