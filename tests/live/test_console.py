# SPDX-License-Identifier: Apache-2.0
"""The console URL opens noVNC, and a person sees the guest's login there: real Chromium, and OCR reads what it shows."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from .conftest import Tool

FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1000,700",
]  # fmt: skip


@pytest.fixture
def browser(install: Callable[..., None], tmp_path: Path) -> Iterator[webdriver.Chrome]:
    install("chromium", "chromium-driver", "tesseract-ocr", "tesseract-ocr-eng")
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in [*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


def test_a_browser_sees_the_guests_login(cloud: Tool, browser: webdriver.Chrome, tmp_path: Path) -> None:
    found = re.search(r"http\S+/vnc_lite.html\S+", cloud.arbaro("up", "test"))
    assert found
    browser.get(found[0])
    picture, seen = tmp_path / "console.png", ""
    deadline = time.monotonic() + 60
    while "login" not in seen and time.monotonic() < deadline:
        time.sleep(1)
        browser.save_screenshot(str(picture))
        seen = cloud.run(["tesseract", str(picture), "-", "--psm", "6"], code=None).lower()
    assert "login" in seen, f"the page shows: {seen}"
