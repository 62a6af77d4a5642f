# SPDX-License-Identifier: Apache-2.0
"""The links between a server that was started and its script: each stands on the one before."""

import re
from collections.abc import Callable

from arbaro.checks import ERROR, Check, Finding, Spot, causes, judge
from arbaro.cluster.drivers import NetworkDriver
from arbaro.evidence import Evidence

WHERE = "The chain broke here"


def commands(cloud: str, driver: NetworkDriver, host: str, client: str, server: str) -> dict[str, str]:
    """What to type where a link is broken: a server's host, its network driver and the openstack client decide."""
    logs = {
        "guest-kernel": "{host} nova-compute",
        "guest-address": driver.dhcp_log,
        "guest-metadata": driver.metadata_log,
        "guest-ping": driver.filter_log,
    }
    console = dict.fromkeys(("guest-sshd", "guest-script", "guest-login"), f"{client} console log show {server}")
    return console | {check: f"arbaro logs {cloud} {log.format(host=host)}" for check, log in logs.items()}


def broken_link(evidence: Evidence) -> Finding | None:
    """The first link of the chain that is broken, or could not be looked at."""
    return next(iter(causes(judge(CHAIN, evidence))), None)


def each_guest(evidence: Evidence) -> list[Spot]:
    """The servers whose console is to say that all is well."""
    return [Spot(thing=server) for server in evidence.places("commands")]


def _said(check: str, words: str, means: str, before: str = "") -> Check:
    """The guest says these words on its console when the link holds."""

    def look(evidence: Evidence, spot: Spot) -> Finding | None:
        if re.search(rf"arbaro: \S+ .*(?:{words})", evidence.value(spot.thing, "console")):
            return None
        return _broken(check, evidence, spot, f"the guest's console lacks {words!r}", means)

    return _link(check, look, before)


def silent_to_ping(evidence: Evidence, spot: Spot) -> Finding | None:
    """The guest did all of its part and does not answer ping."""
    if evidence.value(spot.thing, "ping"):
        return None
    said = "the guest is up, but does not answer ping"
    return _broken("guest-ping", evidence, spot, said, "security group, or the way there")


def refuses_login(evidence: Evidence, spot: Spot) -> Finding | None:
    """The guest answers ping, and its script's output cannot be read by SSH."""
    if evidence.value(spot.thing, "login"):
        return None
    return _broken("guest-login", evidence, spot, "the guest is up and answers ping", "SSH is refused")


def _broken(check: str, evidence: Evidence, spot: Spot, saw: str, means: str) -> Finding:
    return Finding(WHERE, saw, means, evidence.should(spot.thing, "commands")[check])


def _link(check: str, look: Callable[[Evidence, Spot], Finding | None], before: str) -> Check:
    return Check(check, ERROR, each_guest, look, lambda _, spot: [(before, spot)] if before else [])


CHAIN = (
    _said("guest-kernel", "kernel .*up", "the guest's kernel did not start"),
    _said("guest-address", "by DHCP", "no DHCP answer: dnsmasq, or the tap", "guest-kernel"),
    _said(
        "guest-metadata",
        "metadata reached|config drive read",
        "no metadata: the way to nova-api-metadata, or that itself",
        "guest-address",
    ),
    _said("guest-sshd", "ssh ready", "dropbear did not start in the guest", "guest-metadata"),
    _said("guest-script", "user script done", "the script has not ended", "guest-sshd"),
    _link("guest-ping", silent_to_ping, "guest-script"),
    _link("guest-login", refuses_login, "guest-ping"),
)
