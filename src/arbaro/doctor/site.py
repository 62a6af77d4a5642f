# SPDX-License-Identifier: Apache-2.0
"""What a check must know besides what was seen: the cloud's addresses, and how a person types a command."""

from arbaro.checks import Spot
from arbaro.evidence import Evidence

#: The place of what is known of the cloud as a whole, under `wanted`.
SITE = "site"


def there(evidence: Evidence, host: str, command: str) -> str:
    """What to type here so that a command runs on a host."""
    via = str(evidence.should(SITE, "ssh", "ssh {host} --"))
    return f"{via.format(host=host)} {command}"


def client(evidence: Evidence, words: str) -> str:
    """What to type to ask or tell OpenStack something."""
    return f"openstack --os-cloud {evidence.should(SITE, 'cloud', evidence.about)} {words}"


def hosts_in(evidence: Evidence, group: str) -> list[str]:
    """The hosts of a group."""
    groups = evidence.should(SITE, "groups", {})
    return [host for host, its in groups.items() if group in its]


def each_host_in(*groups: str):  # type: ignore[no-untyped-def]
    """A check's spots: all hosts of these groups."""

    def spots(evidence: Evidence) -> list[Spot]:
        return [Spot(host) for host in dict.fromkeys(host for group in groups for host in hosts_in(evidence, group))]

    return spots


def controller(evidence: Evidence) -> str:
    """The host of the control plane."""
    return next(iter(hosts_in(evidence, "controller")), "controller")
