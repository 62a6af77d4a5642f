# SPDX-License-Identifier: Apache-2.0
"""Queue and database by round trips: do they answer, take what they are given, and does somebody read it."""

from collections.abc import Iterator, Mapping
from typing import Any

from arbaro.checks import ERROR, Check, Finding, Need, Spot
from arbaro.doctor import hostlooks
from arbaro.doctor.links.ground import needs_the_host, working
from arbaro.doctor.ports import seen
from arbaro.doctor.site import SITE, controller, each_host_in, hosts_in, there
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
    """A service's login is refused by the queue, or nobody is connected with it."""
    logins = {host: _logins_of(evidence, host, spot.thing) for host in evidence.should(SITE, "groups", {})}
    refused = [host for host, answers in logins.items() if "refused" in answers]
    connected = evidence.value(spot.host, hostlooks.QUEUE)["users"].get(spot.thing)
    if not refused and connected:
        return None
    means = f"the services of {spot.thing} hear nothing from one another"
    if refused and any("in" in answers for answers in logins.values()):
        mend = str(evidence.should(SITE, "configure", "")).format(host=refused[0])
        saw = f"RabbitMQ refuses the login of {spot.thing} from here, and takes it from others"
        return Finding(", ".join(refused), saw, "its password in the files of this host is another one", mend)
    saw = (
        f"RabbitMQ refuses the login of {spot.thing}" if refused else f"nobody is connected to RabbitMQ as {spot.thing}"
    )
    return Finding(spot.host, saw, means, there(evidence, spot.host, "systemctl restart rabbitmq-server"))


def _logins_of(evidence: Evidence, host: str, user: str) -> set[str]:
    return {one["answer"] for one in seen(evidence, hostlooks.QUEUE_LOGINS, host) or [] if one["user"] == user}


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
    if vhost == "neutron" and name.startswith("q-"):
        known |= {unit: "neutron-server"}
    if unit not in known:
        # Notifications, for example, are often read by nobody.
        return None
    unit = known[unit]
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


def _is_refused(found: Mapping[str, Any]) -> bool:
    """Say whether even its administrator got no connection, because there were too many."""
    return found["code"] != 0 and "Too many connections" in found["said"]


def database_silent(evidence: Evidence, spot: Spot) -> Finding | None:
    """MariaDB does not answer."""
    found = evidence.value(spot.host, hostlooks.DATABASE)
    if found["code"] == 0 or _is_refused(found):
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
    means = "services are refused at random: HTTP 500 and 503"
    if _is_refused(found):
        saw, mend = "MariaDB has too many connections, and lets in nobody more", "systemctl restart mariadb"
    elif found["code"] == 0 and found["open"] >= found["most"] - 1:
        saw = f"MariaDB allows {found['most']} connections, and {found['open']} are open"
        mend = "mysql -e 'SET GLOBAL max_connections = 500'"
    else:
        return None
    return Finding(spot.host, saw, means, there(evidence, spot.host, mend))


def needs_open_database(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A database that answers."""
    yield from needs_database(evidence, spot)
    yield DATABASE_SILENT.id, Spot(spot.host)


QUEUE_SILENT = Check("queue-silent", ERROR, each_host_in(CONTROLLER), queue_silent, needs_queue)
QUEUE_BLOCKED = Check("queue-blocked", ERROR, each_host_in(CONTROLLER), queue_blocked, needs_queue)
QUEUE_REFUSES = Check("queue-refuses", ERROR, each_queue_user, queue_refuses, needs_open_queue)
QUEUE_UNREACHABLE = Check("queue-unreachable", ERROR, each_door, queue_unreachable, needs_door)
QUEUE_UNREAD = Check("queue-unread", ERROR, each_unread, queue_unread, needs_reader)
DATABASE_SILENT = Check("database-silent", ERROR, each_host_in(CONTROLLER), database_silent, needs_database)
DATABASE_FULL = Check("database-full", ERROR, each_host_in(CONTROLLER), database_full, needs_open_database)
