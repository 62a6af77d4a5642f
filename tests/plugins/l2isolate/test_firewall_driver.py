# SPDX-License-Identifier: Apache-2.0
"""The firewall driver between neutron's two halves.

Real: security groups and ports in ML2's database, the server's RPC endpoint, the agent's SecurityGroupAgentRpc, which loads the
driver by its name, and nft, which checks every script (nft --check, in a namespace, if root). Stands in: the wire between the
halves (JSON there and back), the kernel (`Hands`; test_functional.py has the real one).
"""

import subprocess
from unittest import mock

import ml2
from arbaro_l2isolate import options
from arbaro_l2isolate.firewall import driver, kernel, rules
from hypervisor import is_root
from neutron.agent import securitygroups_rpc as agent_side
from neutron.api.rpc.handlers import securitygroups_rpc as server_side
from neutron_lib.plugins import directory
from oslo_config import cfg
from oslo_serialization import jsonutils


class Wire:
    """The server's endpoint as the agent's RPC client would show it."""

    def security_group_info_for_devices(self, context, devices):
        endpoint = server_side.SecurityGroupServerRpcCallback()
        answer = endpoint.security_group_info_for_devices(context, devices=list(devices), call_version="1.3")
        return jsonutils.loads(jsonutils.dumps(answer))


class TestFirewallDriver(ml2.L2IsolateTestCase):
    """What a group in the API becomes on a host."""

    def setUp(self):
        super().setUp()
        options.register()
        self.scripts, self.flows, self.ended = [], [], []
        hands = {
            "apply": self.check,
            "families": lambda: [],
            "list_flows": lambda traces: self.flows,
            "end_flows": self.ended.extend,
        }
        for name, stand_in in hands.items():
            patch = mock.patch.object(kernel, name, stand_in)
            patch.start()
            self.addCleanup(patch.stop)
        cfg.CONF.set_override("firewall_driver", "l2isolate", group="SECURITYGROUP")
        self.agent = agent_side.SecurityGroupAgentRpc(self.admin, Wire(), defer_refresh_firewall=True)
        self.driver = self.agent.firewall

    def check(self, script):
        self.scripts.append(script)
        if is_root() and script.startswith("add table"):
            words = ["unshare", "--net", "nft", "--check", "-f", "-"]
            done = subprocess.run(words, input=script, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr

    def group_rule(self, group, **more):
        rule = {
            "security_group_id": group, "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "port_range_min": 22,
            "port_range_max": 22, "remote_ip_prefix": None, "remote_group_id": None, "remote_address_group_id": None,
            "project_id": "p", "tenant_id": "p", "description": "",
        }  # fmt: skip
        return directory.get_plugin().create_security_group_rule(self.admin, {"security_group_rule": {**rule, **more}})

    def filtered_port(self):
        port = self.make_port()
        device = "tap" + port["id"][:11]
        self.agent.setup_port_filters({device}, set())
        return port, device

    def test_the_name_loads_it_and_a_start_closes_all_taps(self):
        self.assertIsInstance(self.driver, driver.L2IsolateFirewallDriver)
        self.assertIn("jump from_tap", self.scripts[0])

    def test_a_port_gets_its_default_group(self):
        port, device = self.filtered_port()
        self.assertIn(f'"{device}" . {port["mac_address"]} . {port["fixed_ips"][0]["ip_address"]}', self.scripts[-1])
        group = port["security_groups"][0]
        self.assertIn(f"ingress_group_{group} ip saddr @members_{group} accept", self.scripts[-1])
        self.assertIn(f"members_{group} {{ {port['fixed_ips'][0]['ip_address']} }}", self.scripts[-1])
        self.assertIn(f"egress_group_{group} goto to_guest", self.scripts[-1])

    def test_a_new_rule_is_one_change_and_a_deleted_one_ends_its_flows(self):
        port, _ = self.filtered_port()
        group, address = port["security_groups"][0], port["fixed_ips"][0]["ip_address"]
        rule = self.group_rule(group)
        self.agent.security_groups_rule_updated([group])
        self.assertTrue(self.agent.firewall_refresh_needed())
        self.agent.setup_port_filters(set(), set())
        self.assertIn(f"ingress_group_{group} meta l4proto 6 th dport 22 accept", self.scripts[-1])
        self.assertNotIn("delete", self.scripts[-1])
        self.flows = [[6, "192.0.2.9", address, 4000, 22, 0, 0], [6, address, "192.0.2.9", 4001, 80, 0, 0]]
        directory.get_plugin().delete_security_group_rule(self.admin, rule["id"])
        self.agent.security_groups_rule_updated([group])
        self.agent.setup_port_filters(set(), set())
        self.assertEqual([self.flows[0]], self.ended)

    def test_a_port_that_leaves_takes_its_elements_along(self):
        _, device = self.filtered_port()
        self.agent.remove_devices_filter([device])
        self.assertIn("delete element inet arbaro_l2isolate ingress_of", self.scripts[-1])
        self.assertEqual({}, self.driver.ports)

    def test_a_tap_that_neutron_does_not_know_stays_closed(self):
        self.agent.setup_port_filters({"tapdeadbeef-00"}, set())
        self.assertFalse([script for script in self.scripts if "tapdeadbeef" in script])

    def test_after_a_failure_everything_is_replaced(self):
        _, first = self.filtered_port()
        with mock.patch.object(kernel, "apply", side_effect=kernel.NftError("No such file or directory")):
            self.assertRaises(kernel.NftError, self.filtered_port)
        self.agent.refresh_firewall([first])
        self.assertIn(f"delete table inet {rules.TABLE}", self.scripts[-1])
        self.assertIn(first, self.scripts[-1])
