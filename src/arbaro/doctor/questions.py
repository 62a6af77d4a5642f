# SPDX-License-Identifier: Apache-2.0
"""What the doctor asks OpenStack: each question is one or a few GETs, and a hole of its own when it is refused."""

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from arbaro.errors import ArbaroError
from arbaro.evidence import Evidence, Seen
from arbaro.openstack import cloud_errors
from arbaro.runs import current_run

if TYPE_CHECKING:
    from openstack.connection import Connection

#: The place of what OpenStack says of itself.
OPENSTACK = "OpenStack"
QUOTAS, ZONES = "quotas", "zones"
SERVERS, SERVICES, HYPERVISORS, MIGRATIONS, PLACEMENT = (
    "servers",
    "compute services",
    "hypervisors",
    "migrations",
    "placement",
)
PORTS, AGENTS, GROUPS, SUBNETS, IMAGES, ENDPOINTS = (
    "ports",
    "network agents",
    "security groups",
    "subnets",
    "images",
    "catalog",
)
#: With the fields that are asked for: nova 26 (Zed) has 2.93, Queens 2.60.
NOVA_VERSION = "2.53"
PLACEMENT_VERSION = "1.17"


def ask(name: str, connect: Callable[[], "Connection"]) -> Evidence:
    """Ask everything side by side; what is refused is a hole with OpenStack's own words."""
    questions = list(QUESTIONS.items())
    with current_run().threads(4) as threads:
        answers = list(threads.map(lambda one: _asked(connect, one[1]), questions))
    return Evidence(name, {OPENSTACK: dict(zip(QUESTIONS, answers, strict=True))})


def _asked(connect: Callable[[], "Connection"], question: Callable[["Connection"], Any]) -> Seen:
    try:
        with cloud_errors(""):
            return Seen(question(connect()), time.time())
    except ArbaroError as refused:
        return Seen(at=time.time(), error=(refused.why or refused.what).splitlines()[0][:300])


def endpoints(connection: "Connection") -> list[dict[str, str]]:
    """The catalog as keystone has it now: a token has it as it was when the token was made."""
    names = {one["id"]: one["name"] for one in _get(connection, "identity", "/services")["services"]}
    return [
        {"service": names.get(one["service_id"], ""), "interface": one["interface"], "url": one["url"], "id": one["id"]}
        for one in _get(connection, "identity", "/endpoints")["endpoints"]
        if one["enabled"]
    ]


def servers(connection: "Connection") -> dict[str, dict[str, Any]]:
    """All servers of all projects, by id."""
    found = _pages(connection, "compute", "/servers/detail?all_tenants=True&limit=1000", "servers", NOVA_VERSION)
    return {one["id"]: _server(one) for one in found}


def _server(one: Mapping[str, Any]) -> dict[str, Any]:
    fault = one.get("fault") or {}
    return {
        "name": one["name"],
        "project": one["tenant_id"],
        "status": one["status"],
        "vm_state": one.get("OS-EXT-STS:vm_state"),
        "task_state": one.get("OS-EXT-STS:task_state"),
        "host": one.get("OS-EXT-SRV-ATTR:host"),
        "domain": one.get("OS-EXT-SRV-ATTR:instance_name"),
        "launched": one.get("OS-SRV-USG:launched_at"),
        "created": one["created"],
        "updated": one["updated"],
        "fault": fault.get("message", ""),
        "fault_at": fault.get("created", ""),
        "zone": one.get("OS-EXT-AZ:availability_zone") or "",
        "wants": {key: one["flavor"].get(key, 0) for key in ("vcpus", "ram", "disk")},
        "image": (one.get("image") or {}).get("id", "") if isinstance(one.get("image"), dict) else "",
        "groups": sorted({group["name"] for group in one.get("security_groups", [])}),
        "user_data": form_of(one.get("OS-EXT-SRV-ATTR:user_data")),
    }


def form_of(user_data: str | None) -> str:
    """What kind of user data it is, by its first bytes alone: a secret may be in it."""
    if not user_data:
        return "none"
    try:
        text = base64.b64decode(user_data)
    except ValueError:
        return "unknown"
    known = {b"#!": "script", b"#cloud-config": "cloud-config", b"#include": "include", b"#cloud-boothook": "boothook"}
    known |= {
        b"Content-Type:": "multipart",
        b"MIME-Version:": "multipart",
        b"\x1f\x8b": "compressed",
        b"## template": "template",
    }
    return next((kind for start, kind in known.items() if text.startswith(start)), "unknown")


def services(connection: "Connection") -> list[dict[str, Any]]:
    """Nova's services, with the time of their last report."""
    found = _get(connection, "compute", "/os-services", NOVA_VERSION)["services"]
    keys = ("id", "host", "binary", "status", "state", "updated_at", "disabled_reason")
    return [{key: one.get(key) for key in keys} for one in found]


def zones(connection: "Connection") -> dict[str, list[str]]:
    """Availability zone → its hosts that run servers and are enabled."""
    found = _get(connection, "compute", "/os-availability-zone/detail", NOVA_VERSION)["availabilityZoneInfo"]
    return {
        one["zoneName"]: sorted(
            host for host, services in (one["hosts"] or {}).items() if services.get("nova-compute", {}).get("active")
        )
        for one in found
    }


def quotas(connection: "Connection") -> dict[str, dict[str, list[int]]]:
    """Project with servers → what of its quota is limited: (in use, limit). Twenty projects at most are asked for."""
    projects = sorted({one["project"] for one in servers(connection).values()})[:20]
    found = {}
    for project in projects:
        body = _get(connection, "compute", f"/os-quota-sets/{project}/detail", NOVA_VERSION)["quota_set"]
        found[project] = {
            kind: [one["in_use"], one["limit"]]
            for kind, one in body.items()
            if kind in ("instances", "cores", "ram") and one["limit"] >= 0
        }
    return found


def hypervisors(connection: "Connection") -> list[dict[str, Any]]:
    """Nova's hypervisors: their name, the host of their service, and the id that placement knows them by."""
    found = _get(connection, "compute", "/os-hypervisors/detail", NOVA_VERSION)["hypervisors"]
    return [
        {
            "id": one["id"],
            "name": one["hypervisor_hostname"],
            "host": one["service"]["host"],
            "type": one["hypervisor_type"],
            "architecture": _architecture(one.get("cpu_info")),
        }
        for one in found
    ]


def _architecture(cpu_info: Any) -> str:
    """The architecture of a hypervisor's processor; nova gives it as JSON, and older ones as JSON in a string."""
    try:
        found = json.loads(cpu_info) if isinstance(cpu_info, str) else cpu_info
        return str(found["arch"])
    except (ValueError, TypeError, KeyError):
        return ""


def migrations(connection: "Connection") -> list[dict[str, Any]]:
    """Migrations that are on their way."""
    found = _get(connection, "compute", "/os-migrations", NOVA_VERSION)["migrations"]
    over = {"completed", "error", "failed", "done", "confirmed", "reverted", "cancelled", "finished"}
    keys = ("id", "uuid", "instance_uuid", "status", "source_compute", "dest_compute")
    # `finished` is a resize that waits for its confirmation: its allocations stay.
    waits = {"finished"}
    return [{key: one.get(key) for key in keys} for one in found if one["status"] not in over or one["status"] in waits]


def placement(connection: "Connection") -> dict[str, dict[str, Any]]:
    """Each provider: what it has, who uses how much of it, what nova says of its host."""
    found = {}
    for one in _get(connection, "placement", "/resource_providers", PLACEMENT_VERSION)["resource_providers"]:
        path = f"/resource_providers/{one['uuid']}"
        found[one["uuid"]] = {
            "name": one["name"],
            "inventories": _get(connection, "placement", f"{path}/inventories", PLACEMENT_VERSION)["inventories"],
            "allocations": {
                consumer: held["resources"]
                for consumer, held in _get(connection, "placement", f"{path}/allocations", PLACEMENT_VERSION)[
                    "allocations"
                ].items()
            },
        }
    return found


def ports(connection: "Connection") -> dict[str, dict[str, Any]]:
    """All ports, by id."""
    found = _pages(connection, "network", "/ports?limit=1000", "ports")
    return {one["id"]: _port(one) for one in found}


def _port(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "server": one["device_id"],
        "owner": one["device_owner"],
        "status": one["status"],
        "up": one["admin_state_up"],
        "host": one.get("binding:host_id", ""),
        "vif": one.get("binding:vif_type", ""),
        "mac": one["mac_address"],
        "addresses": [[ip["ip_address"], ip["subnet_id"]] for ip in one["fixed_ips"]],
        "groups": one.get("security_groups", []),
        "secured": one.get("port_security_enabled", True),
        "network": one["network_id"],
    }


def agents(connection: "Connection") -> list[dict[str, Any]]:
    """Neutron's agents."""
    found = _get(connection, "network", "/agents")["agents"]
    keys = ("id", "host", "binary", "alive", "admin_state_up", "heartbeat_timestamp")
    return [{key: one.get(key) for key in keys} for one in found]


def groups(connection: "Connection") -> dict[str, dict[str, Any]]:
    """Security groups with their rules, by id."""
    keys = (
        "direction",
        "ethertype",
        "protocol",
        "port_range_min",
        "port_range_max",
        "remote_ip_prefix",
        "remote_group_id",
        "id",
    )
    found = _pages(connection, "network", "/security-groups?limit=1000", "security_groups")
    return {
        one["id"]: {
            "name": one["name"],
            "project": one["project_id"],
            "rules": [{key: rule.get(key) for key in keys} for rule in one["security_group_rules"]],
        }
        for one in found
    }


def subnets(connection: "Connection") -> dict[str, dict[str, Any]]:
    """Subnets, by id."""
    keys = ("name", "cidr", "gateway_ip", "enable_dhcp", "dns_nameservers", "network_id", "ip_version")
    return {
        one["id"]: {key: one.get(key) for key in keys} for one in _get(connection, "network", "/subnets")["subnets"]
    }


def images(connection: "Connection") -> dict[str, dict[str, Any]]:
    """Images, by id."""
    found = _pages(connection, "image", "/images?limit=200", "images")
    return {
        one["id"]: {
            "name": one["name"],
            "status": one["status"],
            "size": one.get("size"),
            "architecture": one.get("hw_architecture") or one.get("architecture") or "",
        }
        for one in found
    }


QUESTIONS: Mapping[str, Callable[["Connection"], Any]] = {
    ENDPOINTS: endpoints,
    SERVERS: servers,
    SERVICES: services,
    HYPERVISORS: hypervisors,
    MIGRATIONS: migrations,
    PLACEMENT: placement,
    PORTS: ports,
    AGENTS: agents,
    GROUPS: groups,
    SUBNETS: subnets,
    IMAGES: images,
    ZONES: zones,
    QUOTAS: quotas,
}


def _get(connection: "Connection", service: str, path: str, version: str | None = None) -> Any:
    from openstack.exceptions import raise_from_response

    proxy = getattr(connection, service)
    answer = proxy.get(path, microversion=version) if version else proxy.get(path)
    raise_from_response(answer)
    return answer.json()


def _pages(connection: "Connection", service: str, path: str, key: str, version: str | None = None) -> Iterator[Any]:
    """The rows of all pages; nova and neutron name the next one in a list of links, glance as `next`."""
    while path:
        body = _get(connection, service, path, version)
        yield from body[key]
        links = {link["rel"]: link["href"] for link in body.get(f"{key}_links", [])}
        path = links.get("next") or body.get("next", "")
