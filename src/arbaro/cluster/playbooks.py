# SPDX-License-Identifier: Apache-2.0
"""Ansible decides what is on a host: here is what we tell it (the inventory), and how we run it."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from arbaro import shell
from arbaro.cluster.identity import Keeper, write_private
from arbaro.cluster.machine import Machine
from arbaro.errors import CommandError
from arbaro.hosts import COMPUTE, CONTROLLER, MACHINES, RACK, TOR, Host
from arbaro.settings import files_dir
from arbaro.steps import Note

TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(.+?)\] \*")


def machine_variables(release: str, network: str, machine: Machine) -> dict[str, Any]:
    """The variables that an image depends on: release, network driver, and the size and kind of this machine."""
    return {
        "arbaro_release": release,
        "network_driver": network,
        "virt_type": machine.virt_type,
        "workers": max(1, machine.cores // 4),
        "in_container": True,
        # So few computes need not be spared: they are found as soon as they report.
        "nova_discover_hosts_interval": 2,
        "nova_periodic_fuzzy_delay": 0,
    }


def inventory(hosts: Sequence[Host], variables: Mapping[str, Any], keeper: Keeper) -> dict[str, Any]:
    """Write the inventory of these hosts, in Ansible's YAML form. It names the files of secrets, and holds none."""

    def members(role: str) -> dict[str, Any]:
        return {"hosts": {host.name: {"ansible_host": str(host.address)} for host in hosts if host.is_a(role)}}

    def group(role: str) -> dict[str, Any]:
        lookup = f"lookup('ansible.builtin.file', '{keeper.identity_file(role)}')"
        return {**members(role), "vars": {"identity": f"{{{{ {lookup} | from_json }}}}"}}

    return {
        "all": {
            "vars": {
                "host_address": "{{ ansible_host }}",
                # Which address is a host's own must not depend on where its default route leads.
                "my_ip": "{{ host_address }}",
                **variables,
                "ansible_user": "root",
                "ansible_ssh_common_args": " ".join(keeper.ssh_options()),
                "controller_host": "controller",
                "hosts_entries": [{"name": host.name, "address": str(host.address)} for host in hosts],
            },
            # MACHINES is a second role: such a host's secrets are those of its first.
            "children": {role: group(role) for role in (CONTROLLER, COMPUTE, TOR, RACK)}
            | {MACHINES: members(MACHINES)},
        }
    }


def run_playbook(name: str, inventory: Mapping[str, Any], keeper: Keeper, note: Note, *, timeout: float = 1800) -> str:
    """Run one playbook of the collection, saying each task's name; returns what Ansible printed.

    Raises CommandError that shows the task that failed.
    """
    file = keeper.directory / "inventory.json"
    write_private(file, json.dumps(inventory, indent=1))
    ansible = files_dir() / "ansible"
    command = Path(sys.executable).with_name("ansible-playbook")

    def follow(line: str) -> None:
        if match := TASK.match(line):
            note(match[1])

    try:
        return shell.run(
            [command, "-i", file, ansible / "playbooks" / f"{name}.yml"],
            env={"ANSIBLE_CONFIG": str(ansible / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1"},
            timeout=timeout,
            on_line=follow,
        )
    except CommandError as error:
        error.what = f"The playbook {name}.yml failed (code {error.code})."
        error.why = what_failed(error.output) or error.why
        error.hint = "Run the same command again: it goes on from where it was. The whole output is in the log."
        raise


def what_failed(output: str) -> str:
    """Pick out of Ansible's output the tasks that failed and what they said."""
    shown, task = [], ""
    for line in output.splitlines():
        if match := TASK.match(line):
            task = match[1]
        if line.startswith(("fatal:", "failed:", "[ERROR]:")):
            shown.append(f"{task}: {line[:600]}")
    return "\n".join(shown[-4:])


def host_entries(hosts: Sequence[Host]) -> bytes:
    """/etc/hosts for these hosts, as the role `common` writes it too."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    return "".join(f"{line}\n" for line in [*lines, *(f"{host.address} {host.name}" for host in hosts)]).encode()
