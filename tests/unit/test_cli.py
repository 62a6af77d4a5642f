# SPDX-License-Identifier: Apache-2.0
"""The command line is there at once: naming the commands imports none of what they need."""

import os
import subprocess
import sys
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from arbaro.cli import cli, options
from arbaro.cluster.spec import CloudSpec

SLOW = ("rich", "ansible", "openstack", "yaml", "arbaro.cluster", "arbaro.output")


def test_help_imports_no_room_and_no_big_library() -> None:
    program = "import sys, arbaro.cli; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in SLOW if name in modules] == []


@pytest.mark.parametrize(
    ("words", "incomplete", "offered"),
    [
        (["status"], "", ["default", "lab"]),
        (["status"], "l", ["lab"]),
        (["ssh", "lab"], "", ["controller", "compute1", "compute2"]),
        (["logs", "lab"], "comp", ["compute1", "compute2"]),
        (["ssh", "nosuch"], "", []),
    ],
)
def test_the_shell_completes_clouds_and_hosts(
    monkeypatch: pytest.MonkeyPatch, words: list[str], incomplete: str, offered: list[str]
) -> None:
    networks = IPv4Network("198.18.0.0/24"), IPv4Network("198.18.1.0/24")
    clouds = {name: CloudSpec(name, "zed", 2, "linuxbridge", *networks) for name in ("default", "lab")}

    class Clouds:
        find_cloud = staticmethod(clouds.get)
        list_clouds = staticmethod(lambda: list(clouds.values()))

    monkeypatch.setattr(options, "provider", Clouds)
    found = ShellComplete(cli, {}, "arbaro", "_ARBARO_COMPLETE").get_completions(words, incomplete)
    assert [item.value for item in found] == offered


def test_without_root_there_is_one_clear_sentence(tmp_path: Path) -> None:
    # Root becomes somebody else here, but may go on reading: the checkout may be where others cannot (/root).
    may_read = ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
    nobody = ["setpriv", "--reuid", "65534", "--clear-groups", *may_read] if os.geteuid() == 0 else []
    command = [*nobody, str(Path(sys.executable).with_name("arbaro")), "ls"]
    done = subprocess.run(command, env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 2
    assert "needs root" in done.stderr and "sudo" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", sorted(cli.commands))
def test_each_verb_has_help(verb: str) -> None:
    printed = CliRunner().invoke(cli, [verb, "--help"], prog_name="arbaro")
    assert printed.exit_code == 0
    assert f"Usage: arbaro {verb}" in printed.output
