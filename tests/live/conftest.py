# SPDX-License-Identifier: Apache-2.0
"""Live tests share one real cloud, made by our own command; nothing here is a mock."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


class Tool:
    """Types commands as a person would, and says what they printed when they fail."""

    name = os.environ.get("ARBARO_TEST_CLOUD", "test")
    root = ROOT

    def arbaro(self, *words: str, code: int | None = 0, timeout: float = 2400) -> str:
        """Run ./arbaro; `code` is the exit code that is expected, None for any."""
        return self.run([str(ROOT / "arbaro"), *words], code=code, timeout=timeout)

    def openstack(self, *words: str, cloud: str | None = None) -> Any:
        """Run the real client against a cloud by its name in clouds.yaml, and read its JSON."""
        client = str(ROOT / ".venv/bin/openstack")
        text = self.run([client, "--os-cloud", cloud or f"arbaro-{self.name}", *words, "-f", "json"], timeout=180)
        return json.loads(text)

    def client(self, *words: str) -> str:
        """Run the real client as a person does, for what it prints; whether it succeeds shows in that."""
        return self.run([str(ROOT / ".venv/bin/openstack"), "--os-cloud", f"arbaro-{self.name}", *words], code=None)

    def status(self, name: str | None = None) -> dict[str, Any]:
        """Read `arbaro status --json`, whatever it says."""
        found: dict[str, Any] = json.loads(self.arbaro("status", name or self.name, "--json", code=None))
        return found

    def run(self, argv: list[str], *, code: int | None = 0, timeout: float = 600) -> str:
        """Run any command."""
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=timeout, cwd=ROOT)
        assert code is None or done.returncode == code, (
            f"{argv} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        )
        return done.stdout if code == 0 or code is None else done.stdout + done.stderr


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep", action="store_true", help="leave the cloud `test` running")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/live" in str(item.path):
            item.add_marker("live")
    # They have a cloud of their own, and two at work at once are more than two cores should bear: before `test` is there.
    items.sort(key=lambda item: not item.path.name.startswith("test_machines"))


@pytest.fixture(scope="session")
def tool() -> Tool:
    if os.geteuid() != 0:
        pytest.fail("live tests need root")
    return Tool()


@pytest.fixture(scope="session")
def install(tool: Tool) -> Callable[..., None]:
    """Install Debian packages that only a test needs."""

    def install(*packages: str) -> None:
        if tool.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ", *packages], code=None).split().count(
            "installed"
        ) < len(packages):
            tool.run(["apt-get", "-q", "update"])
            env = ["env", "DEBIAN_FRONTEND=noninteractive"]
            tool.run([*env, "apt-get", "-q", "-y", "install", "--no-install-recommends", *packages], timeout=900)

    return install


@pytest.fixture(scope="session")
def first_up(tool: Tool, pytestconfig: pytest.Config) -> Iterator[str]:
    """The shared cloud; yields what `up` printed when it was made."""
    printed = tool.arbaro("up", tool.name)
    yield printed
    if not pytestconfig.getoption("--keep"):
        tool.arbaro("down", tool.name)


@pytest.fixture(scope="session")
def cloud(tool: Tool, first_up: str) -> Tool:
    return tool
