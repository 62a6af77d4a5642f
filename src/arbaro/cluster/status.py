# SPDX-License-Identifier: Apache-2.0
"""How a cloud is: evidence collected once (hosts, systemd, APIs), and the checks that read it."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from typing import Any

from arbaro.checks import Finding
from arbaro.cluster.access import REGION, auth_url
from arbaro.cluster.aggregates import Aggregate, drifts, look_at_aggregates
from arbaro.cluster.identity import Keeper
from arbaro.cluster.providers import HostState, Provider
from arbaro.cluster.spec import CloudSpec
from arbaro.errors import ArbaroError
from arbaro.hosts import COMPUTE, CONTROLLER, MACHINES, RACK, TOR, Host
from arbaro.openstack import cloud_errors, connect
from arbaro.releases import load_release
from arbaro.runs import current_run
from arbaro.services import load_services


@dataclass(frozen=True)
class Unit:
    """A systemd unit of a host and its state (active, failed, …)."""

    host: str
    name: str
    state: str


@dataclass(frozen=True)
class Service:
    """A service or agent that OpenStack itself keeps a heartbeat of; `state` is up or down."""

    name: str
    host: str
    state: str


@dataclass(frozen=True)
class Session:
    """A BGP session of a host, by the interface that leads to its neighbour; Established is how it should be."""

    host: str
    interface: str
    state: str


@dataclass(frozen=True)
class Evidence:
    """What was seen of a cloud."""

    name: str
    hosts: Sequence[HostState]
    wanted_hosts: Sequence[str]
    units: Sequence[Unit] = ()
    sessions: Sequence[Session] = ()
    apis: Mapping[str, str] = field(default_factory=dict)
    services: Sequence[Service] = ()
    wanted_services: Sequence[tuple[str, str]] = ()
    #: Why OpenStack does not say what reports, although its APIs answer.
    refusal: str = ""
    aggregates: Sequence[Aggregate] = ()


def collect(spec: CloudSpec, provider: Provider, keeper: Keeper) -> Evidence:
    """Look at everything once: the provider's hosts, each host's units by SSH, the APIs, and what they say."""
    states = provider.list_hosts(spec.name)
    running = {state.name for state in states if state.state == "running"}
    alive = [host for host in spec.hosts if host.name in running]
    with current_run().threads(8) as threads:
        units = threads.map(lambda host: units_of(spec, keeper, host), alive)
        ports = wanted_apis()
        apis = dict(zip(ports, threads.map(lambda port: api_state(spec, port), ports.values()), strict=True))
        found = [unit for host_units in units for unit in host_units]
        sessions = threads.map(lambda host: sessions_of(spec, keeper, host), alive)
        routing = [session for host_sessions in sessions for session in host_sessions]
    wanted = [host.name for host in spec.hosts]
    seen = Evidence(spec.name, states, wanted, found, routing, apis)
    if not {"keystone", "nova", "neutron", "placement"} <= {name for name, state in apis.items() if state == "up"}:
        return seen
    try:
        return replace(
            seen,
            services=heartbeats(spec, keeper),
            wanted_services=wanted_services(spec),
            aggregates=aggregates_of(spec, keeper),
        )
    except ArbaroError as error:
        return replace(seen, refusal=error.why or error.what)


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


def heartbeats(spec: CloudSpec, keeper: Keeper) -> list[Service]:
    """Ask nova and neutron which of their services and agents report."""
    connection = connect(auth_url(spec), keeper.identity()["keystone_admin_password"], region=REGION)
    with cloud_errors(f"arbaro status {spec.name}"):
        services = [Service(s.binary, s.host, _up(s.state == "up")) for s in connection.compute.services()]
        agents = [Service(a.binary, a.host, _up(a.is_alive)) for a in connection.network.agents()]
        known = connection.compute.hypervisors()
        hypervisors = [Service("hypervisor", h.name, _up(h.state == "up")) for h in known]
    return [*services, *agents, *hypervisors]


def aggregates_of(spec: CloudSpec, keeper: Keeper) -> list[Aggregate]:
    """Ask nova and placement which aggregates there are."""
    with cloud_errors(f"arbaro status {spec.name}"):
        return look_at_aggregates(connect(auth_url(spec), keeper.identity()["keystone_admin_password"], region=REGION))


def is_reachable(spec: CloudSpec, keeper: Keeper) -> bool:
    """Say whether there is a cloud to ask at all: its secrets are drawn and all its APIs answer."""
    return keeper.identity_file().exists() and all(api_state(spec, port) == "up" for port in wanted_apis().values())


def _up(is_up: bool) -> str:
    return "up" if is_up else "down"


def wanted_services(spec: CloudSpec) -> list[tuple[str, str]]:
    """The (name, host) of everything that must report when the cloud is whole."""
    release = load_release(spec.release)
    agents = release.driver(spec.network).agents
    computes = [host.name for host in spec.hosts if host.is_a(COMPUTE)]
    return [
        *(("nova-conductor", "controller"), ("nova-scheduler", "controller")),
        *((name, host) for host in computes for name in ("nova-compute", "hypervisor", *agents)),
        # As the role nova_compute_machines calls it.
        *(("nova-compute", f"machines-{host.name}") for host in spec.hosts if host.is_a(MACHINES)),
    ]


def units_of(spec: CloudSpec, keeper: Keeper, host: Host) -> list[Unit]:
    """Ask a host's systemd for the units that its roles run."""
    names = units_wanted(spec, host)
    command = ["systemctl", "show", "--property=Id,ActiveState", *(f"{name}.service" for name in names)]
    try:
        answer = keeper.reach(host).run(command, timeout=20)
    except ArbaroError as error:
        return [
            Unit(host.name, name, f"unknown: {error.why.splitlines()[-1] if error.why else error.what}")
            for name in names
        ]
    return list(parse_units(host.name, answer))


def sessions_of(spec: CloudSpec, keeper: Keeper, host: Host) -> list[Session]:
    """Ask a host of the fabric how its sessions are, one for each cable."""
    ends = [end[1] for cable in spec.cables for end in (cable.one, cable.other) if end[0] == host.name]
    if not ends:
        return []
    try:
        answer = keeper.reach(host).run(["vtysh", "-c", "show bgp summary json"], timeout=20)
        states = parse_sessions(answer)
    except ArbaroError:
        states = {}
    return [Session(host.name, end, states.get(end, "unknown")) for end in ends]


def parse_sessions(text: str) -> dict[str, str]:
    """Read FRR's summary: the state of the session with each neighbour."""
    peers = json.loads(text).get("ipv4Unicast", {}).get("peers", {})
    return {name: peer["state"] for name, peer in peers.items()}


def units_wanted(spec: CloudSpec, host: Host) -> list[str]:
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


def parse_units(host: str, text: str) -> Iterator[Unit]:
    """Read the blocks that `systemctl show` prints."""
    for block in text.strip().split("\n\n"):
        facts = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        yield Unit(host, facts["Id"].removesuffix(".service"), facts["ActiveState"])


def host_is_down(evidence: Evidence) -> Iterator[Finding]:
    """Find hosts that are missing or not running."""
    states = {state.name: state.state for state in evidence.hosts}
    for name in evidence.wanted_hosts:
        if (state := states.get(name, "missing")) != "running":
            yield Finding(
                name,
                f"the host is {state}",
                run=f"arbaro start {evidence.name}" if state == "exited" else f"arbaro up {evidence.name}",
            )


def unit_is_down(evidence: Evidence) -> Iterator[Finding]:
    """Find units that systemd does not call active."""
    for unit in evidence.units:
        if unit.state != "active":
            yield Finding(
                unit.host, f"{unit.name} is {unit.state}", run=f"arbaro logs {evidence.name} {unit.host} {unit.name}"
            )


def session_is_down(evidence: Evidence) -> Iterator[Finding]:
    """Find BGP sessions that are not established; a server is reached as long as its host has one."""
    for session in evidence.sessions:
        if session.state != "Established":
            yield Finding(
                session.host,
                f"the BGP session on {session.interface} is {session.state}",
                run=f"arbaro ssh {evidence.name} {session.host} -- vtysh -c \"'show bgp summary'\"",
            )


def api_does_not_answer(evidence: Evidence) -> Iterator[Finding]:
    """Find APIs that do not answer on the public address."""
    for name, state in evidence.apis.items():
        if state != "up":
            yield Finding(name, f"the API does not answer: {state}", run=f"arbaro logs {evidence.name} controller")


def openstack_refuses(evidence: Evidence) -> Iterator[Finding]:
    """Find that the APIs answer, but nothing can be asked: the database, the queue, or secrets that do not fit."""
    if evidence.refusal:
        yield Finding("OpenStack", f"it refuses: {evidence.refusal}", run=f"arbaro logs {evidence.name} controller")


def service_does_not_report(evidence: Evidence) -> Iterator[Finding]:
    """Find services and agents that are missing from OpenStack's lists, or down there."""
    states = {(service.name, service.host): service.state for service in evidence.services}
    for name, host in evidence.wanted_services:
        if (state := states.get((name, host), "not reporting yet")) != "up":
            yield Finding(host, f"{name} is {state}", run=f"arbaro logs {evidence.name} {host}")


def aggregate_drifts(evidence: Evidence) -> Iterator[Finding]:
    """Find aggregates that placement sees otherwise than nova does."""
    yield from drifts(evidence.name, evidence.aggregates)


CHECKS = (
    host_is_down,
    unit_is_down,
    session_is_down,
    api_does_not_answer,
    openstack_refuses,
    service_does_not_report,
    aggregate_drifts,
)


def findings(evidence: Evidence) -> list[Finding]:
    """Run all checks; a whole cloud yields nothing."""
    return [finding for check in CHECKS for finding in check(evidence)]


def report(evidence: Evidence) -> list[dict[str, Any]]:
    """All that was seen, as rows of (kind, name, host, state)."""
    rows = [{"kind": "host", "name": s.name, "host": s.name, "state": s.state} for s in evidence.hosts]
    rows += [
        {"kind": "api", "name": name, "host": "controller", "state": state} for name, state in evidence.apis.items()
    ]
    rows += [{"kind": "unit", "name": u.name, "host": u.host, "state": u.state} for u in evidence.units]
    rows += [{"kind": "session", "name": s.interface, "host": s.host, "state": s.state} for s in evidence.sessions]
    rows += [{"kind": "report", "name": s.name, "host": s.host, "state": s.state} for s in evidence.services]
    return rows
