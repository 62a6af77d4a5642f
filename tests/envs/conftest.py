# SPDX-License-Identifier: Apache-2.0
"""Real bash, zsh and fish; ten environments in a home of their own. No cloud: `openstack` is a stand-in here.

The live tests (tests/live/test_env.py) do the same with the real client and real clouds.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHELLS = ("bash", "zsh", "fish")
ARBARO = Path(sys.executable).with_name("arbaro")
#: A stand-in for the client: it goes where openstackclient would go, judged by the same variables in the same order.
STAND_IN = """\
#!/bin/sh
if [ -n "$OS_AUTH_URL" ]; then echo "WENT by hand to $OS_AUTH_URL"; exit; fi
[ -n "$OS_CLOUD" ] || { echo "WENT nowhere"; exit; }
echo "WENT $OS_CLOUD${OS_REGION_NAME:+/$OS_REGION_NAME} by ${OS_CLIENT_CONFIG_FILE:-whatever clouds.yaml is near}"
"""
ONE = "  {name}: {{auth: {{auth_url: 'http://127.0.0.1:1/v3', username: me, password: x, project_name: p-{name}}}, {rest}}}\n"


class Home:
    """A person's home with ten environments."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clouds = path / "config/openstack/clouds.yaml"
        self.variables = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "ARBARO_"))}
        self.variables |= {f"XDG_{n.upper()}_HOME": str(path / n) for n in ("config", "cache", "state", "data")}
        self.variables |= {
            "HOME": str(path),
            "PATH": f"{path / 'bin'}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
        }
        self.variables.pop("XDG_RUNTIME_DIR", None)

    def file_of(self, name: str) -> Path:
        """The clouds.yaml that a shell is given there: our own where one of several regions was chosen."""
        from arbaro.envs.files import slug

        found = list((self.path / "state/arbaro/env").glob(f"*/{slug(name)}.plain.yaml"))
        return found[0] if "/" in name and found else self.clouds

    def names(self) -> list[str]:
        return ["dev-1", *(f"test-{n}" for n in range(1, 5)), "test-5/kr-1", "test-5/kr-2", "dev-2", "dev-3", "lab 4"]

    def shell(self, shell: str, script: str, *, cwd: Path | None = None) -> str:
        """What a script prints in a shell that has evaluated `arbaro shell-init`."""
        file = self.path / f"script-{os.urandom(4).hex()}"
        load = f"{ARBARO} shell-init fish | source" if shell == "fish" else f'eval "$({ARBARO} shell-init {shell})"'
        file.write_text(f"{load}\n{script}\n")
        flags = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
        done = subprocess.run(
            [shell, *flags, file], env=self.variables, cwd=cwd or self.path, capture_output=True, text=True, timeout=900
        )
        return done.stdout + done.stderr


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.clouds.parent.mkdir(parents=True)
    entries = [ONE.format(name=n, rest="region_name: kr-9") for n in home.names() if "/" not in n and n != "lab 4"]
    entries.append(ONE.format(name="test-5", rest="regions: [kr-1, kr-2]"))
    entries.append(ONE.format(name="lab 4", rest="region_name: 100%"))
    home.clouds.write_text("clouds:\n" + "".join(entries))
    client = tmp_path / "bin/openstack"
    client.parent.mkdir()
    client.write_text(STAND_IN)
    client.chmod(0o755)
    return home


@pytest.fixture(scope="session", autouse=True)
def shells() -> None:
    """All three shells, and what suggests inline in zsh; installed where we may."""
    needed = ("zsh", "fish", "zsh-autosuggestions")
    known = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ", *needed], capture_output=True, text=True)
    if known.stdout.split().count("installed") == len(needed):
        return
    if os.geteuid() != 0:
        pytest.fail(f"these tests need Debian's {', '.join(needed)}: apt-get install them")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "-q", "update"], check=True, env=env)
    subprocess.run(["apt-get", "-q", "-y", "install", "--no-install-recommends", *needed], check=True, env=env)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)
