# SPDX-License-Identifier: Apache-2.0
"""The console URL opens noVNC, and a person sees the guest's login there: real Chromium, and OCR reads what it shows."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Tool

CHROMIUM = [
    "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1000,700",
]  # fmt: skip


@pytest.mark.soak
def test_a_browser_sees_the_guests_login(cloud: Tool, install: Callable[..., None], tmp_path: Path) -> None:
    install("chromium", "tesseract-ocr", "tesseract-ocr-eng")
    seen = ""
    deadline = time.monotonic() + 120
    while "login" not in seen and time.monotonic() < deadline:
        url = cloud.openstack("console", "url", "show", "--novnc", "first-vm")["url"] + "&autoconnect=true&resize=scale"
        picture = tmp_path / "console.png"
        command = [
            *CHROMIUM,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--timeout=12000",
            f"--screenshot={picture}",
            url,
        ]
        subprocess.run(command, capture_output=True, timeout=90)
        seen = cloud.run(["tesseract", str(picture), "-", "--psm", "6"], code=None).lower() if picture.exists() else ""
    assert "login" in seen
