# SPDX-License-Identifier: Apache-2.0
"""The cloud that `arbaro up` makes: proven, idempotent, private, and what the roles would have made."""

import json
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

from arbaro.cluster.identity import ADDRESSES, RACK_ADDRESSES

from .conftest import ROOT, Tool

PRIVATE = Path.home() / ".local/share/arbaro/clouds/test"


def test_up_shows_the_scripts_output_and_what_to_type_next(first_up: str) -> None:
    assert "Hello from first-vm" in first_up
    for said in ("--os-cloud arbaro-test", "ssh -i ", "openrc", "vnc_lite.html", "Times:"):
        assert said in first_up


def test_a_second_up_skips_everything(cloud: Tool) -> None:
    printed = cloud.arbaro("up", "test")
    assert "✓" not in printed
    assert printed.count("done before") >= 14


def test_status_finds_nothing_wrong(cloud: Tool) -> None:
    status = cloud.status()
    assert status["findings"] == []
    kinds = {item["kind"] for item in status["items"]}
    assert kinds == {"host", "api", "unit", "session", "report", "machine"}


def test_the_openstack_client_works_as_printed(cloud: Tool) -> None:
    servers = cloud.openstack("server", "list")
    assert [(server["Name"], server["Status"]) for server in servers] == [("first-vm", "ACTIVE")]
    agents = cloud.openstack("network", "agent", "list")
    assert len(agents) == 2
    assert all(agent["Alive"] for agent in agents)


def test_the_openrc_works_too(cloud: Tool) -> None:
    client = ROOT / ".venv/bin/openstack"
    assert cloud.run(["sh", "-c", f". {PRIVATE}/openrc && {client} token issue -f value -c id"]).strip()


def test_hosts_are_reached_and_their_journals_read(cloud: Tool) -> None:
    assert cloud.arbaro("ssh", "test", "compute1", "--", "hostname").strip() == "compute1"
    assert "nova-compute" in cloud.arbaro("logs", "test", "compute1", "nova-compute", "-n", "5")
    merged = cloud.arbaro("logs", "test", "-n", "2")
    assert {line.split()[0] for line in merged.splitlines()} >= {"controller", "compute1", "compute2"}


def test_secrets_are_nowhere_where_others_read(cloud: Tool) -> None:
    identity = json.loads((PRIVATE / "identity.json").read_text())
    secrets = [
        value for key, value in identity.items() if key not in ADDRESSES | RACK_ADDRESSES and "public" not in key
    ]
    assert stat.S_IMODE(PRIVATE.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in PRIVATE.iterdir() if path.suffix != ".pub")
    logs = "".join(path.read_text() for path in (Path.home() / ".local/state/arbaro/log").glob("*.log"))
    argv = cloud.run(["ps", "-ww", "-eo", "args="])
    assert not [secret for secret in secrets if secret in logs or secret in argv]
    for host in ("controller", "compute1", "tor1", "rack"):
        text = cloud.on(host, "find /etc -type f -perm /o=r -exec cat {} +")
        assert not [secret for secret in secrets if secret in text]


def test_a_compute_opens_no_database(cloud: Tool) -> None:
    identity = json.loads((PRIVATE / "identity.json").read_text())
    databases = [value for key, value in identity.items() if "database" in key or "admin" in key]
    text = cloud.on("compute1", "grep -rhs . /etc/nova /etc/neutron /etc/arbaro")
    assert not [secret for secret in databases if secret in text]


def test_nothing_listens_on_the_machine_itself(cloud: Tool) -> None:
    listening = cloud.run(["ss", "-Hltnp"])
    ours = [line for line in listening.splitlines() if re.search(r"podman|conmon|netavark|aardvark|arbaro", line)]
    assert ours == []


def test_the_roles_would_change_nothing(cloud: Tool, tmp_path: Path) -> None:
    """What an image and a personalisation make is just what the roles make: site.yml finds nothing to do."""
    recap = play(cloud, "site.yml", tmp_path)
    assert set(recap) == {"controller", "compute1", "compute2", "tor1", "tor2", "rack"}
    assert {host: facts["changed"] for host, facts in recap.items()} == dict.fromkeys(recap, 0)


def play(
    cloud: Tool, playbook: str, tmp_path: Path, *words: str, name: str = "test", fails: bool = False
) -> dict[str, Any]:
    """Run a playbook as docs/how-to/run-playbooks.md says; returns the recap, or of one that is to fail all that it `said`."""
    inventory = tmp_path / "inventory.json"
    inventory.write_text(cloud.arbaro("inventory", name))
    command = [str(ROOT / ".venv/bin/ansible-playbook"), "-i", str(inventory), f"playbooks/{playbook}", *words]
    done = subprocess.run(command, cwd=ROOT / "ansible", capture_output=True, text=True, timeout=2400)
    assert (done.returncode != 0) is fails, done.stdout[-5000:] + done.stderr[-1000:]
    if fails:
        return {"said": done.stdout}
    lines = re.findall(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)", done.stdout, re.MULTILINE)
    if any(int(changed) for _, _, changed in lines):
        print("\n".join(line for line in done.stdout.splitlines() if line.startswith(("TASK", "changed", "RUNNING"))))
    return {host: {"ok": int(ok), "changed": int(changed)} for host, ok, changed in lines}
