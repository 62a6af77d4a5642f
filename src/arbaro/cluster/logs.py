# SPDX-License-Identifier: Apache-2.0
"""The journals of a cloud's hosts, one or all of them, each line with its host."""

import signal
from collections.abc import Sequence

from arbaro import output, shell
from arbaro.cluster.cloud import Cloud
from arbaro.hosts import Host
from arbaro.runs import current_run


def show(cloud: Cloud, hosts: Sequence[Host], service: str | None, *, follow: bool, lines: int) -> None:
    """Print the journal of these hosts; one host gets the terminal itself, several are merged."""
    command = [
        "journalctl",
        "--no-hostname",
        "--output=short-iso",
        f"--lines={lines}",
        *(["--unit", service] if service else []),
    ]
    if follow:
        command.append("--follow")
    else:
        command.append("--no-pager")
    if len(hosts) == 1:
        shell.become(cloud.reach(hosts[0]).command(command))
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    width = max(len(host.name) for host in hosts)

    def one(host: Host) -> None:
        shell.run(
            cloud.reach(host).command(command),
            timeout=86400,
            check=False,
            on_line=lambda line: output.say(f"{host.name.ljust(width)}  {line}"),
        )

    with current_run().threads(len(hosts)) as threads:
        list(threads.map(one, hosts))
