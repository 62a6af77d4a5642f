# SPDX-License-Identifier: Apache-2.0
"""A qcow2 file's header, read by ourselves before QEMU's tool opens the file: opening one can already open others.

The format: docs/interop/qcow2.txt of QEMU.
"""

import struct
from pathlib import Path

from arbaro_machines.faults import Fault

MAGIC = b"QFI\xfb"
#: magic, version, backing file's offset and size, cluster bits, virtual size, encryption.
HEADER = struct.Struct(">4sIQIIQI")
FEATURES_AT, FEATURES = 72, struct.Struct(">Q")
#: Bits of the features that a reader must know: data in another file; those that do no harm (dirty, compression type,
#: extended L2 entries).
DATA_FILE, HARMLESS = 1 << 2, (1 << 0) | (1 << 3) | (1 << 4)


def virtual_size(path: Path) -> int:
    """Say how large the disk is. Raises Fault for a file that is no qcow2, or that is not all of its disk."""
    with path.open("rb") as file:
        head = file.read(FEATURES_AT + FEATURES.size)
    if len(head) < FEATURES_AT or not head.startswith(MAGIC):
        raise Fault("image-unusable", "The image is no qcow2 file.")
    _, version, backing, _, _, size, encryption = HEADER.unpack_from(head)
    if version not in (2, 3):
        raise Fault("image-unusable", f"The image is qcow2 of version {version}; known are 2 and 3.")
    features = FEATURES.unpack_from(head, FEATURES_AT)[0] if version == 3 and len(head) > FEATURES_AT else 0
    if backing or features & DATA_FILE:
        raise Fault("image-unusable", "The image refers to another file (backing or data file).")
    if encryption:
        raise Fault("image-unusable", "The image is encrypted.")
    if features & ~HARMLESS:
        raise Fault("image-unusable", f"The image is damaged, or of a kind that is not known (features {features:#x}).")
    return int(size)
