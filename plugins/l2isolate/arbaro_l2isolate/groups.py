# SPDX-License-Identifier: Apache-2.0
"""Security groups: what neutron's stock agent asks for each port is asked once for all ports with the same groups.

Neutron's answer about a port holds the port, the rules of its groups, and the members of all groups that these name.
The stock agent asks so for each port of a group whenever a member comes or goes: with a thousand ports of one group on
a host, each server that starts anywhere costs neutron-server a minute for that host alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from neutron.agent import securitygroups_rpc as agent_rpc
from neutron.api.rpc.handlers import securitygroups_rpc as server_rpc
from oslo_config import cfg

from arbaro_l2isolate.listing import Listing

KINDS = ("devices", "security_groups", "sg_member_ips")


class GroupsApi(server_rpc.SecurityGroupServerRpcApi):
    """The stock call, but ports that this turn's list holds are answered out of it."""

    def __init__(self, topic, listing: Callable[[], Listing]):
        """Take the topic of neutron-server's plug-in, and what returns the list of this turn."""
        super().__init__(topic)
        self._listing = listing

    def security_group_info_for_devices(self, context, devices):
        """Return ports, rules and members for devices (neutron/db/securitygroups_rpc_base.py has the form)."""
        listing = self._listing()
        groups = listing.groups(devices)
        info = self._ask(context, [device for device in devices if device not in groups])
        # The stock agent comes with twenty devices at a time.
        untold = {device: of for device, of in groups.items() if of not in listing.told}
        _add(info, self.groups_of(context, untold, listing.forget))
        listing.told |= {untold[port["device"]] for port in info["devices"].values() if port["device"] in untold}
        info["devices"] |= listing.filtered(devices)
        return info

    def groups_of(self, context, groups: Mapping[str, frozenset[str]], unknown: Callable[[str], None]):
        """Return what is to be known of the groups of devices, with one device asked for each set of them.

        `unknown` is called for a device that neutron no longer knows; then another one is asked for its groups.
        """
        info = {kind: {} for kind in KINDS}
        waiting = dict(groups)
        while asked := {of: device for device, of in waiting.items()}:
            answer = self._ask(context, list(asked.values()))
            _add(info, answer)
            known = {port["device"] for port in answer["devices"].values()}
            for device in set(asked.values()) - known:
                unknown(device)
            told = {of for of, device in asked.items() if device in known}
            waiting = {device: of for device, of in waiting.items() if of not in told and device not in asked.values()}
        return info

    def _ask(self, context, devices):
        info = {kind: {} for kind in KINDS}
        step = cfg.CONF.rpc_resources_processing_step
        for start in range(0, len(devices), step):
            _add(info, super().security_group_info_for_devices(context, devices[start : start + step]))
        return info


class SecurityGroupAgent(agent_rpc.SecurityGroupAgentRpc):
    """The stock agent, but a change in a group is asked for once, not for each of its ports."""

    def __init__(self, context, groups_api: GroupsApi):
        """Take the agent's context and the calls above."""
        self._changed: set[str] = set()
        self._referred: dict[str, frozenset[str]] = {}
        super().__init__(context, groups_api, defer_refresh_firewall=True)

    def security_groups_rule_updated(self, security_groups):
        """Ask for these groups in the loop's next turn."""
        self._changed |= set(security_groups)

    security_groups_member_updated = security_groups_rule_updated

    def firewall_refresh_needed(self):
        """Return whether something has changed since the loop's last turn."""
        return bool(self._changed) or super().firewall_refresh_needed()

    def setup_port_filters(self, new_devices, updated_devices):
        """Filter new and changed ports as the stock agent does, then bring changed groups up to date."""
        # Taken first: what changes while neutron is being asked has to be asked for again.
        changed, self._changed = self._changed, set()
        super().setup_port_filters(new_devices, updated_devices)
        concerned = {
            port["device"]: frozenset(port["security_groups"])
            for port in self.firewall.ports.values()
            if changed & self._with_referred(port["security_groups"])
        }
        if concerned:
            self._refresh(concerned)

    def _with_referred(self, groups: Iterable[str]) -> set[str]:
        return set(groups).union(*(self._referred.get(group, ()) for group in groups))

    def _refresh(self, concerned):
        info = self.plugin_rpc.groups_of(self.context, concerned, unknown=lambda _: None)
        with self.firewall.defer_apply():
            self._update_security_group_info(info["security_groups"], info["sg_member_ips"])

    def _update_security_group_info(self, security_groups, security_group_member_ips):
        """Take rules and members, and remember which groups' members the rules refer to."""
        for group, rules in security_groups.items():
            remote = {rule.get("remote_group_id") or rule.get("remote_address_group_id") for rule in rules}
            self._referred[group] = frozenset(remote - {None})
        super()._update_security_group_info(security_groups, security_group_member_ips)


def _add(info, more):
    for kind in KINDS:
        info[kind] |= more[kind]
