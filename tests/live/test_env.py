# SPDX-License-Identifier: Apache-2.0
"""Environments on two real clouds, one marked production: what the prompt says, who refuses to write, what is kept.

Production is the second cloud of test_second_cloud.py. Needs bash, zsh and fish.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from .conftest import ROOT, Tool
from .second import Second

ARBARO, CLIENT = ROOT / ".venv/bin/arbaro", ROOT / ".venv/bin/openstack"
#: The two clouds, and none that someone else has on this machine.
OURS = "arbaro-[tp]*"
SHELLS = ("bash", "zsh", "fish")
#: tests/envs tries all shells on fake clouds; on real ones, the others are in `make soak`.
EACH_SHELL = pytest.mark.parametrize(
    "shell", ["bash", *(pytest.param(one, marks=pytest.mark.soak) for one in SHELLS[1:])]
)
SHOW = {
    "bash": '__arbaro_prompt; printf "PROMPT %s\\n" "${PS1@P}"',
    "zsh": '__arbaro_prompt; printf "PROMPT %s\\n" "${(%%)PS1}"',
    "fish": "echo PROMPT (fish_prompt)",
}


@pytest.fixture(scope="module")
def two(cloud: Tool, second: Second) -> Iterator[Tool]:
    """The shared cloud (its name says test), and the second one, marked production; the person's files are put back."""
    place = Path.home() / ".config/openstack"
    before = {file: file.read_bytes() for file in place.iterdir()}
    cloud.arbaro("env", "mark", f"arbaro-{second.name}", "production")
    yield cloud
    for file in place.iterdir():
        if file in before:
            file.write_bytes(before[file])
        else:
            file.unlink()


def in_shell(shell: str, *lines: str) -> str:
    load = f"{ARBARO} shell-init fish | source" if shell == "fish" else f'eval "$({ARBARO} shell-init {shell})"'
    flags = {"bash": "--norc", "zsh": "-f", "fish": "--no-config"}[shell]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "ARBARO_"))}
    env["PATH"] = f"{CLIENT.parent}:{env['PATH']}"
    done = subprocess.run(
        [shell, flags, "-c", "\n".join([load, *lines])], env=env, capture_output=True, text=True, timeout=900
    )
    return re.sub(r"\x1b\[[0-9;]*m|\x1b\(B|[\x01\x02\x0f]", "", done.stdout + done.stderr)


def keystone_of(tool: Tool, cloud: str) -> str:
    """The address of a cloud's keystone, out of its own catalog."""
    rows = tool.openstack("catalog", "show", "keystone", cloud=cloud)
    return next(e["url"] for e in rows["endpoints"] if e["interface"] == "public")


def test_personal_clouds_appear_by_themselves_and_the_mark_stays(two: Tool) -> None:
    rows = {row["name"]: row for row in json.loads(two.arbaro("env", "ls", "--json"))}
    assert rows["arbaro-test"]["kind"] == "test" and rows["arbaro-prod"]["kind"] == "production"
    two.arbaro("up", "prod", "--computes", "1")
    rows = {row["name"]: row for row in json.loads(two.arbaro("env", "ls", "--json"))}
    assert rows["arbaro-prod"]["kind"] == "production"


@EACH_SHELL
def test_the_prompt_is_where_the_client_goes(two: Tool, shell: str) -> None:
    wanted = {name: keystone_of(two, name) for name in ("arbaro-test", "arbaro-prod")}
    ask = "openstack catalog show keystone -f value -c endpoints"
    for name in ("arbaro-test", "arbaro-prod", "arbaro-test"):
        seen = in_shell(shell, f"arbaro env use {name}", SHOW[shell], ask)
        assert f"PROMPT [{name} RegionOne admin" in seen, seen
        assert wanted[name] in seen and not any(url in seen for other, url in wanted.items() if other != name)


@EACH_SHELL
def test_nova_neutron_and_glance_refuse_to_write_in_a_read_only_shell(two: Tool, shell: str) -> None:
    writes = {
        "nova": "openstack flavor create --vcpus 1 --ram 64 --disk 0 forbidden",
        "nova, an old way": "openstack server delete first-vm",
        "neutron": "openstack network create forbidden",
        "glance": "openstack image set --property forbidden=1 tiny",
        "by another name": "openstack --os-cloud arbaro-test network create forbidden",
    }
    reads = ("server list -f value -c Name", "network list -f value -c Name", "image list -f value -c Name")
    # What shells differ in is the way to the credential: each shows one refusal, and bash all of them.
    for who, write in list(writes.items())[: None if shell == "bash" else 1]:
        seen = in_shell(shell, "arbaro env use arbaro-prod", SHOW[shell], f"{write} && echo WRITTEN")
        assert "read-only" in seen and "WRITTEN" not in seen, f"{who}: {seen}"
        assert "401" in seen or "403" in seen or "was not found" in seen, f"{who}: {seen}"
    # Keystone lets itself be written to, and is not to be believed in: that is said when the credential is made.
    two.run(["sh", "-c", "rm ~/.local/state/arbaro/env/*/arbaro-prod.read-only.yaml"])
    assert "Not guarded: keystone" in in_shell(shell, "arbaro env use arbaro-prod")
    seen = in_shell(shell, "arbaro env use arbaro-prod", *(f"openstack {read}" for read in reads))
    assert all(word in seen for word in ("first-vm", "provider", "tiny")), seen
    for name in ("arbaro-prod", "arbaro-test"):
        assert "forbidden" not in json.dumps(two.openstack("network", "list", cloud=name))
        assert "forbidden" not in json.dumps(two.openstack("flavor", "list", "--all", cloud=name))


def test_writing_is_typed_for_and_is_allowed_then(two: Tool) -> None:
    import pexpect

    argv = [
        "env",
        "exec",
        "arbaro-prod",
        "--write",
        "--",
        str(CLIENT),
        "flavor",
        "create",
        "--vcpus",
        "1",
        "--ram",
        "64",
        "--disk",
        "0",
        "allowed",
        "-f",
        "json",
    ]
    child = pexpect.spawn(str(ARBARO), argv, encoding="utf-8", timeout=180)
    child.expect("Type RegionOne to write there")
    child.sendline("RegionOne")
    child.expect('"name": "allowed"')
    child.expect(pexpect.EOF)
    two.run([str(CLIENT), "--os-cloud", "arbaro-prod", "flavor", "delete", "allowed"])


def test_writing_ends_by_itself(two: Tool) -> None:
    """Keystone refuses the credential when its time is over: here after seconds, which a test can wait for."""
    program = (
        "import time; from arbaro.envs import guard, index; from arbaro.envs.environment import find\n"
        "guard.LIFETIMES['write'] = 5\n"
        "place = guard.take(find('arbaro-prod', index.environments()), 'write'); time.sleep(8); print(place.config)"
    )
    view = two.run([str(ROOT / ".venv/bin/python"), "-c", program]).strip().splitlines()[-1]
    env = ["env", f"OS_CLIENT_CONFIG_FILE={view}", f"OS_CLIENT_SECURE_FILE={view}", "OS_CLOUD=arbaro-prod"]
    assert "401" in two.run([*env, str(CLIENT), "token", "issue"], code=1)
    Path(view).unlink()


def test_each_makes_one_table_and_waits_for_nobody(two: Tool) -> None:
    argv = ("env", "each", OURS, "--json", "--", str(CLIENT), "server", "list", "-f", "json", "-c", "Name")
    found = json.loads(two.arbaro(*argv))
    assert [row["environment"] for row in found["rows"] if row["Name"] == "first-vm"] == ["arbaro-test", "arbaro-prod"]
    two.arbaro("stop", "prod")
    try:
        # Code 1, which Tool would answer with both streams in one.
        found = json.loads(two.arbaro("env", "each", OURS, "--timeout", "20", "--json", "--", *argv[5:], code=None))
        assert {row["environment"] for row in found["rows"]} == {"arbaro-test"} and list(found["failed"]) == [
            "arbaro-prod"
        ]
    finally:
        two.arbaro("start", "prod")


def test_check_is_silent_on_healthy_clouds(two: Tool) -> None:
    rows = json.loads(two.arbaro("env", "check", OURS, "--json", code=None))
    assert [row for row in rows if fnmatch(row["where"], OURS)] == []


def test_an_openrc_of_up_comes_in_and_goes_out(two: Tool, tmp_path: Path) -> None:
    source = Path.home() / ".local/share/arbaro/clouds/prod/openrc"
    two.arbaro("env", "import", "--as", "again", "--kind", "test", str(source))
    try:
        two.arbaro("env", "export", "again", str(tmp_path / "rc"))
        issue = f". {tmp_path / 'rc'}; {CLIENT} catalog show keystone -f value -c endpoints"
        assert keystone_of(two, "arbaro-prod") in two.run(["bash", "-c", issue])
    finally:
        two.arbaro("env", "rm", "again")


def test_a_kept_token_saves_the_login(two: Tool) -> None:
    """Several calls leave one token, and two show the same; how much time that saves: benchmarks/env.py --cloud."""
    two.run(
        [
            "bash",
            "-c",
            "rm -f ${XDG_RUNTIME_DIR:-/nowhere}/arbaro/tokens/*.token ~/.local/state/arbaro/env/tokens/*.token",
        ]
    )
    clouds = Path.home() / ".config/openstack/clouds.yaml"
    before = clouds.read_text()
    try:
        if "cache:" not in before:
            clouds.write_text(before.rstrip("\n") + "\ncache: {auth: true}\n")
        for _ in range(4):
            two.run([str(CLIENT), "--os-cloud", "arbaro-test", "token", "issue"])
        kept = two.run(
            ["bash", "-c", "ls ${XDG_RUNTIME_DIR:-/nowhere}/arbaro/tokens/ ~/.local/state/arbaro/env/tokens/"],
            code=None,
        )
        assert kept.count(".token") == 1
        identifiers = {
            two.run([str(CLIENT), "--os-cloud", "arbaro-test", "token", "issue", "-f", "value", "-c", "id"])
            for _ in range(2)
        }
        assert len(identifiers) == 1
    finally:
        clouds.write_text(before)
