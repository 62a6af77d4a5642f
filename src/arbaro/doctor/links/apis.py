# SPDX-License-Identifier: Apache-2.0
"""Keystone and the APIs by round trips: keys, the services' own logins, the catalog, policies, images."""

import re
from collections import Counter
from collections.abc import Iterator
from shlex import quote
from urllib.parse import urlsplit

from arbaro.checks import ERROR, Check, Finding, Need, Spot
from arbaro.doctor import hostlooks
from arbaro.doctor.links.ground import needs_the_host, working
from arbaro.doctor.links.stores import DATABASE_FULL, DATABASE_SILENT
from arbaro.doctor.ports import seen
from arbaro.doctor.questions import ENDPOINTS, IMAGES, OPENSTACK
from arbaro.doctor.site import SITE, client, controller, each_host_in, hosts_in, there
from arbaro.evidence import Evidence
from arbaro.hosts import COMPUTE, CONTROLLER


def keystone_keys(evidence: Evidence, spot: Spot) -> Finding | None:
    """Keystone cannot read the keys of its tokens."""
    found = evidence.value(spot.host, hostlooks.KEYS)
    mend = there(evidence, spot.host, "chown -R keystone:keystone /etc/keystone/fernet-keys")
    means = "keystone answers every request for a token with HTTP 500"
    if not any(one["kind"] == "regular file" for one in found):
        lost = "/etc/keystone/fernet-keys has no keys"
        mend = there(
            evidence, spot.host, "keystone-manage fernet_setup --keystone-user keystone --keystone-group keystone"
        )
        return Finding(spot.host, lost, means, mend)
    others = sorted({one["owner"] for one in found} - {"keystone"})
    # Others may own them as long as everybody may read: that is no outage.
    shut = [one for one in found if one["owner"] == "keystone" and one["mode"].zfill(3)[-3] not in "4567"]
    if shut:
        mend = there(evidence, spot.host, "chmod -R u+rwX /etc/keystone/fernet-keys")
        return Finding(spot.host, "keystone may not read its own keys", means, mend)
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
    if one["answer"] in (200, 201):
        return None
    if one["answer"] not in (401, 403, 404):
        saw = f"{one['user']} cannot log in as {spot.thing} does: {one['answer']}"
        return Finding(spot.host, saw, "", there(evidence, spot.host, f"grep -n auth_url {quote(str(one['file']))}"))
    others = Counter(each["answer"] for each in _logins_of(evidence, one["user"]))
    everywhere = others.get(201, 0) == 0
    site = evidence.should(SITE, "configure", "")
    look = there(evidence, spot.host, f"grep -n username {quote(str(one['file']))}")
    where = " everywhere: its password in keystone is another one" if everywhere else ""
    return Finding(
        spot.host,
        f"keystone refuses {one['user']}{where} (HTTP {one['answer']}, as {spot.thing} logs in)",
        "the services that log in like this are refused by all others",
        site.format(host=spot.host) if site else look,
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
    yield API_UNREACHABLE.id, Spot(spot.host)


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
    """The catalog names an address where nobody answers, or whoever is there cannot."""
    answers = [evidence.value(host, hostlooks.URLS).get(spot.thing) for host in _asking(evidence)]
    if not answers or any(map(_is_answer, answers)):
        return None
    one = next(entry for entry in evidence.value(OPENSTACK, ENDPOINTS) if entry["url"] == spot.thing)
    good = evidence.should(SITE, "ports", {}).get(one["service"])
    parts, said = urlsplit(spot.thing), answers[0]
    saw = f"the catalog sends everybody to {spot.thing} ({one['interface']}), and "
    if isinstance(said, int):
        run = f"arbaro logs {quote(evidence.about)} {controller(evidence)}"
        return Finding(one["service"], f"{saw}there it answers HTTP {said}", "", run)
    url = spot.thing.replace(f":{parts.port}", f":{good}") if good and parts.port != good else spot.thing
    mend = client(evidence, "endpoint set --url", url, one["id"])
    return Finding(one["service"], f"{saw}nobody answers there: {said}", "", mend)


def _is_answer(said: object) -> bool:
    return isinstance(said, int) and said < 500


def _asking(evidence: Evidence) -> list[str]:
    return [host for host in hosts_in(evidence, CONTROLLER) + hosts_in(evidence, COMPUTE) if _is_asked(evidence, host)]


def each_asking(evidence: Evidence) -> list[Spot]:
    """All hosts that were to ask the catalog's addresses."""
    return [Spot(host) for host in _asking(evidence)]


def apis_unreachable(evidence: Evidence, spot: Spot) -> Finding | None:
    """A host gets no answer from addresses that answer others."""
    asked = evidence.value(spot.host, hostlooks.URLS)
    others = [evidence.value(host, hostlooks.URLS) for host in _asking(evidence) if host != spot.host]
    lost = [
        url
        for url, said in asked.items()
        if url.startswith("http") and not _is_answer(said) and any(_is_answer(o.get(url)) for o in others)
    ]
    if not lost:
        return None
    saw = f"it gets no answer from {lost[0]}: {asked[lost[0]]}" + (f", and {len(lost) - 1} more" if lost[1:] else "")
    mend = there(evidence, spot.host, "nft list ruleset; ip route; cat /etc/hosts")
    return Finding(spot.host, saw, "others get one: its way there, its names, or a packet filter", mend)


def needs_way_out(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A packet filter explains it."""
    yield from needs_the_host(evidence, spot)
    yield from (("other-firewall", Spot(spot.host, table)) for table in seen(evidence, hostlooks.RULES, spot.host))


def _is_asked(evidence: Evidence, host: str) -> bool:
    seen = evidence.facts.get(host, {}).get(hostlooks.URLS)
    return seen is not None and not seen.error


def needs_service(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """An address is answered by a service's unit on the controller."""
    host = controller(evidence)
    yield from needs_the_host(evidence, Spot(host))
    yield KEYSTONE_KEYS.id, Spot(host)
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
        mend = there(evidence, spot.host, f"sed -i {quote(f'/{re.escape(changed[0])}/d')} {spot.thing}")
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
        "servers from it fail on hosts that have no copy of it: put the file back, or upload the image anew",
        there(evidence, spot.host, "ls -la /var/lib/glance/images"),
    )


KEYSTONE_KEYS = Check("keystone-keys", ERROR, each_host_in(CONTROLLER), keystone_keys, needs_the_host)
SERVICE_PASSWORD = Check("service-password", ERROR, each_login, service_password, needs_keystone)
API_UNREACHABLE = Check("api-unreachable", ERROR, each_asking, apis_unreachable, needs_way_out)
ENDPOINT_DEAD = Check("endpoint-dead", ERROR, each_endpoint, endpoint_dead, needs_service)
POLICY_CHANGED = Check("policy-changed", ERROR, each_policy, policy_changed, needs_the_host)
IMAGE_FILE_GONE = Check("image-file-gone", ERROR, each_image, image_file_gone, needs_the_host)
