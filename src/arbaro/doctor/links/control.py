# SPDX-License-Identifier: Apache-2.0
"""The control plane by round trips: queue, database, keystone, services' own logins, catalog, policies, images."""

from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from arbaro.checks import ERROR, Check, Finding, Need, Spot
from arbaro.doctor import hostlooks
from arbaro.doctor.links.ground import needs_the_host, working
from arbaro.doctor.ports import seen
from arbaro.doctor.questions import ENDPOINTS, IMAGES, OPENSTACK
from arbaro.doctor.site import SITE, client, controller, each_host_in, hosts_in, there
from arbaro.evidence import Evidence
from arbaro.hosts import COMPUTE, CONTROLLER

#: Messages that may wait in a queue that somebody reads.
WAITING = 50


def needs_queue(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """What is asked of the queue."""
    yield from needs_the_host(evidence, spot)
    yield from working(spot.host, "rabbitmq-server")


def queue_silent(evidence: Evidence, spot: Spot) -> Finding | None:
    """RabbitMQ does not answer its own tool."""
    found = evidence.value(spot.host, hostlooks.QUEUE)
    if found["code"] == 0:
        return None
    why = "no answer in 12 s" if found["code"] in (124, 137) else found["said"]
    return Finding(
        spot.host,
        f"RabbitMQ does not answer: {why}",
        "services hear nothing from one another",
        there(evidence, spot.host, "systemctl restart rabbitmq-server"),
    )


def queue_blocked(evidence: Evidence, spot: Spot) -> Finding | None:
    """RabbitMQ has raised an alarm: it takes no message until that is over."""
    alarms = evidence.value(spot.host, hostlooks.QUEUE)["alarms"]
    if not alarms:
        return None
    mends = {
        "memory": "rabbitmqctl set_vm_memory_high_watermark 0.4",
        "disk": "rabbitmqctl set_disk_free_limit 50MB",
    }
    return Finding(
        spot.host,
        f"RabbitMQ has an alarm ({', '.join(alarms)}): it takes no messages",
        "lists work, and everything that does something hangs",
        there(evidence, spot.host, mends.get(alarms[0], "rabbitmq-diagnostics alarms")),
    )


def each_queue_user(evidence: Evidence) -> list[Spot]:
    """Each service that is to be connected to the queue."""
    return [Spot(controller(evidence), user) for user in evidence.should(SITE, "queue users", ())]


def queue_refuses(evidence: Evidence, spot: Spot) -> Finding | None:
    """A service has no connection to the queue any more: it is refused, or its password is not the queue's."""
    if evidence.value(spot.host, hostlooks.QUEUE)["users"].get(spot.thing):
        return None
    return Finding(
        spot.host,
        f"nobody is connected to RabbitMQ as {spot.thing}: its login is refused",
        f"the services of {spot.thing} hear nothing from one another",
        there(evidence, spot.host, "systemctl restart rabbitmq-server"),
    )


def needs_open_queue(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """What is asked of a queue that answers and takes messages."""
    yield from needs_queue(evidence, spot)
    yield QUEUE_SILENT.id, Spot(spot.host)
    yield QUEUE_BLOCKED.id, Spot(spot.host)


def each_door(evidence: Evidence) -> list[Spot]:
    """All computes: each of them must reach the queue."""
    return [Spot(host) for host in hosts_in(evidence, COMPUTE)]


def queue_unreachable(evidence: Evidence, spot: Spot) -> Finding | None:
    """A host gets no connection to the queue."""
    door = evidence.should(SITE, "queue")
    said = evidence.value(spot.host, hostlooks.URLS).get(door)
    if said in (0, None):
        return None
    mend = there(evidence, spot.host, "nft list ruleset")
    return Finding(spot.host, f"it gets no connection to the queue ({door}): {said}", "its services hear nothing", mend)


def needs_door(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A connection needs both ends, and nothing in between that refuses it."""
    yield from needs_queue(evidence, Spot(controller(evidence)))
    yield from needs_the_host(evidence, spot)
    for host in (spot.host, controller(evidence)):
        tables = seen(evidence, hostlooks.RULES, host)
        yield from (("other-firewall", Spot(host, table)) for table in tables)


def each_unread(evidence: Evidence) -> list[Spot]:
    """Each queue in which messages wait."""
    host = controller(evidence)
    seen = evidence.facts.get(host, {}).get(hostlooks.QUEUE)
    queues = seen.value["queues"] if seen and not seen.error else []
    return [Spot(host, f"{one['vhost']}/{one['name']}") for one in queues if one["messages"]]


def queue_unread(evidence: Evidence, spot: Spot) -> Finding | None:
    """Messages wait in a queue, and nobody reads them."""
    vhost, _, name = spot.thing.partition("/")
    queues = evidence.value(spot.host, hostlooks.QUEUE)["queues"]
    one = next(queue for queue in queues if (queue["vhost"], queue["name"]) == (vhost, name))
    # Answers to questions that nobody waits for any more go by themselves.
    if name.startswith("reply_") or "_fanout_" in name or (one["consumers"] and one["messages"] < WAITING):
        return None
    reader = "nobody reads it" if not one["consumers"] else "its reader does not keep up"
    unit, _, host = name.partition(".")
    known = {"compute": "nova-compute", "conductor": "nova-conductor", "scheduler": "nova-scheduler"}
    where = host if host in evidence.should(SITE, "groups", {}) else spot.host
    unit = known.get(unit, "neutron-server" if vhost == "neutron" else unit)
    return Finding(
        where,
        f"{one['messages']} messages wait in the queue {spot.thing}, and {reader}",
        "",
        there(evidence, where, f"systemctl restart {unit}"),
    )


def needs_reader(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A queue is read by a service, which must run, go on, and be let in."""
    yield from needs_open_queue(evidence, spot)
    vhost, _, name = spot.thing.partition("/")
    yield QUEUE_REFUSES.id, Spot(spot.host, vhost)
    _, _, host = name.partition(".")
    yield QUEUE_UNREACHABLE.id, Spot(host)
    for one in (host, spot.host):
        yield from needs_the_host(evidence, Spot(one))
        yield from working(one, "nova-compute", "nova-conductor", "nova-scheduler", "neutron-server")
        yield from ((("name-changed", Spot(one, path))) for path in _renamed(evidence, one))


def _renamed(evidence: Evidence, host: str) -> list[str]:
    seen = evidence.facts.get(host, {}).get(hostlooks.NAMES)
    return list(seen.value["said"]) if seen and not seen.error else []


def database_silent(evidence: Evidence, spot: Spot) -> Finding | None:
    """MariaDB does not answer."""
    found = evidence.value(spot.host, hostlooks.DATABASE)
    if found["code"] == 0:
        return None
    why = "no answer in 5 s" if found["code"] in (124, 137) else found["said"]
    return Finding(
        spot.host, f"MariaDB does not answer: {why}", "", there(evidence, spot.host, "systemctl restart mariadb")
    )


def needs_database(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """What is asked of the database."""
    yield from needs_the_host(evidence, spot)
    yield from working(spot.host, "mariadb")


def database_full(evidence: Evidence, spot: Spot) -> Finding | None:
    """All connections that the database allows are taken."""
    found = evidence.value(spot.host, hostlooks.DATABASE)
    if found["code"] != 0 or found["open"] < found["most"] - 1:
        return None
    return Finding(
        spot.host,
        f"MariaDB allows {found['most']} connections, and {found['open']} are open",
        "services are refused at random: HTTP 500 and 503",
        there(evidence, spot.host, "\"mysql -e 'SET GLOBAL max_connections = 500'\""),
    )


def needs_open_database(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A database that answers."""
    yield from needs_database(evidence, spot)
    yield DATABASE_SILENT.id, Spot(spot.host)


def keystone_keys(evidence: Evidence, spot: Spot) -> Finding | None:
    """Keystone cannot read the keys of its tokens."""
    found = evidence.value(spot.host, hostlooks.KEYS)
    mend = there(evidence, spot.host, "chown -R keystone:keystone /etc/keystone/fernet-keys")
    means = "keystone answers every request for a token with HTTP 500"
    if sum(one["kind"].startswith("regular") for one in found) == 0:
        lost = "/etc/keystone/fernet-keys has no keys"
        mend = there(
            evidence, spot.host, "keystone-manage fernet_setup --keystone-user keystone --keystone-group keystone"
        )
        return Finding(spot.host, lost, means, mend)
    others = sorted({one["owner"] for one in found} - {"keystone"})
    # Others may own them as long as everybody may read: that is no outage.
    if not others or all(one["mode"][-1] in "4567" for one in found):
        return None
    return Finding(
        spot.host, f"keystone's keys belong to {', '.join(others)}, so keystone cannot read them", means, mend
    )


def each_login(evidence: Evidence) -> list[Spot]:
    """All logins that services on all hosts keep in their files."""
    seen = ((host, facts.get(hostlooks.LOGINS)) for host, facts in evidence.facts.items())
    return [
        Spot(host, f"{one['file']} [{one['section']}]")
        for host, logins in seen
        if logins and not logins.error
        for one in logins.value
    ]


def service_password(evidence: Evidence, spot: Spot) -> Finding | None:
    """Keystone refuses the login that a service has in its file."""
    one = _login(evidence, spot)
    if one["answer"] not in (401, 403, 404):
        return None
    others = Counter(each["answer"] for each in _logins_of(evidence, one["user"]))
    everywhere = others.get(201, 0) == 0
    site = evidence.should(SITE, "configure", "")
    where = " everywhere: its password in keystone is another one" if everywhere else ""
    return Finding(
        spot.host,
        f"keystone refuses {one['user']}{where} (HTTP {one['answer']}, as {spot.thing} logs in)",
        "the services that log in like this are refused by all others",
        site.format(host=spot.host) if site else there(evidence, spot.host, f"grep -n username {one['file']}"),
    )


def needs_keystone(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A login needs keystone, its keys and its database."""
    yield from needs_the_host(evidence, spot)
    host = controller(evidence)
    yield from working(host, "keystone", "mariadb", "memcached")
    yield KEYSTONE_KEYS.id, Spot(host)
    yield DATABASE_SILENT.id, Spot(host)
    yield DATABASE_FULL.id, Spot(host)
    yield "api-silent", Spot(host, "keystone")


def _login(evidence: Evidence, spot: Spot) -> dict[str, object]:
    return next(
        one for one in evidence.value(spot.host, hostlooks.LOGINS) if f"{one['file']} [{one['section']}]" == spot.thing
    )


def _logins_of(evidence: Evidence, user: object) -> Iterator[dict[str, object]]:
    for facts in evidence.facts.values():
        seen = facts.get(hostlooks.LOGINS)
        yield from (one for one in (seen.value if seen and not seen.error else []) if one["user"] == user)


def each_endpoint(evidence: Evidence) -> list[Spot]:
    """All URLs of the catalog."""
    seen = evidence.facts.get(OPENSTACK, {}).get(ENDPOINTS)
    return [Spot(thing=one["url"]) for one in (seen.value if seen and not seen.error else [])]


def endpoint_dead(evidence: Evidence, spot: Spot) -> Finding | None:
    """The catalog names an address where nobody answers."""
    asked = [host for host in hosts_in(evidence, CONTROLLER) + hosts_in(evidence, COMPUTE) if _is_asked(evidence, host)]
    answers = {host: evidence.value(host, hostlooks.URLS).get(spot.thing) for host in asked}
    if not answers or any(isinstance(answer, int) for answer in answers.values()):
        return None
    one = next(entry for entry in evidence.value(OPENSTACK, ENDPOINTS) if entry["url"] == spot.thing)
    good = evidence.should(SITE, "ports", {}).get(one["service"])
    said = next(iter(answers.values()))
    parts = urlsplit(spot.thing)
    mend = f"endpoint set --url {spot.thing} {one['id']}"
    if good and parts.port != good:
        mend = f"endpoint set --url {spot.thing.replace(f':{parts.port}', f':{good}')} {one['id']}"
    return Finding(
        one["service"],
        f"the catalog sends everybody to {spot.thing} ({one['interface']}), and nobody answers there: {said}",
        "",
        client(evidence, mend),
    )


def _is_asked(evidence: Evidence, host: str) -> bool:
    seen = evidence.facts.get(host, {}).get(hostlooks.URLS)
    return seen is not None and not seen.error


def needs_service(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """An address is answered by a service's unit on the controller."""
    host = controller(evidence)
    yield from needs_the_host(evidence, Spot(host))
    seen = evidence.facts.get(OPENSTACK, {}).get(ENDPOINTS)
    for one in seen.value if seen and not seen.error else []:
        if one["url"] == spot.thing:
            name = one["service"]
            # At its right port, the service itself is silent; at another one, the address is wrong whatever it does.
            if urlsplit(spot.thing).port == evidence.should(SITE, "ports", {}).get(name):
                yield "api-silent", Spot(host, name)
                yield from working(host, name, f"{name}-api", f"{name}-server")


def each_policy(evidence: Evidence) -> list[Spot]:
    """All files with policies."""
    return [Spot(controller(evidence), path) for path in evidence.should(SITE, "policies", {})]


def policy_changed(evidence: Evidence, spot: Spot) -> Finding | None:
    """A service's policies are not those that its role has written."""
    found = evidence.value(spot.host, hostlooks.POLICIES).get(spot.thing, {})
    wanted = evidence.should(SITE, "policies", {})[spot.thing]
    changed = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
    if not changed:
        return None
    shown = ", ".join(f"{name}: {found.get(name, '(left out)')!r}" for name in changed[:3])
    site = evidence.should(SITE, "configure", "")
    mend = there(evidence, spot.host, f"rm {spot.thing}") if not wanted else site.format(host=spot.host)
    if set(changed) <= found.keys() - wanted.keys() and wanted:
        mend = there(evidence, spot.host, f"\"sed -i '/{changed[0]}/d' {spot.thing}\"")
    return Finding(
        spot.host, f"{spot.thing} has other rules than its role writes: {shown}", "people are refused, or let in", mend
    )


def each_image(evidence: Evidence) -> list[Spot]:
    """All images that are there to be used."""
    seen = evidence.facts.get(OPENSTACK, {}).get(IMAGES)
    found = seen.value if seen and not seen.error else {}
    return [Spot(controller(evidence), number) for number, one in found.items() if one["status"] == "active"]


def image_file_gone(evidence: Evidence, spot: Spot) -> Finding | None:
    """Glance calls an image active, and its file is not there, or not whole."""
    image = evidence.value(OPENSTACK, IMAGES)[spot.thing]
    size = evidence.value(spot.host, hostlooks.IMAGE_FILES).get(spot.thing)
    if size is not None and size == image["size"]:
        return None
    saw = "is not there" if size is None else f"has {size} bytes of {image['size']}"
    return Finding(
        spot.host,
        f"the file of image {image['name']} ({spot.thing}) {saw}",
        "servers from this image fail on every host that does not have it in its cache",
        there(evidence, spot.host, "ls -la /var/lib/glance/images  # put the file back, or upload the image anew"),
    )


def metadata_way_back(evidence: Evidence, spot: Spot) -> Finding | None:
    """The controller sends its answers to servers another way than through the fabric."""
    router = evidence.should(SITE, "router")
    way = evidence.value(spot.host, hostlooks.WAY_TO_GUESTS)
    if way.get("gateway") == router:
        return None
    said = f"by {way['gateway']}" if "gateway" in way else f"straight to {way.get('dev')}"
    return Finding(
        spot.host,
        f"the controller would answer servers {said}; the way is {router}",
        "servers get no metadata: no key, no script",
        there(evidence, spot.host, "systemctl restart guest-route"),
    )


def each_way_back(evidence: Evidence) -> list[Spot]:
    """The controllers of clouds whose servers are behind a fabric."""
    return [Spot(host) for host in hosts_in(evidence, CONTROLLER)] if evidence.should(SITE, "router") else []


def way_in_missing(evidence: Evidence, spot: Spot) -> Finding | None:
    """This machine does not send to servers through the fabric."""
    router, way = evidence.should(SITE, "router"), evidence.value(SITE, "the way in")
    if way.get("gateway") == router:
        return None
    said = f"goes by {way['gateway']}" if "gateway" in way else f"goes straight to {way.get('dev')}"
    return Finding(
        "this machine",
        f"what it sends to servers {said}; the way is {router}",
        "servers are silent from here; they reach one another",
        f"arbaro up {evidence.about}",
    )


def each_way_in(evidence: Evidence) -> list[Spot]:
    """This machine, where servers are behind a fabric."""
    return [Spot()] if evidence.should(SITE, "router") else []


QUEUE_SILENT = Check("queue-silent", ERROR, each_host_in(CONTROLLER), queue_silent, needs_queue)
QUEUE_BLOCKED = Check("queue-blocked", ERROR, each_host_in(CONTROLLER), queue_blocked, needs_queue)
QUEUE_REFUSES = Check("queue-refuses", ERROR, each_queue_user, queue_refuses, needs_open_queue)
QUEUE_UNREACHABLE = Check("queue-unreachable", ERROR, each_door, queue_unreachable, needs_door)
QUEUE_UNREAD = Check("queue-unread", ERROR, each_unread, queue_unread, needs_reader)
DATABASE_SILENT = Check("database-silent", ERROR, each_host_in(CONTROLLER), database_silent, needs_database)
DATABASE_FULL = Check("database-full", ERROR, each_host_in(CONTROLLER), database_full, needs_open_database)
KEYSTONE_KEYS = Check("keystone-keys", ERROR, each_host_in(CONTROLLER), keystone_keys, needs_the_host)
SERVICE_PASSWORD = Check("service-password", ERROR, each_login, service_password, needs_keystone)
ENDPOINT_DEAD = Check("endpoint-dead", ERROR, each_endpoint, endpoint_dead, needs_service)
POLICY_CHANGED = Check("policy-changed", ERROR, each_policy, policy_changed, needs_the_host)
IMAGE_FILE_GONE = Check("image-file-gone", ERROR, each_image, image_file_gone, needs_the_host)
METADATA_WAY_BACK = Check("metadata-way-back", ERROR, each_way_back, metadata_way_back, needs_the_host)
WAY_IN_MISSING = Check("way-in-missing", ERROR, each_way_in, way_in_missing)
