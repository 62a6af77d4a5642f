# SPDX-License-Identifier: Apache-2.0
"""How a machine gets the deploy ramdisk: a virtual CD of its own, or an iPXE script of its own.

The CD is made once, by the recipe, with a long marker on the kernel's command line. Each machine's CD is the same bytes
with the marker overwritten, so nothing is built or kept for it.
"""

from collections.abc import Iterator
from pathlib import Path

#: What the recipe puts on the command line (images/agents/deploy/iso): it begins so, and `=` follow up to LENGTH.
MARKER = b"arbaro.personal="
LENGTH = 300

IPXE_FROM_DISK = "#!ipxe\nexit\n"


def arguments(public_url: str, token: str) -> str:
    """What the ramdisk has to know, on the kernel's command line."""
    return f"arbaro.url={public_url}/v1/agent arbaro.token={token}"


def ipxe_script(public_url: str, token: str) -> str:
    """The script that starts the ramdisk over the network. UEFI needs initrd=NAME on the command line."""
    files = f"{public_url}/v1/agent/files"
    command_line = f"initrd=initrd console=tty0 console=ttyS0,115200 quiet {arguments(public_url, token)}"
    return f"#!ipxe\nkernel {files}/vmlinuz {command_line}\ninitrd --name initrd {files}/initrd\nboot\n"


def personal_iso(template: Path, personal: str, chunk: int) -> Iterator[bytes]:
    """The template's bytes with each marker overwritten, piece by piece."""
    marker = MARKER.ljust(LENGTH, b"=")
    text = personal.encode().ljust(LENGTH)
    if len(text) != LENGTH:
        raise ValueError(f"public_url is too long for the command line: {personal.split()[0]}")
    with template.open("rb") as source:
        rest = b""
        while piece := source.read(chunk):
            whole = (rest + piece).replace(marker, text)
            # A marker may lie across two pieces: keep back what could be the beginning of one.
            rest = whole[-(LENGTH - 1) :]
            yield whole[: -(LENGTH - 1)]
        yield rest
