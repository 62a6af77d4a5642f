# SPDX-License-Identifier: Apache-2.0
"""The process dnsmasq: found by its pid file, so that it outlives the agent, or may be a systemd unit of its own."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time

from oslo_log import log

from arbaro_l2isolate import privileged

LOG = log.getLogger(__name__)
PATIENCE = 2.0  # Seconds for dnsmasq to end or to write its pid file.


class DnsmasqError(RuntimeError):
    """dnsmasq did not start; the message says what it said."""


def _configuration(directory):
    return f"{directory}/dnsmasq.conf"


def _pid(directory):
    """Return the pid of the dnsmasq that serves a directory, or 0; another program under an old pid does not count."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(pathlib.Path(directory, "pid").read_text())
        if _configuration(directory).encode() in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return 0


def is_running(directory):
    """Return whether a dnsmasq serves this directory."""
    return bool(_pid(directory))


def reload(directory):
    """Make dnsmasq read the ports' files again; if there is none, start it."""
    if is_running(directory):
        _signal(directory, signal.SIGHUP)
    else:
        restart(directory)


def restart(directory):
    """End dnsmasq if it is there, and start it; DnsmasqError if it refuses its configuration or does not come up."""
    LOG.info("(Re)starting dnsmasq for %s", directory)
    _restart(directory)


@privileged.dhcp.entrypoint
def _signal(directory, number):
    pid = _pid(directory)
    if pid:
        os.kill(pid, number)


@privileged.dhcp.entrypoint
def _restart(directory):
    command = ["dnsmasq", f"--conf-file={_configuration(directory)}"]
    # Before the old one goes: a configuration that does not parse must not cost the guests their DHCP.
    test = subprocess.run([*command, "--test"], capture_output=True, text=True)
    if test.returncode:
        raise DnsmasqError(f"dnsmasq refuses {_configuration(directory)}: {test.stderr.strip()}")
    pid = _pid(directory)
    if pid:
        os.kill(pid, signal.SIGTERM)
        wait(lambda: not _pid(directory))
    # In the foreground (its log is our standard error), but in a session of its own: it stays when the agent goes.
    child = subprocess.Popen([*command, "--keep-in-foreground"], stdin=subprocess.DEVNULL, start_new_session=True)
    wait(lambda: _pid(directory) or child.poll() is not None)
    if not _pid(directory):
        raise DnsmasqError(f"dnsmasq did not come up within {PATIENCE} s; last state: exit code {child.poll()}.")


def wait(done):
    """Wait until `done`, or until patience ends; return whether it is done."""
    deadline = time.monotonic() + PATIENCE
    while not (is_done := done()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(is_done)
