# SPDX-License-Identifier: Apache-2.0
"""Reports to neutron-server, which devices are up and which are down: in the background, many in one message.

Neutron-server takes 0.1 s to write each of them. The loop, which waited for that in the stock agent, would meanwhile
leave new taps closed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection

from oslo_log import log

LOG = log.getLogger(__name__)
#: Neutron-server writes so many in about two seconds; what is said of a device meanwhile goes with a later message.
TOGETHER = 20
#: Seconds until what neutron-server could not take is told again.
PAUSE = 1


class Reports(threading.Thread):
    """Tells the last word on each device until neutron-server has taken it. Nothing is kept when the agent ends.

    Its next start asks neutron about all devices, and reports those that neutron does not know to be up.
    """

    def __init__(self, tell: Callable[[list[str], list[str]], Collection[str]]):
        """Take what sends devices up and devices down, and returns those that neutron-server failed on."""
        super().__init__(daemon=True)
        self._tell = tell
        self._untold: dict[str, bool] = {}
        self._telling = False
        self._changed = threading.Condition()

    def add(self, device: str, up: bool) -> None:
        """Report a device as up or down, in place of what has not been told of it yet."""
        with self._changed:
            self._untold.pop(device, None)
            self._untold[device] = up
            self._changed.notify()

    def all_are_told(self) -> bool:
        """Return whether neutron-server has taken all there was to say."""
        with self._changed:
            return not self._untold and not self._telling

    def run(self) -> None:
        """Tell for ever."""
        while True:
            told = self._take()
            failed = self._failed(told)
            with self._changed:
                self._untold = {device: told[device] for device in failed} | self._untold
                self._telling = False
            if failed:
                time.sleep(PAUSE)

    def _take(self):
        with self._changed:
            self._changed.wait_for(lambda: self._untold)
            taken = dict(list(self._untold.items())[:TOGETHER])
            self._untold = {device: up for device, up in self._untold.items() if device not in taken}
            self._telling = True
            return taken

    def _failed(self, told):
        up, down = ([device for device, is_up in told.items() if is_up is wanted] for wanted in (True, False))
        try:
            failed = self._tell(up, down)
        except Exception:
            # Whatever it was (a time-out, a broker that is away): without this thread no server would become active.
            LOG.exception("Neutron-server could not be told of %d devices; trying again", len(told))
            return told
        if failed:
            LOG.warning("Neutron-server could not take the state of %s; trying again", ", ".join(failed))
        return failed
