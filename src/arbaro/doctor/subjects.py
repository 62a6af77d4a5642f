# SPDX-License-Identifier: Apache-2.0
"""What a person asks the doctor about: a server, a port, an address, a host or a machine, found in the evidence."""

from collections.abc import Iterator
from dataclasses import dataclass

from arbaro.checks import Finding
from arbaro.doctor.ports import seen
from arbaro.doctor.questions import PORTS, SERVERS
from arbaro.doctor.site import SITE
from arbaro.errors import ArbaroError
from arbaro.evidence import Evidence

#: The kinds of subjects.
CLOUD, SERVER, HOST, MACHINE = "cloud", "server", "host", "machine"
#: Checks of what a server stands on that is built, and of what a running one is reached by.
OF_THE_WAY = frozenset(
    {
        "metadata-way-back",
        "way-in-missing",
        "session-down",
        "bfd-flaps",
        "routing-rule",
        "other-firewall",
        "forwarding-off",
        "rp-filter-strict",
        "address-twice",
    }
)


@dataclass(frozen=True)
class Subject:
    """What was asked about. `ids` are what findings may be about; `host` is where it is, if anywhere."""

    kind: str
    name: str
    host: str = ""
    ids: frozenset[str] = frozenset()
    #: It runs, so what builds servers is not its concern.
    runs: bool = False
    state: str = ""


def find(evidence: Evidence, word: str | None) -> Subject:
    """The subject that a word means. Raises ArbaroError that lists what there is, or all that it may mean."""
    if not word:
        return Subject(CLOUD, evidence.about)
    found = list(dict.fromkeys(_candidates(evidence, word)))
    if len(found) == 1:
        return found[0]
    if found:
        names = "\n".join(f"{one.kind} {one.name} {' '.join(sorted(one.ids))[:36]}" for one in found)
        raise ArbaroError(f"{word!r} may be several things.", why=names, hint="Give the id.")
    if not evidence.facts.get("OpenStack", {}).get(SERVERS) or evidence.facts["OpenStack"][SERVERS].error:
        # OpenStack does not say what there is; what is wrong with the cloud is the answer then.
        return Subject(CLOUD, evidence.about, state=f"OpenStack does not say what {word} is")
    servers = [one["name"] for one in seen(evidence, SERVERS).values()]
    hosts = list(evidence.should(SITE, "groups", {}))
    raise ArbaroError(
        f"The cloud {evidence.about} has no server, port, address, host or machine {word!r}.",
        why=f"Servers: {', '.join(servers[:20]) or 'none'}. Hosts: {', '.join(hosts[:20])}.",
        hint="arbaro doctor",
    )


def _candidates(evidence: Evidence, word: str) -> Iterator[Subject]:
    groups = evidence.should(SITE, "groups", {})
    if word in groups:
        yield Subject(HOST, word, word, frozenset({word}))
    servers, ports = seen(evidence, SERVERS), seen(evidence, PORTS)
    for number, one in servers.items():
        if word in (number, one["name"]):
            yield _server(evidence, number)
    for number, port in ports.items():
        if (
            word in (number, f"tap{number[:11]}", *(address for address, _ in port["addresses"]))
            and port["server"] in servers
        ):
            yield _server(evidence, port["server"])
    for machine in seen(evidence, "machines") or []:
        if machine["name"] == word:
            yield Subject(MACHINE, word, "", frozenset({word}))


def _server(evidence: Evidence, number: str) -> Subject:
    one = seen(evidence, SERVERS)[number]
    ports = {port for port, its in seen(evidence, PORTS).items() if its["server"] == number}
    state = f"{one['status']}" + (f", {one['task_state']}" if one.get("task_state") else "")
    runs = one.get("vm_state") in ("active", "paused", "stopped", "suspended")
    return Subject(SERVER, one["name"], one["host"] or "", frozenset({number, *ports}), runs, state)


def concerns(subject: Subject, finding: Finding, evidence: Evidence) -> bool:
    """Say whether a finding is about the subject, or about what it stands on."""
    if subject.kind == CLOUD:
        return True
    about = finding.key.partition("/")[2]
    if subject.ids & set(about.split("/")) or finding.where == subject.name:
        return True
    if subject.kind == HOST:
        return finding.host == subject.name or finding.where == subject.name
    if subject.kind == MACHINE:
        return "machine" in finding.check or finding.host in ("rack", "controller")
    if not subject.runs:
        # It was never built: everything that builds servers is its concern, and other servers' own troubles are not.
        return finding.check not in (
            "server-error",
            "server-rests",
            "user-data-no-shebang",
            "group-empty",
            "no-ingress-rule",
        )
    groups = evidence.should(SITE, "groups", {})
    own_thing = any(about.endswith(number) for number in seen(evidence, PORTS)) or any(
        about.endswith(number) for number in seen(evidence, SERVERS)
    )
    if own_thing:
        return False
    return (
        finding.host == subject.host
        or (finding.check in OF_THE_WAY and (not finding.host or groups.get(finding.host) != ["compute"]))
        or finding.check in ("metadata-way-back", "way-in-missing")
    )
