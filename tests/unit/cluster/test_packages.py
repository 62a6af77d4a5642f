# SPDX-License-Identifier: Apache-2.0
"""Packages are installed by the real apt, here in directories of a test's own; another apt that is at work is waited for."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import pytest

from arbaro.cluster import guests, machine_parts, packages, this_machine
from arbaro.settings import files_dir

NOTHING = "Package: {}\nStatus: {}\nPriority: optional\nMaintainer: x <x@x.invalid>\nArchitecture: all\nVersion: 1\nDescription: t\n\n"


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt that finds all packages installed already, and takes its locks in a directory of ours."""
    for name in ("lists/partial", "cache/archives/partial", "dpkg/updates", "log"):
        (tmp_path / name).mkdir(parents=True)
    settings = {
        "State": "",
        "State::Lists": "lists",
        "State::status": "dpkg/status",
        "Cache": "cache",
        "Log": "log",
        "Etc::sourcelist": "none",
        "Etc::sourceparts": "none",
    }
    lines = (f'Dir::{name} "{tmp_path / place}";\n' for name, place in settings.items())
    (tmp_path / "apt.conf").write_text("".join(lines))
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    wanted = {*this_machine.PACKAGES, *machine_parts.PACKAGES, *guests.EXTRA_PACKAGES["debian-12"]}
    (tmp_path / "dpkg/status").write_text("".join(NOTHING.format(name, "install ok installed") for name in wanted))
    # Everything is asked for, as on a machine that has none of it.
    monkeypatch.setattr(packages, "missing", list)
    return tmp_path


#: Takes a lock as apt does, says so, and keeps it until its standard input ends.
HOLDER = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.lockf(f, fcntl.LOCK_EX); print('has it', flush=True); sys.stdin.read()"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let another process have the lock during the block."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout and holder.stdout.readline() == b"has it\n"
        yield
        holder.communicate()


@pytest.mark.parametrize("lock", ["dpkg/lock-frontend", "lists/lock"])
def test_another_apt_is_waited_for(apt: Path, lock: str) -> None:
    with ThreadPoolExecutor() as threads:
        with locked(apt / lock):
            installing = threads.submit(packages.install, this_machine.PACKAGES, lambda _: None)
            assert wait([installing], timeout=1).not_done
        installing.result(timeout=60)


def test_packages_are_installed_in_one_place() -> None:
    """What is said here of one place would hold for no other."""
    calls = [path.name for path in (files_dir() / "src").rglob("*.py") if '"apt-get"' in path.read_text()]
    assert calls == ["packages.py"]


def test_packages_of_which_only_configuration_is_left_are_missing(tmp_path: Path, monkeypatch) -> None:
    states = {"podman": "install ok installed", "crun": "deinstall ok config-files"}
    (tmp_path / "status").write_text("".join(NOTHING.format(name, state) for name, state in states.items()))
    monkeypatch.setenv("DPKG_ADMINDIR", str(tmp_path))
    assert packages.missing(["podman", "crun", "lz4"]) == ["crun", "lz4"]
