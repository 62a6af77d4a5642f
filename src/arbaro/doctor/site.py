# SPDX-License-Identifier: Apache-2.0
"""What a check must know besides what was seen: the cloud's addresses, and how a person types a command."""

import re
from collections.abc import Callable
from shlex import quote

from arbaro.checks import Spot
from arbaro.evidence import Evidence

#: Where a check looks.
Spots = Callable[[Evidence], list[Spot]]
#: The place of what is known of the cloud as a whole, under `wanted`.
SITE = "site"
#: A line that every shell takes as the words that it shows.
PLAIN = re.compile(r"[\w@%+=:,./ -]*", re.ASCII)


def commands(name: str) -> dict[str, str]:
    """How a person types commands for a personal cloud: on a host, to configure a host, and for OpenStack."""
    return {
        "cloud": f"arbaro-{name}",
        "ssh": f"arbaro ssh {name} {{host}} --",
        "configure": f"arbaro inventory {name} > inventory.json; cd ansible; "
        "ansible-playbook -i ../inventory.json playbooks/site.yml --limit {host}",
    }


def there(evidence: Evidence, host: str, line: str) -> str:
    """What to type here so that a line runs in the shell of a host.

    What comes from hosts and tenants is in the line as `quote` writes it: a person is going to type this.
    """
    via = str(evidence.should(SITE, "ssh", "ssh {host} --"))
    return f"{via.format(host=host)} {_as_one_word(line)}"


def _as_one_word(line: str) -> str:
    """The line as this shell hands it on unchanged; plain words stay plain, because ssh joins them again."""
    if PLAIN.fullmatch(line):
        return line
    return quote(line) if re.search(r'["$`\\!]', line) else f'"{line}"'


def client(evidence: Evidence, *words: str) -> str:
    """What to type to ask or tell OpenStack something; the last words may come from a tenant, the first are ours."""
    first, *rest = words
    cloud = evidence.should(SITE, "cloud", evidence.about)
    return " ".join([f"openstack --os-cloud {quote(cloud)} {first}", *map(quote, rest)])


def hosts_in(evidence: Evidence, group: str) -> list[str]:
    """The hosts of a group."""
    groups = evidence.should(SITE, "groups", {})
    return [host for host, its in groups.items() if group in its]


def each_host_in(*groups: str) -> Spots:
    """A check's spots: all hosts of these groups."""

    def spots(evidence: Evidence) -> list[Spot]:
        return [Spot(host) for host in dict.fromkeys(host for group in groups for host in hosts_in(evidence, group))]

    return spots


def each_fabric_host(*groups: str) -> Spots:
    """The same, where servers are behind a fabric of routers (network driver l2isolate)."""
    every = each_host_in(*groups)
    return lambda evidence: every(evidence) if evidence.should(SITE, "network") == "l2isolate" else []


def controller(evidence: Evidence) -> str:
    """The host of the control plane."""
    return next(iter(hosts_in(evidence, "controller")), "controller")
