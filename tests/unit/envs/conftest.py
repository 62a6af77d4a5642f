# SPDX-License-Identifier: Apache-2.0
"""A home of its own for each test: nothing of the person's files is read or written."""

from collections.abc import Callable
from pathlib import Path

import pytest

from arbaro.envs import files


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import os

    for name in list(os.environ):
        if name.startswith(("OS_", "ARBARO_")):
            monkeypatch.delenv(name)
    for name in ("CONFIG", "CACHE", "STATE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(home: Path) -> Callable[..., Path]:
    """Write clouds.yaml, and secure.yaml if given."""

    def write(clouds: str, secure: str = "") -> Path:
        path = files.clouds_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(clouds)
        if secure:
            files.secure_file().write_text(secure)
            files.secure_file().chmod(0o600)
        return path

    return write
