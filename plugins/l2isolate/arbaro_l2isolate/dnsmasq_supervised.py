# SPDX-License-Identifier: Apache-2.0
"""dnsmasq in a container of its own, which keeps it running (images/agents/l2isolate/…/keep-dnsmasq): told by a pipe.

The agent needs no right to signal anybody, and does not even see dnsmasq's process; what it sees is its pid file.
"""

import os
import pathlib

from oslo_log import log

from arbaro_l2isolate.dnsmasq_process import PATIENCE, DnsmasqError, wait

LOG = log.getLogger(__name__)


def is_running(directory):
    """Return True: to look after it is the business of its container."""
    return True


def reload(directory):
    """Have the ports' files read again."""
    _tell(directory, "reload")


def restart(directory):
    """Have dnsmasq start anew with the files as they are; DnsmasqError if it does not come up."""
    before = _started(directory)
    if _tell(directory, "restart") and not wait(lambda: _started(directory) not in (None, before)):
        raise DnsmasqError(f"dnsmasq did not start anew within {PATIENCE} s; its own log says why.")


def _started(directory):
    """Return what changes with each start of dnsmasq, None while there is none."""
    try:
        return pathlib.Path(directory, "pid").stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _tell(directory, word):
    """Write a word into the pipe; return whether anybody reads: a container that starts later reads all anyway."""
    pipe = pathlib.Path(directory, "control")
    try:
        descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        LOG.warning("Nobody listens at %s (%s): is dnsmasq's container running?", pipe, error.strerror)
        return False
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{word}\n")
    return True
