# SPDX-License-Identifier: Apache-2.0
"""A home of a test's own: nothing of the person's files is read or written."""

import os
from pathlib import Path

import pytest

from arbaro.cloudspaths import clouds_file, secure_file


def move_in(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a directory the home of this process, without any cloud chosen."""
    for name in list(os.environ):
        if name.startswith(("OS_", "ARBARO_")):
            monkeypatch.delenv(name)
    for name in ("CONFIG", "CACHE", "STATE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(path / name.lower()))
    monkeypatch.setenv("HOME", str(path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.chdir(path)
    return path


def write_clouds(clouds: str, secure: str = "") -> Path:
    """Write clouds.yaml, and secure.yaml if given."""
    path = clouds_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(clouds)
    if secure:
        secure_file().write_text(secure)
        secure_file().chmod(0o600)
    return path
