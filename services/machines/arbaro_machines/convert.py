# SPDX-License-Identifier: Apache-2.0
"""Disk images into zstd of the raw disk, by qemu-img and zstd: the one place that starts processes."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arbaro_machines import qcow2
from arbaro_machines.faults import Fault
from arbaro_machines.limits import Limits

#: zstd's fastest good level: the network is not what a deployment waits for.
LEVEL = "-3"
#: What no tool needs more of: bytes of memory.
MEMORY = 4 * 2**30
#: How often a tool that works is asked about, in seconds.
LOOK = 0.5
#: Where a disk that firmware can start from has this: at the end of its first sector, also with a GPT.
BOOT_SIGNATURE, SIGNATURE_AT = b"\x55\xaa", 510


def to_zst(source: Path, format_: str, target: Path, limits: Limits) -> int:
    """Convert, and say how many bytes the raw disk has. What it needs meanwhile is beside the target."""
    if format_ == "raw.zst":
        raw_bytes = _check_unpacked(source, limits)
        source.rename(target)
        return raw_bytes
    raw = _as_raw(source, format_, target.with_name("raw"), limits)
    limits.check_virtual(raw.stat().st_size)
    with raw.open("rb") as file:
        check_bootable(file.read(512))
    _run(["zstd", LEVEL, "-T0", "-q", "-f", str(raw), "-o", str(target)], limits)
    return raw.stat().st_size


def check_bootable(first_sector: bytes) -> None:
    """Refuse what no machine could start from, before it is written to one."""
    if first_sector[SIGNATURE_AT : SIGNATURE_AT + 2] != BOOT_SIGNATURE:
        raise Fault("image-unusable", "The image has no partition table: it is a file system or a kernel, not a disk.")


def _as_raw(source: Path, format_: str, raw: Path, limits: Limits) -> Path:
    if format_ == "raw":
        return source
    limits.check_virtual(qcow2.virtual_size(source))
    info = json.loads(_run(["qemu-img", "info", "-f", format_, "--output=json", str(source)], limits))
    refuse_foreign_files(info)
    limits.check_virtual(info["virtual-size"])
    # The format is said, never guessed: what a file claims to be is up to whoever made it.
    _run(["qemu-img", "convert", "-f", format_, "-O", "raw", str(source), str(raw)], limits)
    return raw


def refuse_foreign_files(info: dict[str, Any]) -> None:
    """Refuse an image that would have other files of this host read into it, as QEMU itself understands it."""
    specific = info.get("format-specific") or {}
    data = specific.get("data", {}) if isinstance(specific, dict) else {}
    if "backing-filename" in info or "data-file" in data:
        raise Fault("image-unusable", "The image refers to another file (backing or data file).")
    if info.get("encrypted"):
        raise Fault("image-unusable", "The image is encrypted.")


def _check_unpacked(source: Path, limits: Limits) -> int:
    # Not what the header claims: zstd written in a stream claims nothing.
    size, first = 0, b""
    with _started(["zstd", "-dc", "-q", str(source)], limits) as process:
        assert process.stdout
        while piece := process.stdout.read(2**20):
            first = first or piece[:512]
            size += len(piece)
            limits.check_virtual(size)
            limits.check()
        process.wait()
    if process.returncode:
        raise Fault("image-unusable", "The image is no zstd file.")
    check_bootable(first)
    return size


def _run(command: list[str], limits: Limits) -> str:
    with _started(command, limits) as process:
        while True:
            limits.check()
            with contextlib.suppress(subprocess.TimeoutExpired):
                said, wrong = process.communicate(timeout=LOOK)
                break
    if process.returncode:
        limits.check_room()
        raise Fault("image-unusable", f"{command[0]} says: {wrong.decode(errors='replace').strip()[-300:]}")
    return str(said.decode())


@contextlib.contextmanager
def _started(command: list[str], limits: Limits) -> Iterator[subprocess.Popen[bytes]]:
    """Start a tool with limits of its own; whatever happens here, neither it nor what it started is left."""
    limited = ["prlimit", f"--as={MEMORY}", f"--fsize={limits.max_virtual}", "--core=0", "--", *command]
    pipe = subprocess.PIPE
    process = subprocess.Popen(limited, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
