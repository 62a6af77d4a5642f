# SPDX-License-Identifier: Apache-2.0
"""How a machine gets the deploy ramdisk: a virtual CD of its own, or an iPXE script of its own.

The CD is made once, by the recipe, with a long marker on the kernel's command line. Each machine's CD is the same bytes
with the marker overwritten, so nothing is built or kept for it.
"""

import functools
import hashlib
import mmap
from collections.abc import Iterator
from pathlib import Path

#: What the recipe puts on the command line (images/agents/deploy/iso): it begins so, and `=` follow up to LENGTH.
MARKER = b"arbaro.personal="
LENGTH = 300
CHUNK = 2**20

IPXE_FROM_DISK = "#!ipxe\nexit\n"


def arguments(agent_url: str, token: str) -> str:
    """What the ramdisk has to know, on the kernel's command line."""
    return f"arbaro.url={agent_url}/v1/agent arbaro.token={token}"


def ipxe_script(agent_url: str, token: str) -> str:
    """The script that starts the ramdisk over the network. UEFI needs initrd=NAME on the command line."""
    files = f"{agent_url}/v1/agent/files"
    command_line = f"initrd=initrd console=tty0 console=ttyS0,115200 quiet {arguments(agent_url, token)}"
    return f"#!ipxe\nkernel {files}/vmlinuz {command_line}\ninitrd --name initrd {files}/initrd\nboot\n"


class PersonalCd:
    """The template's bytes with each marker overwritten; any part of them, for it may be asked for in pieces."""

    def __init__(self, template: Path, personal: str) -> None:
        self._template = template
        self._text = personal.encode().ljust(LENGTH)
        if len(self._text) != LENGTH:
            raise ValueError(f"agent_url is too long for the command line: {personal.split()[0]}")
        stat = template.stat()
        self.size = stat.st_size
        self._markers = _find_markers(template, stat.st_mtime_ns, stat.st_size)
        self.tag = hashlib.sha256(f"{stat.st_mtime_ns} {stat.st_size} {personal}".encode()).hexdigest()[:32]

    def read(self, part: range, chunk: int = CHUNK) -> Iterator[bytes]:
        """Yield these bytes, piece by piece."""
        with self._template.open("rb") as source:
            source.seek(part.start)
            at = part.start
            while at < part.stop and (piece := source.read(min(chunk, part.stop - at))):
                yield self._overwritten(piece, at)
                at += len(piece)

    def _overwritten(self, piece: bytes, at: int) -> bytes:
        end = at + len(piece)
        for marker in self._markers:
            first, last = max(at, marker), min(end, marker + LENGTH)
            if first < last:
                piece = piece[: first - at] + self._text[first - marker : last - marker] + piece[last - at :]
        return piece


@functools.lru_cache(maxsize=4)
def _find_markers(template: Path, _changed: int, size: int) -> tuple[int, ...]:
    """Where the markers begin. Looked for once, as long as the file stays as it is."""
    marker = MARKER.ljust(LENGTH, b"=")
    found: list[int] = []
    with template.open("rb") as source, mmap.mmap(source.fileno(), size, access=mmap.ACCESS_READ) as content:
        at = content.find(marker)
        while at >= 0:
            found.append(at)
            at = content.find(marker, at + LENGTH)
    return tuple(found)
