# SPDX-License-Identifier: Apache-2.0
"""The doctor looks at a personal cloud: OpenStack first, then every host in one SSH session, and this machine."""

import json
import time
from typing import TYPE_CHECKING

from arbaro import shell
from arbaro.cluster import evidence as cluster
from arbaro.cluster.access import REGION, auth_url
from arbaro.doctor import hostlooks, questions
from arbaro.doctor.site import SITE, commands
from arbaro.errors import ArbaroError
from arbaro.evidence import Evidence, Seen
from arbaro.hosts import CONTROLLER
from arbaro.looks import look_at_hosts
from arbaro.openstack import connect
from arbaro.releases import load_release
from arbaro.runs import current_run
from arbaro.services import find_service, load_services

if TYPE_CHECKING:
    from arbaro.cluster.cloud import Cloud


def look(cloud: "Cloud") -> Evidence:
    """Look at everything once, and change nothing."""
    site = of_site(cloud)
    with current_run().threads(2) as threads:
        hosts_there = threads.submit(cluster.of_provider, cloud)
        openstack = threads.submit(_openstack, cloud)
        made, asked = hosts_there.result(), openstack.result()
    wishes = hostlooks.Wishes(
        _urls(asked), _a_guest(cloud), list(site.should(SITE, "policies", {})), bool(cloud.spec.driver.tors)
    )
    running = [host for host in cloud.spec.hosts if made.value(host.name, "state") == "running"]
    looks = [
        (
            cloud.reach(host),
            [*cluster.looks(cloud.spec, host), *hostlooks.looks(host, cluster.wanted_units(cloud.spec, host), wishes)],
        )
        for host in running
    ]
    wanted = {host.name: cluster.wanted_of(cloud.spec, host) for host in cloud.spec.hosts}
    hosts = Evidence(cloud.spec.name, look_at_hosts(looks), wanted)
    return site | made | cluster.wanted_images(cloud, made) | asked | hosts | _this_machine(cloud)


def of_site(cloud: "Cloud") -> Evidence:
    """What is known of the cloud before anything is looked at."""
    release, fabric = load_release(cloud.spec.release), bool(cloud.spec.driver.tors)
    services = [service for service in load_services() if service.group == CONTROLLER]
    known = {
        **commands(cloud.spec.name),
        "groups": {host.name: sorted(host.roles) for host in cloud.spec.hosts},
        "network": cloud.spec.network,
        "queue": queue_door(),
        "doors": sorted({port.number for service in services for port in service.ports.values()}),
        "queue users": [service.name for service in services if service.rabbitmq],
        "ports": {service.name: service.api for service in services if service.type},
        "policies": {
            f"/etc/{service.name}/policy.yaml": dict(release.policies.get(service.name, {}))
            for service in services
            if service.type
        },
    }
    if fabric:
        known |= {"router": str(cloud.spec.guest_router), "pool": str(cloud.spec.provider)}
    return Evidence(cloud.spec.name, wanted={SITE: known})


def _openstack(cloud: "Cloud") -> Evidence:
    secrets = cloud.keeper.identity_file().exists()
    if not secrets:
        holes = dict.fromkeys(questions.QUESTIONS, Seen(error=f"the secrets are not in {cloud.keeper.directory}"))
        return Evidence(cloud.spec.name, {questions.OPENSTACK: holes}) | cluster.of_apis(cloud.spec)
    password = cloud.keeper.identity()["keystone_admin_password"]
    asked = questions.ask(cloud.spec.name, lambda: connect(auth_url(cloud.spec), password, region=REGION))
    apis = cluster.of_apis(cloud.spec)
    states = apis.value(CONTROLLER, "APIs")
    silent = [name for name in cluster.NEEDED_APIS if states[name] != "up"]
    trouble = f"no answer from {', '.join(silent)}" if silent else ""
    return (
        asked
        | apis
        | cluster.of_reports(cloud, trouble)
        | cluster.of_aggregates(cloud, trouble)
        | cluster.of_machines(cloud, trouble)
    )


def _urls(asked: Evidence) -> list[str]:
    seen = asked.facts[questions.OPENSTACK][questions.ENDPOINTS]
    return [queue_door(), *([] if seen.error else sorted({one["url"] for one in seen.value}))]


def queue_door() -> str:
    """Where the cloud's hosts find the queue."""
    return f"tcp://{CONTROLLER}:{find_service('rabbitmq').ports['amqp'].number}"


def _a_guest(cloud: "Cloud") -> str:
    """An address that stands for all servers."""
    return str(cloud.spec.provider[250]) if cloud.spec.driver.tors else ""


def _this_machine(cloud: "Cloud") -> Evidence:
    if not cloud.spec.driver.tors:
        return Evidence(cloud.spec.name)
    try:
        way = Seen(json.loads(shell.run(["ip", "-j", "route", "get", _a_guest(cloud)]))[0], time.time())
    except ArbaroError as error:
        way = Seen(at=time.time(), error=error.why or error.what)
    return Evidence(cloud.spec.name, {SITE: {"the way in": way}})
