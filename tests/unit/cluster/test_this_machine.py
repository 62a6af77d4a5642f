# SPDX-License-Identifier: Apache-2.0
"""KVM is used only where it truly works, and too little room is refused before anything starts."""

from pathlib import Path

import pytest

from arbaro.cluster.this_machine import ThisMachine, check_capacity, choose_virt_type
from arbaro.errors import ArbaroError


def test_a_device_node_alone_proves_nothing(tmp_path: Path) -> None:
    device = tmp_path / "kvm"
    device.touch()
    assert choose_virt_type("flags\t\t: fpu sse avx2\n", device) == ("qemu", "the CPU shows neither vmx nor svm")


def test_a_device_that_makes_no_machine_is_not_kvm(tmp_path: Path) -> None:
    device = tmp_path / "kvm"
    device.touch()
    chosen, reason = choose_virt_type("flags\t\t: fpu vmx\n", device)
    assert chosen == "qemu"
    assert str(device) in reason


def test_too_little_memory_is_said_in_numbers() -> None:
    with pytest.raises(ArbaroError, match="1000 MiB are free, 3600 MiB are needed"):
        check_capacity(3600, 1, ThisMachine(2, 2000, 1000, "qemu", ""))


def test_too_little_disk_is_said_in_numbers() -> None:
    with pytest.raises(ArbaroError, match="Too little disk"):
        check_capacity(1, 10**9, ThisMachine(2, 2000, 1000, "qemu", ""))
