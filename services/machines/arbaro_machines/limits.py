# SPDX-License-Identifier: Apache-2.0
"""How much one image may take of this host: bytes, time, and room on the disk, on which a database may live too."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from arbaro_machines.faults import Fault


@dataclass(frozen=True)
class Limits:
    """The limits of one fetch and conversion; whoever works asks often whether they are kept."""

    directory: Path
    #: So many bytes of its file system stay free.
    reserve: int
    max_bytes: int
    max_virtual: int
    #: By time.monotonic().
    deadline: float

    def check(self) -> None:
        """Raise the fault when time or room is used up."""
        if time.monotonic() > self.deadline:
            raise Fault("image-unreachable", "Fetching and converting the image took longer than it may.")
        self.check_room()

    def check_room(self) -> None:
        """Raise the fault when the disk has less room than is to stay free."""
        free = shutil.disk_usage(self.directory).free
        if free < self.reserve:
            raise Fault(
                "no-room",
                f"{self.directory} has {free >> 20} MiB free, and {self.reserve >> 20} MiB are to stay free.",
            )

    def check_bytes(self, number: int) -> None:
        """Raise the fault when this is more than may be fetched."""
        if number > self.max_bytes:
            raise Fault("image-unusable", f"The image is larger than {self.max_bytes} bytes (max_gib).")

    def check_virtual(self, number: int) -> None:
        """Raise the fault when the image would become a disk larger than any may be."""
        if number > self.max_virtual:
            raise Fault(
                "image-unusable",
                f"The image becomes a disk of more than {self.max_virtual} bytes (max_virtual_gib).",
            )
