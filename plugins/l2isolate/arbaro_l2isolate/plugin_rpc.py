# SPDX-License-Identifier: Apache-2.0
"""Neutron's calls from the agent to neutron-server, with what is said of many devices in one message."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from neutron.agent import rpc
from oslo_config import cfg


class ReportsFailed(Exception):
    """Neutron-server could not take the state of some devices; the common loop starts over with all of them."""


class PluginApi(rpc.PluginApi):
    """The stock calls, but for one thing: within `reports_at_once` devices are reported together, at its end.

    The stock loop reports one by one: at a start with 1,000 taps a thousand messages, each waited for.
    """

    def __init__(self, topic):
        """Take the topic of neutron-server's plug-in."""
        super().__init__(topic)
        # One batch for each thread: a message may come in on another one while the loop is in the middle of its own.
        self._batch = threading.local()

    @contextlib.contextmanager
    def reports_at_once(self, context, agent_id) -> Iterator[None]:
        """Collect the reports of this thread, and send them also when what follows has failed. Raises ReportsFailed."""
        self._batch.up, self._batch.down = [], []
        try:
            yield
        finally:
            up, down = self._batch.up, self._batch.down
            del self._batch.up, self._batch.down
            self._report(context, up, down, agent_id)

    def _report(self, context, up, down, agent_id):
        if not up and not down:
            return
        told = self.update_device_list(context, up, down, agent_id, cfg.CONF.host)
        failed = [*told["failed_devices_up"], *told["failed_devices_down"]]
        if failed:
            raise ReportsFailed(f"neutron-server could not take the state of {', '.join(failed)}")

    def update_device_up(self, context, device, agent_id, host=None):
        """Report a device as up, now or with the batch."""
        if hasattr(self._batch, "up"):
            self._batch.up.append(device)
            return None
        return super().update_device_up(context, device, agent_id, host)

    def update_device_down(self, context, device, agent_id, host=None):
        """Report a device as down, now or with the batch; says what neutron-server said, in a batch nothing."""
        if hasattr(self._batch, "down"):
            self._batch.down.append(device)
            return None
        return super().update_device_down(context, device, agent_id, host)
