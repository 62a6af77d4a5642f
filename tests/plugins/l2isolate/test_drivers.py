# SPDX-License-Identifier: Apache-2.0
"""Type and mechanism driver inside a real ML2 plug-in of Zed.

Real: stevedore, ML2 with its managers, API and database (sqlite), the agent's record, port binding. Stands in: nothing but what
neutron's own unit tests replace (RPC, notifiers), through neutron's own base class.
"""

import datetime

from neutron.plugins.ml2 import rpc as ml2_rpc
from neutron.tests.unit.plugins.ml2 import test_plugin
from neutron_lib import context, constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.api.definitions import provider_net
from neutron_lib.plugins import directory
from oslo_config import cfg
from oslo_utils import timeutils

from arbaro_l2isolate import names
from arbaro_l2isolate.mech_driver import L2IsolateMechanismDriver
from arbaro_l2isolate.type_driver import L2IsolateTypeDriver

ADMIN = {portbindings.HOST_ID: "hv1", "admin_state_up": True}


class L2IsolateTestCase(test_plugin.Ml2PluginV2TestCase):
    """An ML2 plug-in with our two drivers and one agent that is alive on hv1."""

    _mechanism_drivers = ["l2isolate"]

    def setUp(self):
        cfg.CONF.set_override("type_drivers", ["l2isolate", "local"], group="ml2")
        cfg.CONF.set_override("tenant_network_types", ["local"], group="ml2")
        super().setUp()
        self.plugin = directory.get_plugin()
        self.admin = context.get_admin_context()
        self.register_agent("hv1")

    def register_agent(self, host):
        state = {
            "binary": names.AGENT_BINARY,
            "host": host,
            "topic": constants.L2_AGENT_TOPIC,
            "configurations": {},
            "agent_type": names.AGENT_TYPE,
            "start_flag": True,
        }
        now = timeutils.utcnow()
        self.plugin.create_or_update_agent(self.admin, state, now + datetime.timedelta(seconds=1))

    def make_network(self, **extra):
        attributes = {provider_net.NETWORK_TYPE: "l2isolate", **extra}
        return self._create_network(self.fmt, "routed", True, arg_list=tuple(attributes), **attributes)

    def make_port(self, host="hv1", **extra):
        network = self.deserialize(self.fmt, self.make_network())
        self._make_subnet(self.fmt, network, "10.64.1.1", "10.64.1.0/24")
        attributes = {portbindings.HOST_ID: host, "device_owner": "compute:nova", **extra}
        response = self._create_port(self.fmt, network["network"]["id"], arg_list=tuple(attributes), **attributes)
        return self.deserialize(self.fmt, response)["port"]


class TestDrivers(L2IsolateTestCase):
    """What neutron makes of them."""

    def test_stevedore_finds_them_by_name(self):
        self.assertIsInstance(self.plugin.type_manager.drivers["l2isolate"].obj, L2IsolateTypeDriver)
        self.assertIsInstance(self.plugin.mechanism_manager.mech_drivers["l2isolate"].obj, L2IsolateMechanismDriver)

    def test_a_network_has_no_number_and_the_whole_mtu(self):
        network = self.deserialize(self.fmt, self.make_network())["network"]
        self.assertEqual("l2isolate", network[provider_net.NETWORK_TYPE])
        self.assertIsNone(network[provider_net.SEGMENTATION_ID])
        self.assertIsNone(network[provider_net.PHYSICAL_NETWORK])
        self.assertEqual(1500, network["mtu"])

    def test_a_segmentation_id_is_refused(self):
        response = self.make_network(**{provider_net.SEGMENTATION_ID: 7})
        self.assertEqual(400, response.status_int)
        self.assertIn("prohibited", response.text)

    def test_a_port_is_bound_to_a_tap_with_the_mac_that_libvirt_would_give(self):
        port = self.make_port()
        self.assertEqual("tap", port[portbindings.VIF_TYPE])
        details = port[portbindings.VIF_DETAILS]
        self.assertTrue(details["port_filter"])
        self.assertEqual("l3", details["connectivity"])
        self.assertEqual("fe" + port["mac_address"][2:], details["mac_address"])

    def test_a_port_is_not_bound_where_no_agent_lives(self):
        self.assertEqual("binding_failed", self.make_port(host="hv9")[portbindings.VIF_TYPE])

    def test_the_agent_is_told_addresses_and_alone_makes_the_port_active(self):
        port = self.make_port()
        callbacks = ml2_rpc.RpcCallbacks(None, None)
        asked = {"devices": [names.tap_of(port["id"])], "agent_id": "l2isolate-hv1", "host": "hv1"}
        (details,) = callbacks.get_devices_details_list(self.admin, **asked)
        self.assertEqual(("l2isolate", port["id"]), (details["network_type"], details["port_id"]))
        self.assertEqual([f["ip_address"] for f in port["fixed_ips"]], [f["ip_address"] for f in details["fixed_ips"]])
        self.assertEqual("DOWN", port["status"])
        callbacks.update_device_up(self.admin, device=names.tap_of(port["id"]), agent_id="l2isolate-hv1", host="hv1")
        self.assertEqual("ACTIVE", self.plugin.get_port(self.admin, port["id"])["status"])

    def test_another_host_hears_that_the_port_is_not_active_there(self):
        port = self.make_port()
        self.register_agent("hv2")
        asked = {"devices": [names.tap_of(port["id"])], "agent_id": "l2isolate-hv2", "host": "hv2"}
        (details,) = ml2_rpc.RpcCallbacks(None, None).get_devices_details_list(self.admin, **asked)
        self.assertNotIn("port_id", details)
        self.assertTrue(details["no_active_binding"])


class TestTenants(L2IsolateTestCase):
    """Tenants cannot make routed networks of their own."""

    def test_no_tenant_network(self):
        driver = self.plugin.type_manager.drivers["l2isolate"].obj
        self.assertIsNone(driver.allocate_tenant_segment(self.admin))


# Not collected a second time under the names they are imported by.
del L2IsolateTestCase
