# SPDX-License-Identifier: Apache-2.0
"""What is looked at of a personal cloud: its hosts as the provider sees them and by SSH, the APIs, OpenStack itself.

Each function collects one part, with what should be there, so that a wait asks for no more than it needs. Only the
states of things are facts: never a configuration, never a secret.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from arbaro.cluster.access import REGION, auth_url
from arbaro.cluster.aggregates import look_at_aggregates
from arbaro.cluster.spec import CloudSpec
from arbaro.errors import ArbaroError
from arbaro.evidence import Evidence, Seen
from arbaro.hosts import COMPUTE, CONTROLLER, MACHINES, RACK, TOR, Host
from arbaro.looks import Look, look_at_hosts
from arbaro.openstack import cloud_errors, connect
from arbaro.releases import load_release
from arbaro.runs import current_run
from arbaro.services import load_services

if TYPE_CHECKING:
    # The cloud's own parts judge, and need to know how facts are called.
    from openstack.connection import Connection

    from arbaro.cluster.cloud import Cloud

#: The place of facts that are about no host.
OPENSTACK = "OpenStack"
REPORTS, AGGREGATES, MACHINE_STATES, OFFERED_MACHINES = "reports", "aggregates", "machines", "machines on offer"
#: The APIs without which OpenStack says nothing of its parts.
NEEDED_APIS = ("keystone", "nova", "neutron", "placement")


def collect(cloud: "Cloud") -> Evidence:
    """Look at everything once."""
    made = of_provider(cloud)
    running = [host for host in cloud.spec.hosts if made.value(host.name, "state") == "running"]
    with current_run().threads(2) as threads:
        hosts = threads.submit(of_hosts, cloud, cloud.spec.hosts, running)
        openstack = threads.submit(_of_apis_and_openstack, cloud)
        return made | wanted_images(cloud, made) | hosts.result() | openstack.result()


def of_provider(cloud: "Cloud") -> Evidence:
    """The hosts' states, and the images that they were made from, as whoever made them sees it."""
    at, names = time.time(), [host.name for host in cloud.spec.hosts]
    made = {state.name: state for state in cloud.provider.list_hosts(cloud.spec.name)}
    facts = {
        name: {"state": Seen(made[name].state, at), "image": Seen(made[name].image, at)}
        if name in made
        else {"state": Seen("missing", at)}
        for name in names
    }
    return Evidence(cloud.spec.name, facts, {name: {"state": "running"} for name in names})


def wanted_images(cloud: "Cloud", made: Evidence) -> Evidence:
    """The images that `up` would make these hosts from today."""
    hosts = [host for host in cloud.spec.hosts if "image" in made.facts[host.name]]
    return Evidence(cloud.spec.name, wanted={host.name: {"image": cloud.images.name(host)} for host in hosts})


def of_hosts(cloud: "Cloud", hosts: Sequence[Host], running: Sequence[Host] | None = None) -> Evidence:
    """What hosts say of themselves by SSH; those that do not run are not asked."""
    spec = cloud.spec
    asked = [(cloud.reach(host), looks(spec, host)) for host in hosts if running is None or host in running]
    facts = look_at_hosts(asked)
    return Evidence(spec.name, facts, {host.name: wanted_of(spec, host) for host in hosts})


def wanted_of(spec: CloudSpec, host: Host) -> dict[str, Any]:
    """What a host must run: its units, and a BGP session for each cable (its interface → the other host)."""
    ends = [(cable.one, cable.other) for cable in spec.cables] + [(cable.other, cable.one) for cable in spec.cables]
    sessions = {interface: other for (name, interface), (other, _) in ends if name == host.name}
    return {"SSH": "answers", "units": wanted_units(spec, host)} | ({"BGP sessions": sessions} if sessions else {})


def looks(spec: CloudSpec, host: Host) -> list[Look]:
    """What is asked on a host."""
    units = [f"{name}.service" for name in wanted_units(spec, host)]
    show = ["systemctl", "show", "--property=Id,ActiveState", *units]
    summary = ["vtysh", "-c", "show bgp summary json"]
    sessions = [Look("BGP sessions", summary, parse_sessions)] if "BGP sessions" in wanted_of(spec, host) else []
    return [Look("units", show, lambda text: dict(parse_units(text))), *sessions]


def parse_units(text: str) -> Iterator[tuple[str, str]]:
    """Read the blocks that `systemctl show` prints: each unit's name and state."""
    for block in text.strip().split("\n\n"):
        facts = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        yield facts["Id"].removesuffix(".service"), facts["ActiveState"]


def parse_sessions(text: str) -> dict[str, str]:
    """Read FRR's summary: the state of the session with each neighbour, by the interface that leads there."""
    peers = json.loads(text).get("ipv4Unicast", {}).get("peers", {})
    return {name: peer["state"] for name, peer in peers.items()}


def wanted_units(spec: CloudSpec, host: Host) -> list[str]:
    """The names of the units that this host must run."""
    release = load_release(spec.release)
    of_group = {
        CONTROLLER: release.units.controller,
        COMPUTE: release.units.compute,
        TOR: release.units.tor,
        RACK: release.units.rack,
    }
    return [
        *of_group[host.role],
        *(release.driver(spec.network).units if host.is_a(COMPUTE) else ()),
        *(release.units.machines if host.is_a(MACHINES) else ()),
    ]


def of_apis(spec: CloudSpec) -> Evidence:
    """Whether the APIs answer on the public address."""
    ports = wanted_apis()
    with current_run().threads(len(ports)) as threads:
        states = dict(zip(ports, threads.map(lambda port: api_state(spec, port), ports.values()), strict=True))
    wanted = {CONTROLLER: {"APIs": list(ports)}}
    return Evidence(spec.name, {CONTROLLER: {"APIs": Seen(states, time.time())}}, wanted)


def wanted_apis() -> dict[str, int]:
    """The APIs that every cloud has, with their ports; each of them tells its versions to anybody who asks."""
    return {service.name: service.api for service in load_services() if service.type and service.group == CONTROLLER}


def api_state(spec: CloudSpec, port: int) -> str:
    """Ask one API for its versions: `up`, or why not."""
    try:
        with urllib.request.urlopen(f"http://{spec.public_address}:{port}/", timeout=5) as answer:
            return "up" if answer.status < 400 else f"HTTP {answer.status}"
    except urllib.error.HTTPError as error:
        # Several choices (300) is how most of them present their versions.
        return "up" if error.code < 400 else f"HTTP {error.code}"
    except (OSError, HTTPException) as error:
        return str(getattr(error, "reason", error)) or type(error).__name__


def is_reachable(cloud: "Cloud") -> bool:
    """Say whether there is a cloud to ask at all: its secrets are drawn and all its APIs answer."""
    ports = wanted_apis().values()
    return cloud.keeper.identity_file().exists() and all(api_state(cloud.spec, port) == "up" for port in ports)


def _of_apis_and_openstack(cloud: "Cloud") -> Evidence:
    apis = of_apis(cloud.spec)
    states = apis.value(CONTROLLER, "APIs")
    silent = [name for name in NEEDED_APIS if states[name] != "up"]
    trouble = f"no answer from {', '.join(silent)}" if silent else ""
    return apis | of_reports(cloud, trouble) | of_aggregates(cloud, trouble) | of_machines(cloud, trouble)


def of_reports(cloud: "Cloud", trouble: str = "") -> Evidence:
    """Which services and agents report to nova and neutron; `trouble` is why it makes no sense to ask."""
    wanted = {host: {REPORTS: reports} for host, reports in wanted_reports(cloud.spec).items()}
    return Evidence(cloud.spec.name, wanted=wanted) | _asked(cloud, REPORTS, lambda: heartbeats(_admin(cloud)), trouble)


def of_aggregates(cloud: "Cloud", trouble: str = "") -> Evidence:
    """Aggregates as nova and placement have them."""
    return _asked(cloud, AGGREGATES, lambda: look_at_aggregates(_admin(cloud)), trouble)


def of_machines(cloud: "Cloud", trouble: str = "") -> Evidence:
    """The physical machines, where there are any."""
    if not cloud.spec.machines:
        return Evidence(cloud.spec.name)
    client = Evidence(cloud.spec.name, wanted={OPENSTACK: {"client": cloud.first_server.client()}})
    return client | _asked(cloud, MACHINE_STATES, cloud.rack.states, trouble)


def heartbeats(connection: "Connection") -> dict[str, dict[str, str]]:
    """Ask nova and neutron which of their services, agents and hypervisors report: host → name → `up` or `down`."""
    services = [(s.host, s.binary, s.state == "up") for s in connection.compute.services()]
    agents = [(a.host, a.binary, a.is_alive) for a in connection.network.agents()]
    hypervisors = [(h.name, "hypervisor", h.state == "up") for h in connection.compute.hypervisors()]
    found: dict[str, dict[str, str]] = {}
    for host, name, is_up in [*services, *agents, *hypervisors]:
        found.setdefault(host, {})[name] = "up" if is_up else "down"
    return found


def wanted_reports(spec: CloudSpec) -> dict[str, dict[str, dict[str, str]]]:
    """All that must report when the cloud is whole: host → what → as whom, under which name, and its unit there."""
    release = load_release(spec.release)
    agents = release.driver(spec.network).agents
    wanted = {CONTROLLER: {name: _report(CONTROLLER, name) for name in ("nova-conductor", "nova-scheduler")}}
    for host in spec.hosts:
        if host.is_a(COMPUTE):
            own = {name: _report(host.name, name) for name in ("nova-compute", *agents)}
            wanted[host.name] = own | {"hypervisor": _report(host.name, "hypervisor", "nova-compute")}
        if host.is_a(MACHINES):
            # As the role nova_compute_machines calls it.
            own = {
                "nova-compute of machines": _report(f"machines-{host.name}", "nova-compute", "nova-compute-machines")
            }
            wanted[host.name] = wanted.get(host.name, {}) | own
    return wanted


def _report(host: str, name: str, unit: str = "") -> dict[str, str]:
    return {"host": host, "name": name, "unit": unit or name}


def _asked(cloud: "Cloud", what: str, ask: Callable[[], Any], trouble: str) -> Evidence:
    """One answer of OpenStack, or why there is none: it refused, or it made no sense to ask."""
    error = trouble or _lack_of_secrets(cloud)
    if error:
        facts = dict.fromkeys((what, answer(what)), Seen(error=error))
    else:
        try:
            with cloud_errors(f"arbaro status {cloud.spec.name}"):
                facts = {what: Seen(ask(), time.time()), answer(what): Seen("given", time.time())}
        except ArbaroError as refused:
            why = refused.why or refused.what
            facts = {what: Seen(at=time.time(), error=why), answer(what): Seen(why, time.time())}
    return Evidence(cloud.spec.name, {OPENSTACK: facts}, {OPENSTACK: {answer(what): "given"}})


def answer(what: str) -> str:
    """The fact whether OpenStack answered a question: `given`, or what it said instead."""
    return f"the answer about {what}"


def _lack_of_secrets(cloud: "Cloud") -> str:
    return "" if cloud.keeper.identity_file().exists() else f"the secrets are not in {cloud.keeper.directory}"


def _admin(cloud: "Cloud") -> "Connection":
    password = cloud.keeper.identity()["keystone_admin_password"]
    return connect(auth_url(cloud.spec), password, region=REGION)
