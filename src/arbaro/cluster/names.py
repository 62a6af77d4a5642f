# SPDX-License-Identifier: Apache-2.0
"""Hosts find each other by name in /etc/hosts; those that were there before others came are told the new names."""

from arbaro.checks import Finding, wait_until_silent
from arbaro.cluster.cloud import Cloud
from arbaro.errors import CommandError
from arbaro.hosts import Host, hosts_file
from arbaro.runs import current_run
from arbaro.steps import Note, Step


def name_hosts(cloud: Cloud) -> Step:
    """Tell the hosts that there are now; one that is still to be made will be born with all names on its disk."""
    wanted = hosts_file(cloud.spec.hosts)
    hosts = cloud.made_hosts

    def look() -> dict[Host, str | Finding]:
        with current_run().threads(8) as threads:
            return dict(zip(hosts, threads.map(lambda host: _read(cloud, host), hosts), strict=True))

    def silent() -> list[Finding]:
        return [answer for answer in look().values() if isinstance(answer, Finding)]

    def apply(note: Note) -> None:
        hint = f"arbaro status {cloud.spec.name}"
        wait_until_silent(silent, what="An answer by SSH of each host", timeout=60, note=note, hint=hint)
        for host, answer in look().items():
            if answer != wanted:
                cloud.reach(host).run(["tee", "/etc/hosts"], stdin=wanted)

    def needed() -> bool:
        # A host that does not answer yet may lack names: `apply` waits for it.
        return any(answer != wanted for answer in look().values())

    return Step("Tell older hosts the names of new ones", needed, apply)


def _read(cloud: Cloud, host: Host) -> str | Finding:
    """Read a host's /etc/hosts, or find that it does not answer."""
    try:
        return cloud.reach(host).run(["cat", "/etc/hosts"], timeout=20)
    except CommandError as error:
        return Finding(host.name, error.why.splitlines()[-1] if error.why else "no SSH")
