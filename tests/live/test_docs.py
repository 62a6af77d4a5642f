# SPDX-License-Identifier: Apache-2.0
"""What the docs say to type is typed as it stands there, against the shared cloud, and does what they say."""

import re
import time

from .conftest import ROOT, Tool


def commands(page: str, *without: str) -> str:
    """Read all commands of a page; lines that contain one of `without` are left out."""
    lines = re.findall(r"^    (.*)$", (ROOT / "docs" / page).read_text(), re.MULTILINE)
    return "\n".join(line for line in lines if not any(word in line for word in without))


def type_page(tool: Tool, page: str, *without: str) -> str:
    """Run all commands of a page in one shell."""
    script = re.sub(r"\bdefault\b", tool.name, commands(page, *without))
    return tool.run(["env", f"ARBARO_CLOUD={tool.name}", "bash", "-euo", "pipefail", "-c", script], timeout=900)


def wait_for_console(tool: Tool, server: str, words: str, *, timeout: float) -> str:
    """Wait until a server's console log holds these words; returns the log."""
    deadline = time.monotonic() + timeout
    while words not in (console := tool.client("console", "log", "show", server)):
        assert time.monotonic() < deadline, f"{server} did not say {words!r}:\n{console[-3000:]}"
        time.sleep(3)
    return console


def test_the_tutorial(cloud: Tool) -> None:
    try:
        printed = type_page(cloud, "tutorial/first-cloud.md", "./arbaro up", "./arbaro down", "ssh -i", "server delete")
        assert "first-vm" in printed
        wait_for_console(cloud, "my-vm", "My name is my-vm.", timeout=60)
    finally:
        cloud.client("server", "delete", "--wait", "my-vm")
        (ROOT / "hello.sh").unlink(missing_ok=True)


def test_looking_inside(cloud: Tool) -> None:
    printed = type_page(cloud, "how-to/look-inside.md", " -f ", "req-…")
    assert "first-vm" in printed
    assert "chain guard" in printed
