# SPDX-License-Identifier: Apache-2.0
"""Live tests share one real cloud, made by our own command; nothing here is a mock."""

import functools
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from arbaro.checks import Finding, judge, troubles
from arbaro.cluster.checks import CHECKS
from arbaro.cluster.cloud import Cloud, existing_cloud
from arbaro.cluster.evidence import collect
from arbaro.cluster.providers.podman import Podman

from . import client

if TYPE_CHECKING:
    from .metal import Metal
    from .second import Second

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
        return json.loads(self.do(*words, "-f", "json", cloud=cloud))

    def do(self, *words: str, code: int | None = 0, cloud: str | None = None) -> str:
        """Run the real client where it prints nothing that is JSON; `code` is the exit code that is expected, None for any."""
        argv = ["--os-cloud", cloud or f"arbaro-{self.name}", *words]
        return self._judged(["openstack", *argv], code, *client.run(argv, timeout=600))

    def client(self, *words: str) -> str:
        """Run the real client for what it prints; whether it succeeds shows in that."""
        return self.do(*words, code=None)

    def status(self, name: str | None = None) -> dict[str, Any]:
        """Read `arbaro status --json`, whatever it says."""
        found: dict[str, Any] = json.loads(self.arbaro("status", name or self.name, "--json", code=None))
        return found

    @functools.cached_property
    def cloud(self) -> Cloud:
        """The shared cloud as our own code sees it."""
        return existing_cloud(self.name, Podman())

    def findings(self) -> list[Finding]:
        """Look at the shared cloud as `arbaro status` does, without starting it: causes first, and what follows from them."""
        return troubles(judge(CHECKS, collect(self.cloud)))

    def on(self, host: str, command: str, *, code: int | None = 0, timeout: float = 600) -> str:
        """Run a command in the shell of one of the shared cloud's hosts."""
        (found,) = (one for one in self.cloud.spec.hosts if one.name == host)
        return self.run([*self.cloud.reach(found).ssh(), "--", command], code=code, timeout=timeout)

    def run(self, argv: list[str], *, code: int | None = 0, timeout: float = 600) -> str:
        """Run any command."""
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=timeout, cwd=ROOT)
        return self._judged(argv, code, done.returncode, done.stdout, done.stderr)

    @staticmethod
    def _judged(argv: list[str], code: int | None, ended: int, out: str, err: str) -> str:
        assert code is None or ended == code, f"{argv} ended with {ended}:\n{out}\n{err}"
        return out if code == 0 or code is None else out + err


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep", action="store_true", help="leave the cloud `test` running")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/live" in str(item.path):
            item.add_marker("live")
            # openstacksdk warns of its own future at each call.
            for kind in ("DeprecationWarning", "PendingDeprecationWarning"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{kind}"))
    items.sort(key=place)


def place(item: pytest.Item) -> tuple[bool, str]:
    """Say where a test comes: machines first, while no other test has made the shared cloud ill; then by the files' names.

    But what takes the second cloud away follows what uses it: other tests would leave traces of their own in between.
    """
    name = item.path.name
    return not name.startswith("test_machines"), name.replace("test_second_cloud", "test_env_and_second_cloud")


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
    """The shared cloud, with two computes and two physical machines; yields what `up` printed when it was made."""
    keep = pytestconfig.getoption("--keep")
    if not keep:
        # A run that was killed has left them as they were.
        for name in (tool.name, "prod"):
            tool.arbaro("down", name)
    printed = tool.arbaro("up", tool.name, "--computes", "2", "--machines", "2")
    yield printed
    if not keep:
        tool.arbaro("down", tool.name)


@pytest.fixture(scope="session")
def cloud(tool: Tool, first_up: str) -> Tool:
    return tool


@pytest.fixture(scope="session")
def metal(cloud: Tool) -> "Metal":
    """The shared cloud's physical machines."""
    from .metal import Metal

    return Metal(cloud, cloud.cloud.rack)


@pytest.fixture(scope="session")
def second(cloud: Tool, install: Callable[..., None], pytestconfig: pytest.Config) -> Iterator["Second"]:
    """The cloud `prod` beside the shared one; its `up` was killed several times on the way."""
    from .second import make

    # What else changes on this machine changes before its traces are looked for.
    install("zsh", "fish")
    yield make(cloud, "prod")
    if not pytestconfig.getoption("--keep"):
        cloud.arbaro("down", "prod")
