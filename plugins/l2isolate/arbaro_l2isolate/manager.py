# SPDX-License-Identifier: Apache-2.0
"""The manager behind neutron's common agent loop: remembers what neutron said, and makes the host so.

The loop tells it about devices one by one; `serve` takes a whole batch, so that a hundred taps are programmed before
the first of a hundred messages goes back to neutron-server.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Collection, Mapping

from neutron.plugins.ml2.drivers.agent import _agent_manager_base as base
from neutron_lib.agent import topics
from oslo_log import log

from arbaro_l2isolate import dnsmasq, names, planner, ports
from arbaro_l2isolate.arrivals import HOLD_SECONDS, Arrivals
from arbaro_l2isolate.callbacks import L2IsolateCallbacks
from arbaro_l2isolate.failures import Failures

LOG = log.getLogger(__name__)
NOBODY: Mapping = {}


class L2IsolateManager(base.CommonAgentManagerBase):
    """State: neutron's last word on each tap. All of it can be asked for again, so nothing is kept on disk."""

    def __init__(self, settings, taps, dhcp, host, subnets=None, clock=time.monotonic):
        """Take the [l2isolate] options, the hands for taps and DHCP, the host's name; `subnets` may come later."""
        self.settings, self.taps, self.dhcp, self.host = settings, taps, dhcp, host
        self.subnets = subnets
        self._clock = clock
        self._lock = threading.RLock()
        self._wanted: dict = {}
        self._details: dict[str, Mapping] = {}
        self._left_gateways: dict[str, frozenset[str]] | None = None
        self._out_of_order: set[str] = set()
        self._dhcp_is_due = False
        self._failures = Failures()
        self._elevated_until: dict[str, float] = {}
        self._arrivals = Arrivals(taps.frames_sent, clock)
        self._next_comparison = clock() + settings.reconcile_interval

    # What neutron says.

    def serve(self, answers: Collection[Mapping], coming: Mapping[str, planner.WantedTap] = NOBODY) -> None:
        """Take neutron's answers about devices and make their taps so, all in one go.

        `coming` are those among them whose port is active elsewhere and whose server is on its way here.
        """
        known = self.subnets.get(set().union(*(ports.subnet_ids(details) for details in answers)))
        with self._lock:
            for details in answers:
                self._hear(details, known, coming.get(details["device"]))
            self._compare({details["device"] for details in answers})
            self._write_dhcp()

    def _hear(self, details, known, coming):
        name = details["device"]
        if ports.is_here(details) and details.get("network_type") == names.NETWORK_TYPE:
            self._want(ports.wanted_tap(details, known))
            self._details[name] = details
            self._arrivals.forget({name})
        elif coming and self._arrivals.has_come_or_expect(coming):
            self._want(coming)
        else:
            self._wanted = planner.told_not_here(self._wanted, name)
            self._details.pop(name, None)
            if not coming:
                self._arrivals.forget({name})

    def _want(self, tap):
        elevated = self._elevated_until.get(tap.name, 0) > self._clock()
        self._wanted = planner.told_here(self._wanted, dataclasses.replace(tap, elevated=elevated))

    def withdraw(self, name: str) -> None:
        """Take the routes to a server away at once: it has just become active on another host."""
        with self._lock:
            self._arrivals.forget({name})
            self._wanted = planner.told_not_here(self._wanted, name)
            self._compare({name})

    def elevate(self, name: str) -> None:
        """Prefer this host for a server that has just become active here, for the configured time."""
        self._elevate_for(name, self.settings.elevated_seconds)

    def _elevate_for(self, name, seconds):
        if self.settings.elevated_seconds:
            self._elevated_until[name] = self._clock() + seconds

    def expects_any(self) -> bool:
        """Say whether a server may be on its way here."""
        return self._arrivals.expects_any()

    def welcome(self) -> None:
        """Set the routes to servers that have come: they are here, and neutron will hear of it in a moment."""
        # A server that has come and gets no route here gets it when it is activated.
        with self._failures.survived("Setting the routes to servers that have come"), self._lock:
            come = self._arrivals.take()
            for tap in come:
                LOG.info("%s: its server has come, before neutron calls it active here", tap.name)
                self._elevate_for(tap.name, HOLD_SECONDS)
                self._want(tap)
            if come:
                self._compare({tap.name for tap in come})

    def users_of_changed_subnets(self) -> set[str]:
        """Return the taps with an address in a subnet whose gateway, DNS servers or routes may be others now."""
        changed = self.subnets.changed()
        with self._lock:
            return {name for name, details in self._details.items() if changed & ports.subnet_ids(details)}

    def gateways(self) -> dict[str, frozenset[str]]:
        """Return each tap's addresses on this side: as neutron wants them, or as an earlier agent left them."""
        with self._lock:
            if self._left_gateways is None:
                self._left_gateways = {name: tap.addresses for name, tap in self.taps.find_taps().items()}
            left = {name: own for name, own in self._left_gateways.items() if name not in self._wanted}
            return {**left, **{name: tap.gateways for name, tap in self._wanted.items() if tap}}

    # What the host is like.

    def _compare(self, only: Collection[str] | None = None) -> list[planner.Action]:
        """Make taps (default: all) as wanted; return what had to be done."""
        found = self.taps.find_taps(only)
        actions = planner.plan(self._wanted, found)
        refused = self.taps.change_taps(actions) if actions else []
        for action, reason in refused:
            LOG.error("%s: the kernel refused %s %s: %s", action.tap, action.verb, action.value, reason)
        # A tap that has gone meanwhile is not in order either: the loop will hear of it.
        self._out_of_order -= found.keys()
        self._out_of_order |= {action.tap for action, _ in refused} | (set(only or ()) - found.keys())
        return actions

    def _write_dhcp(self):
        """Make dnsmasq's files so; `serve` has asked neutron about the subnets, so that nobody waits for it here."""
        self._dhcp_is_due = True
        leases = dnsmasq.wanted_leases(self._details.values(), self.subnets.remembered(self._subnets_in_use()))
        complete = self.taps.tap_names() <= self._wanted.keys()
        self.dhcp.make(dnsmasq.render(leases, self.settings), complete)
        self._dhcp_is_due = False

    def _subnets_in_use(self):
        return set().union(*(ports.subnet_ids(details) for details in self._details.values()))

    def tick(self) -> None:
        """Do what is due without a message: end preferences, look at dnsmasq, compare everything now and then.

        The one must not wait for the other: a host without dnsmasq has routes all the same.
        """
        for deed, do in (
            ("Ending preferences and arrivals", self._settle),
            ("Comparing all taps with what neutron wants", self._compare_now_and_then),
            ("Looking after dnsmasq", self._look_after_dhcp),
        ):
            with self._failures.survived(deed), self._lock:
                do()

    def _look_after_dhcp(self):
        if self._dhcp_is_due:
            self._write_dhcp()
        self.dhcp.look_after()

    def _settle(self):
        for name in [name for name, until in self._elevated_until.items() if until <= self._clock()]:
            del self._elevated_until[name]
            self._wanted = planner.settled(self._wanted, name)
            self._compare({name})
        overdue = self._arrivals.take_overdue()
        for name in overdue:
            LOG.warning("%s: its server has come, but neutron calls it active elsewhere: no route to it any more", name)
            self._wanted = planner.told_not_here(self._wanted, name)
        if overdue:
            self._compare(overdue)

    def _compare_now_and_then(self):
        if self._clock() >= self._next_comparison:
            self._next_comparison = self._clock() + self.settings.reconcile_interval
            drift = self._compare()
            if drift:
                LOG.warning("Somebody else had changed taps; mended: %s", drift)

    # What the loop asks for (CommonAgentManagerBase).

    def get_all_devices(self):
        """Return the names of all taps on this host."""
        return self.taps.tap_names()

    def get_devices_modified_timestamps(self, devices):
        """Return interface indices as "timestamps": a tap made anew under its old name (rebuild) has another one."""
        self.tick()
        with self._lock:
            indices = self.taps.tap_indices()
            # The loop never hears of a tap that was served at once (`binding_activate`) and left before its next turn.
            self._forget(self._wanted.keys() - indices.keys())
        return {name: index for name, index in indices.items() if name in devices}

    def plug_interface(self, network_id, network_segment, device, device_owner):
        """Return whether a tap is as neutron wants it; `serve` has made it so."""
        return self._wanted.get(device) is not None and device not in self._out_of_order

    def setup_arp_spoofing_protection(self, device, device_details):
        """Do nothing: the firewall knows each tap's addresses, and `serve` has done the rest."""

    def delete_arp_spoofing_protection(self, devices):
        """Forget taps that have left this host, and their leases."""
        with self._lock:
            self._forget(devices)

    def _forget(self, devices):
        if not devices:
            return
        self._wanted = planner.forgotten(self._wanted, devices)
        self._arrivals.forget(devices)
        for name in devices:
            self._details.pop(name, None)
            self._elevated_until.pop(name, None)
            self._out_of_order.discard(name)
            (self._left_gateways or {}).pop(name, None)
        self._dhcp_is_due = True
        with self._failures.survived("Taking leases away"):
            self._write_dhcp()

    def delete_unreferenced_arp_protection(self, current_devices):
        """Do nothing: what belongs to a tap goes with the tap, and a start removes nothing."""

    def ensure_port_admin_state(self, device, admin_state_up):
        """Do nothing: `up` is part of what is wanted of a tap."""

    def get_agent_configurations(self):
        """Return nothing: each host reaches every network of our type."""
        return {}

    def get_agent_id(self):
        """Return the agent's id: one agent for each host."""
        return f"l2isolate-{self.host}"

    def get_extension_driver_type(self):
        """Return the name under which L2 agent extensions know us."""
        return names.EXTENSION_DRIVER_TYPE

    def get_agent_api(self, **kwargs):
        """Return None: no extension needs anything of ours yet."""

    def get_rpc_callbacks(self, context, agent, sg_agent):
        """Return the object that takes neutron-server's messages."""
        return L2IsolateCallbacks(context, agent, sg_agent)

    def get_rpc_consumers(self):
        """Return the topics to listen to: ports, networks, security groups, and which host a port is active on."""
        return [
            [topics.PORT, topics.UPDATE],
            [topics.PORT, topics.DELETE],
            [topics.NETWORK, topics.UPDATE],
            [topics.SECURITY_GROUP, topics.UPDATE],
            [topics.PORT_BINDING, topics.DEACTIVATE],
            [topics.PORT_BINDING, topics.ACTIVATE],
        ]
