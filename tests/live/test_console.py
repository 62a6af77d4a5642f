# SPDX-License-Identifier: Apache-2.0
"""The console URL opens noVNC and leads to the guest's screen; a person sees the login there: real Chromium, and OCR reads it."""

import contextlib
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
import websocket

from .conftest import Tool

if TYPE_CHECKING:
    from selenium import webdriver

FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1000,700",
]  # fmt: skip


def console_url(cloud: Tool) -> str:
    """The address that `up` prints at its end."""
    found = re.search(r"http\S+/vnc_lite.html\S+", cloud.arbaro("up", "test"))
    assert found
    return found[0]


def test_the_console_url_leads_to_the_guests_screen(cloud: Tool) -> None:
    """noVNC's page is there, and where that page connects to, QEMU's VNC server speaks."""
    url = console_url(cloud)
    with urllib.request.urlopen(url, timeout=20) as page:
        assert b"noVNC" in page.read()
    (path,) = parse_qs(urlsplit(url).query)["path"]
    address = f"ws://{urlsplit(url).netloc}/{path}"
    with contextlib.closing(websocket.create_connection(address, timeout=20, subprotocols=["binary"])) as screen:
        assert bytes(screen.recv()).startswith(b"RFB 003.")


@pytest.fixture
def browser(install: Callable[..., None], tmp_path: Path) -> "Iterator[webdriver.Chrome]":
    from selenium import webdriver

    install("chromium", "chromium-driver", "tesseract-ocr", "tesseract-ocr-eng")
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in [*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


@pytest.mark.soak
def test_a_browser_sees_the_guests_login(cloud: Tool, browser: "webdriver.Chrome", tmp_path: Path) -> None:
    browser.get(console_url(cloud))
    picture, seen = tmp_path / "console.png", ""
    deadline = time.monotonic() + 60
    while "login" not in seen and time.monotonic() < deadline:
        time.sleep(1)
        browser.save_screenshot(str(picture))
        seen = cloud.run(["tesseract", str(picture), "-", "--psm", "6"], code=None).lower()
    assert "login" in seen, f"the page shows: {seen}"
