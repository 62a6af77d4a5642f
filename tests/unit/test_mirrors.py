# SPDX-License-Identifier: Apache-2.0
"""Numbers and names that stand on two sides, because one side cannot read the other's: each pair is the same."""

import ast
import re
from ipaddress import IPv4Network
from typing import Any

import yaml

from arbaro.cluster.evidence import wanted_reports
from arbaro.cluster.rack import wanted_enrolment
from arbaro.cluster.spec import MAX_COMPUTES, MAX_MACHINES, CloudSpec
from arbaro.hosts import hosts_file
from arbaro.services import find_service
from arbaro.settings import files_dir

ROOT = files_dir()
ROLES = ROOT / "ansible/roles"
SPEC = CloudSpec("lab", "zed", 2, "l2isolate", IPv4Network("198.18.4.0/24"), IPv4Network("198.18.5.0/24"), 2)


def defaults(role: str) -> dict[str, Any]:
    """A role's default variables."""
    found: dict[str, Any] = yaml.safe_load((ROLES / role / "defaults/main.yml").read_text())
    return found


def constant(file: str, name: str) -> object:
    """A constant at the top of a Python file that we cannot import here."""
    for node in ast.parse((ROOT / file).read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            return ast.literal_eval(node.value)
    raise AssertionError(f"{file} has no {name}")


def test_a_switch_has_a_port_for_each_compute() -> None:
    assert defaults("tor")["tor_ports"] == MAX_COMPUTES


def test_the_ramdisks_marker_is_as_long_as_the_service_believes() -> None:
    recipe = (ROOT / "images/agents/deploy/iso").read_text()
    (marker,) = re.findall(r"^marker=(\S+)$", recipe, re.MULTILINE)
    (length,) = re.findall(r"\$\{#marker\} -lt (\d+) ", recipe)
    service = "services/machines/arbaro_machines/bootmedia.py"
    assert constant(service, "MARKER") == marker.encode()
    assert constant(service, "LENGTH") == int(length)


def test_status_waits_for_the_nova_compute_of_machines_by_its_name() -> None:
    name = defaults("nova_compute_machines")["nova_compute_machines_host"]
    wanted = wanted_reports(SPEC)["controller"]["nova-compute of machines"]
    assert wanted["host"] == name.replace("{{ inventory_hostname }}", "controller")


def test_machines_are_enrolled_where_the_role_lets_their_bmcs_and_consoles_listen() -> None:
    role = defaults("machines_emulated")
    enrolled = wanted_enrolment(SPEC, "pm2", "secret")
    assert enrolled["bmc"]["address"].endswith(f":{role['machines_emulated_bmc_port']}")
    assert enrolled["bmc"]["system"].endswith(f"/{role['machines_emulated_uuid_base']}2")
    domain = (ROLES / "machines_emulated/templates/domain.xml.j2").read_text()
    assert enrolled["interfaces"][0]["mac"] in domain.replace("@NUMBER@", "2")
    assert f"'{enrolled['console_url'].rpartition(':')[2]}'" in domain.replace("@NUMBER@", "2")
    # One digit: the templates put it where a MAC and a port have one.
    assert MAX_MACHINES == 9


def test_the_names_of_hosts_are_written_as_the_role_writes_them() -> None:
    from jinja2 import Template

    template = Template((ROLES / "common/templates/hosts.j2").read_text(), trim_blocks=True, keep_trailing_newline=True)
    entries = [{"name": host.name, "address": host.address} for host in SPEC.hosts]
    assert template.render(hosts_entries=entries) == hosts_file(SPEC.hosts)


def test_frr_knows_the_agents_routes_by_their_metrics() -> None:
    policy = (ROLES / "frr/templates/hypervisor.conf.j2").read_text()
    names = "plugins/l2isolate/arbaro_l2isolate/names.py"
    metrics = {str(constant(names, name)) for name in ("ROUTE_METRIC", "ELEVATED_METRIC")}
    assert set(re.findall(r"match metric (\d+)", policy)) == metrics


def test_the_machine_services_ports_are_its_defaults() -> None:
    settings = (ROOT / "services/machines/arbaro_machines/settings.py").read_text()
    ports = find_service("machines").ports
    assert f"    port: int = {ports['api'].number}\n" in settings
    assert f"    agent_port: int = {ports['agent'].number}\n" in settings
    assert ports["agent"].reach == "hosts", "ramdisks' secrets are there: no server may ask for them"
