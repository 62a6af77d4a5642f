# SPDX-License-Identifier: Apache-2.0
"""A neutron-server and an agent, whole but for their threads and the kernel.

Real: ML2 with its database, all that it sends (agents' topics, pushed objects), all that it answers, the agent with its manager, firewall
driver and messages. Stands in: the messages' transport (bus.py), the kernel, dnsmasq's files (test_manager.py), reports of states.
"""

import collections
import contextlib
from unittest import mock

import ml2
import test_manager
from arbaro_l2isolate import agent, names, options
from arbaro_l2isolate.firewall import kernel
from arbaro_l2isolate.manager import L2IsolateManager
from bus import Bus
from neutron.api.rpc.callbacks.consumer import registry
from neutron.plugins.ml2 import ovo_rpc
from neutron_lib import context as contexts
from oslo_config import cfg
from test_many_devices import in_force

HANDS = {
    "apply": lambda _: None,
    "families": lambda: ["arp", "inet"],
    "list_flows": lambda _: [],
    "end_flows": lambda _: None,
}


class WholeAgentTestCase(ml2.L2IsolateTestCase):
    """Two ports on this host and one elsewhere, and an agent that knows them."""

    def setUp(self):
        cfg.CONF.set_override("extension_drivers", ["port_security"], group="ml2")
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.bus = stack.enter_context(Bus(contexts.get_admin_context()).joined())
        super().setUp()
        self.ovo_push_interface_p.stop()
        self.addCleanup(self.ovo_push_interface_p.start)
        # It would take the signals of this process.
        with mock.patch.object(ovo_rpc, "_setup_change_handlers_cleanup"):
            self.pushes = ovo_rpc.OVOServerRpcInterface()
        for handler in self.pushes._resource_handlers.values():
            self.addCleanup(handler.stop)
        self.plugin.start_rpc_listeners()
        options.register()
        cfg.CONF.set_override("host", "hv1")
        cfg.CONF.set_override("firewall_driver", "l2isolate", group="SECURITYGROUP")
        for name, stand_in in HANDS.items():
            stack.enter_context(mock.patch.object(kernel, name, stand_in))
        self.addCleanup(registry.clear)
        self.register_agent("hv2")
        self.network = self.deserialize(self.fmt, self.make_network())["network"]
        self.subnet = self._make_subnet(self.fmt, {"network": self.network}, "10.64.1.1", "10.64.1.0/24")["subnet"]
        self.addresses = self.plugin.create_address_group(
            self.admin,
            {"address_group": {"name": "a", "description": "", "addresses": ["192.0.2.1/32"], "project_id": "p"}},
        )["id"]
        self.web = self.group()
        self.friends = self.group()
        self.rule = self.add_rule(self.web, remote_address_group_id=self.addresses)
        self.add_rule(self.web, remote_group_id=self.friends)
        self.here = self.port(security_groups=[self.web])
        self.neighbour = self.port(security_groups=[self.web])
        self.friend = self.port(host="hv2", security_groups=[self.friends])
        self.host = test_manager.Hands()
        for port in (self.here, self.neighbour):
            self.host.make(names.tap_of(port["id"]))
        self.agent = self.started()
        self.turn(self.agent)
        self.bus.sent.clear()

    def group(self, **words):
        group = {"name": "g", "description": "", "tenant_id": self._tenant_id, "stateful": True, **words}
        return self.plugin.create_security_group(self.admin, {"security_group": group})["id"]

    def add_rule(self, group, **words):
        rule = {
            "security_group_id": group, "direction": "ingress", "ethertype": "IPv4", "protocol": None, "port_range_min": None,
            "port_range_max": None, "remote_ip_prefix": None, "remote_group_id": None, "remote_address_group_id": None,
            "tenant_id": self._tenant_id, "project_id": self._tenant_id, "description": "", **words,
        }  # fmt: skip
        return self.plugin.create_security_group_rule(self.admin, {"security_group_rule": rule})["id"]

    def port(self, host="hv1", **extra):
        attributes = {"binding:host_id": host, "device_owner": "compute:nova", **extra}
        response = self._create_port(self.fmt, self.network["id"], arg_list=tuple(attributes), **attributes)
        return self.deserialize(self.fmt, response)["port"]

    def started(self):
        """Return an agent that has started, and not had a turn yet."""
        manager = L2IsolateManager(test_manager.SETTINGS, self.host, test_manager.Files(), "hv1", clock=lambda: 0.0)
        made = agent.L2IsolateAgent(manager, 1, 1, names.AGENT_TYPE, names.AGENT_BINARY)
        made.context, made.fullsync, made.agent_state = self.admin, False, {}
        made.network_ports, made.ext_manager = collections.defaultdict(list), mock.Mock()
        made.setup_rpc()
        made.plugin_rpc.reports = mock.Mock()
        made.info, made.is_out_of_step = None, True
        return made

    def scan_and_process(self, one):
        """Do what daemon_loop does in a turn, which the agent's thread would not survive if it raised here."""
        sync = one.is_out_of_step or one.fullsync
        one.fullsync = False
        one.info = one.scan_devices(one.info, sync)
        one.is_out_of_step = False
        if one._device_info_has_changes(one.info) or one.sg_agent.firewall_refresh_needed():
            one.is_out_of_step = one.process_network_devices(one.info)

    def turn(self, one):
        """Let an agent go through a turn in which nothing fails."""
        self.scan_and_process(one)
        assert not one.is_out_of_step and not one.fullsync

    def state(self, one):
        """Return all that an agent makes of its host."""
        return in_force(one.sg_agent.firewall), one.mgr.gateways(), dict(self.host.taps), one.mgr.dhcp.found

    def takes_hold(self, title, change):
        """Check that a change is in force after a turn, and that it was one."""
        self.bus.sent.clear()
        before = self.state(self.agent)
        change()
        self.pushes.wait()
        self.turn(self.agent)
        after = self.state(self.agent)
        fresh = self.started()
        self.turn(fresh)
        assert after == self.state(fresh), f"{title}: not in force; neutron-server sent {self.bus.sent}"
        assert before != after, f"{title}: nothing has changed"
