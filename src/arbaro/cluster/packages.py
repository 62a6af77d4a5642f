# SPDX-License-Identifier: Apache-2.0
"""Debian packages of this machine: which are missing, and how they are installed."""

from collections.abc import Collection

from arbaro import shell
from arbaro.checks import Finding, wait_until_silent
from arbaro.errors import CommandError
from arbaro.steps import Note

#: Seconds to wait for another apt, as unattended-upgrades on a machine that was just switched on.
PATIENCE = 300


def missing(names: Collection[str]) -> list[str]:
    """Name those that are not installed; of a removed package only its configuration may be left."""
    status = shell.run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names], check=False)
    installed = {line.split()[0] for line in status.splitlines() if line.endswith(" installed")}
    return [name for name in names if name not in installed]


def install(names: Collection[str], note: Note) -> None:
    """Install those that are missing, from the machine's own apt sources. Raises CommandError."""
    wanted = missing(names)
    if not wanted:
        return
    env = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
    apt = ["apt-get", "--quiet", "--yes", "--option", f"DPkg::Lock::Timeout={PATIENCE}"]

    def update() -> list[Finding]:
        # It has a lock of its own, for which it never waits.
        try:
            shell.run([*apt, "update"], env=env, timeout=300, on_line=lambda _: None)
        except CommandError as error:
            if "/lists/lock" not in error.output:
                raise
            return [Finding("apt", "another one is reading the package lists", run="ps -C apt-get")]
        return []

    try:
        note("reading the package lists")
        wait_until_silent(update, what="Reading the package lists", timeout=PATIENCE, interval=2, note=note)
        note(f"installing {', '.join(wanted)}")
        shell.run([*apt, "install", "--no-install-recommends", *wanted], env=env, timeout=900, on_line=note)
    except CommandError as error:
        error.hint = (
            "See whether `apt-get update` works on this machine (mirror, proxy, disk), then run the same command again."
        )
        raise
