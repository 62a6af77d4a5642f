# SPDX-License-Identifier: Apache-2.0
"""This machine: what it has, what it lacks, and how to prepare it for system containers and guests."""

import fcntl
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from arbaro import shell
from arbaro.cluster import packages
from arbaro.errors import ArbaroError
from arbaro.steps import Note

#: Debian package → why we need it, as `up` says it before it installs anything.
PACKAGES: Mapping[str, str] = {
    "podman": "runs the hosts as system containers",
    "crun": "starts them",
    "netavark": "makes their networks",
    "iptables": "is what netavark writes its rules with",
    "nftables": "keeps the metadata service reachable through them",
    "mmdebstrap": "builds Debian images from your own apt sources",
    "lz4": "compresses it",
    "cpio": "packs the guest image's ramdisk",
    "openssh-client": "reaches hosts and guests",
    "iproute2": "looks at this machine's networks",
    "iputils-ping": "proves that a guest answers",
}
HUGETLB = Path("/sys/fs/cgroup/hugetlb")
KVM_CREATE_VM = 0xAE01


@dataclass(frozen=True)
class ThisMachine:
    """What counts of a machine: cores, memory in MiB in all and free, and how it can run guests (kvm or qemu)."""

    cores: int
    memory: int
    free_memory: int
    virt_type: str
    virt_reason: str


def look() -> ThisMachine:
    """Measure this machine."""
    meminfo = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    mib = {key: int(value.split()[0]) // 1024 for key, value in meminfo.items()}
    virt_type, reason = choose_virt_type(Path("/proc/cpuinfo").read_text())
    return ThisMachine(os.cpu_count() or 1, mib["MemTotal"], mib["MemAvailable"], virt_type, reason)


def choose_virt_type(cpuinfo: str, kvm: Path = Path("/dev/kvm")) -> tuple[str, str]:
    """Decide between `kvm` and `qemu` (TCG), with the reason.

    The device node alone proves nothing: where the CPU lacks vmx/svm it exists and guests hang in their firmware.
    """
    flags = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), "").split()
    if not {"vmx", "svm"} & set(flags):
        return "qemu", "the CPU shows neither vmx nor svm"
    try:
        with kvm.open("rb+", buffering=0) as device:
            os.close(fcntl.ioctl(device, KVM_CREATE_VM, 0))
    except OSError as error:
        return "qemu", f"{kvm} does not work: {error.strerror}"
    return "kvm", f"{kvm} made a virtual machine"


def missing_packages() -> list[str]:
    """Name the packages of PACKAGES that are not installed."""
    return packages.missing(PACKAGES)


def install_packages(note: Note) -> None:
    """Install what is missing of them."""
    packages.install(PACKAGES, note)


def cgroups_need_mending() -> bool:
    """Say whether the version-2 side of a hybrid cgroup tree still owns a controller, which crun refuses."""
    controllers = Path("/sys/fs/cgroup/unified/cgroup.controllers")
    return controllers.exists() and "hugetlb" in controllers.read_text().split()


def mend_cgroups(note: Note) -> None:
    """Mount the controller as version 1. It is gone with the next boot, as all mounts are."""
    note("mounting the hugetlb controller")
    HUGETLB.mkdir(exist_ok=True)
    shell.run(["mount", "-t", "cgroup", "-o", "hugetlb", "cgroup", HUGETLB])


def check_capacity(memory: int, disk: int, machine: ThisMachine) -> None:
    """Refuse to start what cannot fit. `memory` and `disk` are MiB that are needed.

    Raises ArbaroError that says what is there and what is needed.
    """
    if machine.free_memory < memory:
        raise ArbaroError(
            f"Too little memory: {machine.free_memory} MiB are free, {memory} MiB are needed.",
            hint="Close something, or ask for a smaller cloud: arbaro up --computes 1",
        )
    store = next(path for path in (Path("/var/lib/containers"), Path("/var/lib"), Path("/")) if path.exists())
    free = shutil.disk_usage(store).free // 2**20
    if free < disk:
        raise ArbaroError(
            f"Too little disk: {free} MiB are free at {store}, {disk} MiB are needed.",
            hint="Free some room there; `arbaro images prune` removes images that nothing uses.",
        )


def nameservers() -> list[str]:
    """The resolvers that guests can use too: this machine's, without those on loopback."""
    for path in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        if path.exists():
            words = [line.split() for line in path.read_text().splitlines() if line.startswith("nameserver ")]
            found = [word[1] for word in words if not word[1].startswith("127.") and ":" not in word[1]]
            if found:
                return found
    return []
