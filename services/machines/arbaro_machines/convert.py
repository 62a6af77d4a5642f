# SPDX-License-Identifier: Apache-2.0
"""Disk images into zstd of the raw disk, by qemu-img and zstd: the one place that starts processes."""

import json
import subprocess
from pathlib import Path

from arbaro_machines.faults import Fault

#: zstd's fastest good level: the network is not what a deployment waits for.
LEVEL = "-3"


def to_zst(source: Path, format_: str, target: Path) -> int:
    """Convert, and say how many bytes the raw disk has."""
    scratch = target.with_name(f".{target.name}.new")
    raw = target.with_name(f".{target.name}.raw")
    try:
        if format_ == "raw.zst":
            raw_bytes = _unpacked_size(source)
            source.rename(scratch)
        else:
            raw_bytes = _compress(_as_raw(source, format_, raw), scratch)
        scratch.rename(target)
        return raw_bytes
    finally:
        scratch.unlink(missing_ok=True)
        raw.unlink(missing_ok=True)


def _as_raw(source: Path, format_: str, raw: Path) -> Path:
    if format_ == "raw":
        return source
    refuse_foreign_files(_info(source, format_))
    _run(["qemu-img", "convert", "-f", format_, "-O", "raw", str(source), str(raw)])
    return raw


def _info(source: Path, format_: str) -> dict[str, object]:
    info: dict[str, object] = json.loads(_run(["qemu-img", "info", "-f", format_, "--output=json", str(source)]))
    return info


def refuse_foreign_files(info: dict[str, object]) -> None:
    """Refuse an image that would have other files of this host read into it."""
    specific = info.get("format-specific") or {}
    data = specific.get("data", {}) if isinstance(specific, dict) else {}
    if "backing-filename" in info or "data-file" in data:
        raise Fault("image-unusable", "The image refers to another file (backing or data file).")


def _compress(raw: Path, target: Path) -> int:
    _run(["zstd", LEVEL, "-T0", "-q", "-f", str(raw), "-o", str(target)])
    return raw.stat().st_size


def _unpacked_size(source: Path) -> int:
    # Not what the header claims: zstd written in a stream claims nothing.
    with subprocess.Popen(["zstd", "-dc", "-q", str(source)], stdout=subprocess.PIPE) as process:
        assert process.stdout
        size = sum(len(piece) for piece in iter(lambda: process.stdout.read(2**20), b""))  # type: ignore[union-attr]
    if process.returncode:
        raise Fault("image-unusable", "The image is no zstd file.")
    return size


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Fault("image-unusable", f"{command[0]} says: {done.stderr.strip()[-300:]}")
    return done.stdout
