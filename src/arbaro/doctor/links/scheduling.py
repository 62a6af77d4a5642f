# SPDX-License-Identifier: Apache-2.0
"""Why nova finds no host: services that are switched off, records under other names, room that nobody uses."""

from collections import Counter
from collections.abc import Iterator

from arbaro.checks import ERROR, NOTE, WARNING, Check, Finding, Need, Spot
from arbaro.doctor.links.ground import working
from arbaro.doctor.ports import seen
from arbaro.doctor.questions import AGENTS, MIGRATIONS, OPENSTACK, PLACEMENT, SERVERS, SERVICES
from arbaro.doctor.site import SITE, client, controller, each_host_in, hosts_in, there
from arbaro.evidence import Evidence
from arbaro.hosts import COMPUTE

COMPUTE_BINARY = "nova-compute"


def _computes(evidence: Evidence) -> list[dict[str, object]]:
    """Nova's records of the hosts that are computes here."""
    hosts = hosts_in(evidence, COMPUTE)
    return [one for one in seen(evidence, SERVICES) or [] if one["binary"] == COMPUTE_BINARY and one["host"] in hosts]


def each_disabled(evidence: Evidence) -> list[Spot]:
    """Each compute that is disabled."""
    return [Spot(str(one["host"])) for one in _computes(evidence) if one["status"] != "enabled"]


def _is_last(evidence: Evidence) -> bool:
    return all(one["status"] != "enabled" for one in _computes(evidence))


def compute_disabled(evidence: Evidence, spot: Spot) -> Finding | None:
    """All computes are disabled: nova finds a host for no server."""
    if not _is_last(evidence):
        return None
    return _disabled(evidence, spot, "every compute is disabled, so nova finds no host for any server")


def compute_off_duty(evidence: Evidence, spot: Spot) -> Finding | None:
    """One of several computes is disabled, which may be on purpose."""
    return None if _is_last(evidence) else _disabled(evidence, spot, "nova puts no new server there")


def _disabled(evidence: Evidence, spot: Spot, means: str) -> Finding:
    one = next(record for record in _computes(evidence) if record["host"] == spot.host)
    reason = f": {one['disabled_reason']}" if one["disabled_reason"] else ""
    mend = client(evidence, "compute service set --enable", spot.host, COMPUTE_BINARY)
    return Finding(spot.host, f"nova-compute is disabled{reason}", means, mend)


def each_strange_record(evidence: Evidence) -> list[Spot]:
    """Each service or agent that reports under a name that no host here has."""
    hosts = set(evidence.should(SITE, "groups", {}))
    known = hosts | {f"machines-{host}" for host in hosts}
    records = [*(seen(evidence, SERVICES) or []), *(seen(evidence, AGENTS) or [])]
    return [Spot(thing=f"{one['binary']} on {one['host']}") for one in records if one["host"] not in known]


def record_of_nobody(evidence: Evidence, spot: Spot) -> Finding | None:
    """A record in nova or neutron is of a host that there is not: left from another name."""
    services = [one for one in seen(evidence, SERVICES) or [] if f"{one['binary']} on {one['host']}" == spot.thing]
    agents = [one for one in seen(evidence, AGENTS) or [] if f"{one['binary']} on {one['host']}" == spot.thing]
    verb = "compute service delete" if services else "network agent delete"
    return Finding(
        "OpenStack",
        f"it has a record of {spot.thing}, and there is no such host",
        "",
        client(evidence, verb, (services or agents)[0]["id"]),
    )


def needs_names(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A host that reports under another name explains the record."""
    for host in hosts_in(evidence, COMPUTE):
        names = seen(evidence, "names in configuration", host)
        yield from (("name-changed", Spot(host, path)) for path in (names.get("said", {}) if names else {}))


def provider_missing(evidence: Evidence, spot: Spot) -> Finding | None:
    """Placement does not know a compute: no server is put there."""
    if spot.host in {one["name"] for one in evidence.value(OPENSTACK, PLACEMENT).values()}:
        return None
    mend = there(evidence, spot.host, "systemctl restart nova-compute")
    return Finding(spot.host, "placement does not know it", "no server is put there", mend)


def each_provider(evidence: Evidence) -> list[Spot]:
    """Each of placement's providers that is a compute here."""
    hosts = hosts_in(evidence, COMPUTE)
    return [Spot(one["name"], number) for number, one in seen(evidence, PLACEMENT).items() if one["name"] in hosts]


def allocations_orphaned(evidence: Evidence, spot: Spot) -> Finding | None:
    """Placement counts room as used by what is neither a server nor a migration."""
    provider = evidence.value(OPENSTACK, PLACEMENT)[spot.thing]
    known = set(evidence.value(OPENSTACK, SERVERS)) | {one["uuid"] for one in evidence.value(OPENSTACK, MIGRATIONS)}
    nobody = {consumer: held for consumer, held in provider["allocations"].items() if consumer not in known}
    if not nobody:
        return None
    total: Counter[str] = Counter()
    for held in nobody.values():
        total.update(held)
    amount = ", ".join(f"{value} {kind}" for kind, value in sorted(total.items()))
    return Finding(
        spot.host,
        f"placement counts {amount} for {len(nobody)} consumers that are neither servers nor migrations: "
        + ", ".join(list(nobody)[:3]),
        "that room is offered to nobody",
        there(evidence, controller(evidence), "runuser -u nova -- nova-manage placement audit --verbose --delete"),
    )


def provider_lacks_disk(evidence: Evidence, spot: Spot) -> Finding | None:
    """A provider offers nothing of a kind that every server needs."""
    inventories = evidence.value(OPENSTACK, PLACEMENT)[spot.thing]["inventories"]
    lacking = [kind for kind in ("VCPU", "MEMORY_MB", "DISK_GB") if _room(inventories.get(kind)) <= 0]
    if not lacking:
        return None
    saw = f"placement has no {' and no '.join(lacking)} of it"
    return Finding(
        spot.host, saw, "no server is put there", there(evidence, spot.host, "systemctl restart nova-compute")
    )


def _room(inventory: dict[str, float] | None) -> float:
    return (inventory["total"] - inventory["reserved"]) * inventory["allocation_ratio"] if inventory else 0


def needs_reports(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """What a compute has, it reports by itself."""
    yield from working(spot.host, COMPUTE_BINARY, "libvirtd")
    yield "libvirt-silent", Spot(spot.host)
    yield "service-silent", Spot(spot.host, COMPUTE_BINARY)
    disks = seen(evidence, "disks", spot.host)
    yield from (("disk-full", Spot(spot.host, target)) for target in disks)


COMPUTE_DISABLED = Check("compute-disabled", ERROR, each_disabled, compute_disabled)
COMPUTE_OFF_DUTY = Check("compute-off-duty", NOTE, each_disabled, compute_off_duty)
RECORD_OF_NOBODY = Check("record-of-nobody", WARNING, each_strange_record, record_of_nobody, needs_names)
ALLOCATIONS_ORPHANED = Check("allocations-orphaned", ERROR, each_provider, allocations_orphaned)
PROVIDER_MISSING = Check("provider-missing", ERROR, each_host_in(COMPUTE), provider_missing, needs_reports)
PROVIDER_EMPTY = Check("provider-empty", ERROR, each_provider, provider_lacks_disk, needs_reports)
