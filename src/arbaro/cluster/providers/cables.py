# SPDX-License-Identifier: Apache-2.0
"""The cables of a fabric: pairs of virtual interfaces between the network namespaces of two hosts.

A cable ends with either of its hosts, so nothing is left to take away, and a host that was started anew has to be
cabled anew.
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from arbaro import shell
from arbaro.cluster.spec import Cable, CloudSpec


def missing(spec: CloudSpec, pids: Mapping[str, int]) -> list[Cable]:
    """The cables that are not there. `pids` are the first processes of the hosts that run."""
    there = {host: interfaces(Path(f"/proc/{pid}/net/dev").read_text()) for host, pid in pids.items()}
    return [cable for cable in spec.cables if cable.one[1] not in there.get(cable.one[0], ())]


def interfaces(table: str) -> set[str]:
    """Read the names of interfaces from /proc/PID/net/dev."""
    return {line.split(":")[0].strip() for line in table.splitlines()[2:]}


def lay(spec: CloudSpec, pids: Mapping[str, int]) -> None:
    """Lay the missing cables, then switch on their far ends, which only their own hosts can do."""
    near: dict[str, str] = defaultdict(str)
    far: dict[str, str] = defaultdict(str)
    for cable in missing(spec, pids):
        (one, near_end), (other, far_end) = cable.one, cable.other
        near[one] += f"link add name {near_end} up type veth peer name {far_end} netns {pids[other]}\n"
        far[other] += f"link set {far_end} up\n"
    for host, commands in [*near.items(), *far.items()]:
        shell.run(["nsenter", "--target", str(pids[host]), "--net", "ip", "-batch", "-"], stdin=commands)
