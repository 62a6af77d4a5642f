# SPDX-License-Identifier: Apache-2.0
"""What playbooks do in shell, in scratch directories. Stand in: systemctl and journalctl, which read files."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

PLAYBOOKS = Path(__file__).parents[2] / "ansible/playbooks"
SYSTEMCTL = """#!/bin/sh
case "$*" in
    is-active*) [ "$(cat {state})" = active ] ;;
    *InvocationID*) cat {invocation} ;;
    *ActiveEnterTimestamp*) echo now ;;
esac
"""


class Host:
    """A unit's state in files; `stays_up` runs the script against it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "bin").mkdir()
        self.program("systemctl", SYSTEMCTL.format(state=directory / "state", invocation=directory / "invocation"))
        self.program("journalctl", f"#!/bin/sh\ncat {directory / 'journal'}\n")
        self.write(state="active", invocation="1", journal="I start")

    def program(self, name: str, text: str) -> None:
        (self.directory / "bin" / name).write_text(text)
        (self.directory / "bin" / name).chmod(0o755)

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.directory / name).write_text(f"{text}\n")

    def stays_up(self, seconds: int, *words: str) -> tuple[int, list[str]]:
        path = {"PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}"}
        command = [str(PLAYBOOKS / "files/stays-up"), "agent", str(seconds), *words]
        done = subprocess.run(command, capture_output=True, text=True, env=path, timeout=10)
        return done.returncode, done.stderr.splitlines()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_unit_that_has_said_its_words_is_up(host: Host) -> None:
    host.write(journal="I start\nall done here")
    assert host.stays_up(0, "all done") == (0, [])


def test_one_that_never_says_them_is_not(host: Host) -> None:
    told = 'agent runs, but has not said "all done" in time. Its last lines:'
    assert host.stays_up(0, "all done") == (1, [told, "I start"])


def test_one_that_says_nothing_has_to_run_for_a_while(host: Host) -> None:
    assert host.stays_up(1) == (0, [])


@pytest.mark.parametrize("change", [("invocation", "2"), ("state", "activating")])
def test_one_that_was_started_again_has_not_stayed_up(host: Host, change: tuple[str, str]) -> None:
    name, value = change
    # It happens just after the first look into the journal.
    host.program("journalctl", f"#!/bin/sh\necho {value} >{host.directory / name}\ncat {host.directory / 'journal'}\n")
    assert host.stays_up(60, "all done") == (1, ["agent did not stay up. Its last lines:", "I start"])


def prune(agents: Path, image: str) -> list[str]:
    """Run the playbook's last task in another directory; returns what is left."""
    play: dict[str, Any] = yaml.safe_load((PLAYBOOKS / "upgrade-agent.yml").read_text())[0]
    text = str(play["tasks"][-1]["ansible.builtin.shell"])
    script = text.replace("/var/lib/arbaro/agents", str(agents)).replace("{{ l2isolate_agent_image }}", image)
    subprocess.run(["sh", "-ec", script], check=True, stdout=subprocess.DEVNULL)
    return sorted(path.name for path in agents.iterdir())


def test_the_image_in_use_is_never_removed_and_the_one_before_it_stays(tmp_path: Path) -> None:
    for age, name in enumerate(("l2isolate-new", "l2isolate-middle", "l2isolate-old", "l2isolate-older")):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    assert prune(tmp_path, "l2isolate-old") == ["l2isolate-new", "l2isolate-old"], "the oldest build, and it runs"
    (tmp_path / "l2isolate-x").mkdir()
    os.utime(tmp_path / "l2isolate-x", (1, 1))
    assert prune(tmp_path, "l2isolate-x") == ["l2isolate-old", "l2isolate-x"], "the way back is what ran before"
    assert prune(tmp_path, "l2isolate-x") == ["l2isolate-old", "l2isolate-x"]
