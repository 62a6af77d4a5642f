# SPDX-License-Identifier: Apache-2.0
"""Neutron's firewall driver `l2isolate`: keeps what neutron said, and applies the difference at once."""

from __future__ import annotations

from collections.abc import Mapping

from neutron.agent import firewall
from oslo_config import cfg
from oslo_log import log

from arbaro_l2isolate import options
from arbaro_l2isolate.firewall import changes, flows, kernel, rules
from arbaro_l2isolate.firewall import policy as policies

LOG = log.getLogger(__name__)


class L2IsolateFirewallDriver(firewall.FirewallDriver):
    """Neutron calls it with dictionaries between `defer_apply` on and off; nothing reaches the kernel before off.

    The first time, everything replaces what an earlier agent left, between two packets; until then that stays in force.
    """

    provides_arp_spoofing_protection = True

    def __init__(self, integration_bridge=None, hands=kernel):
        """Close all taps if no earlier agent has left rules for them."""
        options.register()
        self._hands = hands
        self._devices: dict = {}
        self._ports: dict[str, policies.Port] = {}
        self._groups: dict[str, tuple] = {}
        self._stateless: set[str] = set()
        self._members: dict[str, frozenset[str]] = {}
        self._gateways: dict[str, frozenset[str]] = {}
        self._applied: rules.Ruleset | None = None
        self._may_have_narrowed = False
        self._is_due = False
        self._departed: set[str | int] = set()
        self._deferred = False
        if "inet" not in hands.families():
            hands.apply(changes.replacement(self._render()))

    # What neutron says.

    @property
    def ports(self):
        """Return neutron's dictionaries of the filtered ports, by device."""
        return self._devices

    def prepare_port_filter(self, port):
        """Filter a port."""
        old = self._ports.get(port["device"])
        new = policies.port_of(port)
        if old:
            self._departed |= old.traces - new.traces
        self._devices[port["device"]] = port
        self._ports[port["device"]] = new
        self._apply_unless_deferred()

    update_port_filter = prepare_port_filter
    apply_port_filter = prepare_port_filter

    def remove_port_filter(self, port):
        """Stop serving a port: nothing passes any more, and its flows end."""
        if self._devices.pop(port["device"], None):
            self._departed |= self._ports.pop(port["device"]).traces
            self._apply_unless_deferred()

    def update_security_group_rules(self, sg_id, sg_rules):
        """Take a group's rules."""
        self._groups[sg_id] = policies.rules_of(sg_rules)
        self._stateless.discard(sg_id)
        if policies.is_stateless(sg_rules):
            self._stateless.add(sg_id)

    def update_security_group_members(self, sg_id, ips):
        """Take the addresses of a remote group (security group or address group)."""
        self._members[sg_id] = policies.members_of(ips)

    def set_gateways(self, gateways: Mapping[str, frozenset[str]]):
        """Take each tap's addresses on the host's side, which neutron tells to the agent, but not to its firewall."""
        if gateways != self._gateways:
            self._gateways = dict(gateways)
            # Before neutron has spoken of ports, what an earlier agent left stays in force.
            if self._applied is not None or self._is_due:
                self._apply()

    def security_group_updated(self, action_type, sec_group_ids, device_id=None):
        """Do nothing: the agent asks neutron-server again and calls the methods above."""

    def process_trusted_ports(self, port_ids):
        """Do nothing: neutron also calls "trusted" what it does not know. A tap without a known port stays closed."""

    def remove_trusted_ports(self, port_ids):
        """Do nothing: see process_trusted_ports."""

    def filter_defer_apply_on(self):
        """Collect changes from here on."""
        self._deferred = True

    def filter_defer_apply_off(self):
        """Apply what was collected."""
        self._deferred = False
        self._apply()

    # What the kernel holds.

    def _apply_unless_deferred(self):
        if not self._deferred:
            self._apply()

    def _policy(self):
        return policies.Policy(self._ports, self._groups, self._members, frozenset(self._stateless), self._gateways)

    def _render(self):
        settings = cfg.CONF.l2isolate
        return rules.render(self._policy(), (settings.metadata_address, settings.metadata_port))

    def _apply(self):
        """Make kernel and flows so. What fails is due until it has worked (`look_after`)."""
        self._is_due = True
        before, after = self._applied, self._render()
        if before != after:
            # Not known again until it has worked: after a failure, the next time replaces everything.
            self._applied = None
            self._may_have_narrowed |= before is None or flows.has_narrowed(before, after)
            self._to_kernel(before, after)
            self._applied = after
        if self._may_have_narrowed or self._departed:
            self._end_revoked_flows()
            self._may_have_narrowed = False
        self._is_due = False

    def look_after(self):
        """Put the rules back if somebody has flushed them (restarting nftables.service does): taps would stand open.

        And do again what has failed.
        """
        gone = sorted(set(changes.FAMILIES) - set(self._hands.families()))
        # Before neutron has spoken, what an earlier agent left of the rules is better than none for anybody.
        if gone and (self._applied is not None or "inet" in gone):
            where = " and ".join(gone)
            LOG.error("Table %s has gone from %s: somebody flushed nftables. Putting it back.", rules.TABLE, where)
            self._applied, self._is_due = None, True
        if self._is_due:
            self._apply()

    def _to_kernel(self, before, after):
        if before is not None:
            try:
                return self._hands.apply(changes.changes(before, after))
            except kernel.NftError as error:
                LOG.warning("The kernel's rules are not what we left there; replacing them all. nft said: %s", error)
        return self._hands.apply(changes.replacement(after))

    def _end_revoked_flows(self):
        present = set().union(*(port.traces for port in self._ports.values()))
        departed = self._departed - present
        policy = self._policy()
        tracked = self._hands.list_flows([*present, *departed])
        ended = flows.revoked(policy, (flows.Flow(*fields) for fields in tracked), departed)
        if ended:
            LOG.info("Ending %d flows that are no longer allowed", len(ended))
            self._hands.end_flows([list(flow) for flow in ended])
        self._departed = set()
