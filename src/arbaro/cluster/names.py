# SPDX-License-Identifier: Apache-2.0
"""Hosts find each other by name in /etc/hosts; those that were there before others came are told the new names."""

from arbaro.checks import Finding, judge, wait_until_silent
from arbaro.cluster.checks.hosts import HOST_UNREACHABLE
from arbaro.cluster.cloud import Cloud
from arbaro.evidence import Evidence
from arbaro.hosts import hosts_file
from arbaro.looks import SSH, Look, look_at_hosts
from arbaro.steps import Note, Step

NAMES = Look("/etc/hosts", ["cat", "/etc/hosts"])


def name_hosts(cloud: Cloud) -> Step:
    """Tell the hosts that there are now; one that is still to be made will be born with all names on its disk."""
    wanted = hosts_file(cloud.spec.hosts)
    hosts = cloud.made_hosts

    def look() -> Evidence:
        facts = look_at_hosts([(cloud.reach(host), [NAMES]) for host in hosts])
        return Evidence(cloud.spec.name, facts, {host.name: {SSH: "answers"} for host in hosts})

    def silent() -> list[Finding]:
        return judge([HOST_UNREACHABLE], look())

    def apply(note: Note) -> None:
        hint = f"arbaro status {cloud.spec.name}"
        wait_until_silent(silent, what="An answer by SSH of each host", timeout=60, note=note, hint=hint)
        seen = look()
        for host in hosts:
            if seen.facts[host.name][NAMES.what].value != wanted:
                cloud.reach(host).run(["tee", "/etc/hosts"], stdin=wanted)

    def needed() -> bool:
        # A host that does not answer yet may lack names: `apply` waits for it.
        return any(facts[NAMES.what].value != wanted for facts in look().facts.values())

    return Step("Tell older hosts the names of new ones", needed, apply)
