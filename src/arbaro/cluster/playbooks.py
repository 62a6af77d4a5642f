# SPDX-License-Identifier: Apache-2.0
"""Ansible decides what is on a host: here is what we tell it (the inventory), and how we run it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from arbaro import ansible
from arbaro.ansible import Report
from arbaro.cluster.identity import Keeper
from arbaro.cluster.providers import HostKind
from arbaro.hosts import COMPUTE, CONTROLLER, MACHINES, RACK, TOR, Host
from arbaro.reach import Reach
from arbaro.settings import files_dir
from arbaro.steps import Note


def image_variables(release: str, network: str, kind: HostKind) -> dict[str, Any]:
    """The variables that an image depends on: release, network driver, and what hosts it is for."""
    return {
        "arbaro_release": release,
        "network_driver": network,
        "virt_type": kind.virt_type,
        "workers": max(1, kind.cores // 4),
        "in_container": kind.in_container,
        # So few computes need not be spared: they are found as soon as they report.
        "nova_discover_hosts_interval": 2,
        "nova_periodic_fuzzy_delay": 0,
    }


def inventory(
    hosts: Sequence[Host], variables: Mapping[str, Any], keeper: Keeper, reach: Callable[[Host], Reach]
) -> dict[str, Any]:
    """Write the inventory of these hosts, in Ansible's YAML form. It names the files of secrets, and holds none."""

    def members(role: str) -> dict[str, Any]:
        return {"hosts": {host.name: own(host) for host in hosts if host.is_a(role)}}

    def own(host: Host) -> dict[str, Any]:
        # Which address is a host's own depends neither on how we reach it nor on where its default route leads.
        address = {} if "host_address" in variables else {"host_address": str(host.address)}
        return {"ansible_host": reach(host).address, **address}

    def group(role: str) -> dict[str, Any]:
        lookup = f"lookup('ansible.builtin.file', '{keeper.identity_file(role)}')"
        return {**members(role), "vars": {"identity": f"{{{{ {lookup} | from_json }}}}"}}

    return {
        "all": {
            "vars": {
                "my_ip": "{{ host_address }}",
                **variables,
                **{name: value for name, value in reach(hosts[0]).variables().items() if name != "ansible_host"},
                "controller_host": "controller",
                "hosts_entries": [{"name": host.name, "address": str(host.address)} for host in hosts],
            },
            # MACHINES is a second role: such a host's secrets are those of its first.
            "children": {role: group(role) for role in (CONTROLLER, COMPUTE, TOR, RACK)}
            | {MACHINES: members(MACHINES)},
        }
    }


def run_playbook(
    name: str, inventory: Mapping[str, Any], note: Note, *, files: Path | None = None, timeout: float = 1800
) -> Report:
    """Run one playbook of the collection, or of the copy of it in `files`, and say each task's name.

    Raises PlaybookFailed.
    """
    collection = (files or files_dir()) / "ansible"
    return ansible.run_playbook(
        collection / "playbooks" / f"{name}.yml",
        inventory,
        note=note,
        timeout=timeout,
        config=collection / "ansible.cfg",
    )
