# SPDX-License-Identifier: Apache-2.0
"""Type and mechanism driver inside a real ML2 plug-in of Zed; ml2.py says what is real and what stands in."""

import ml2
from arbaro_l2isolate import names
from arbaro_l2isolate.mech_driver import L2IsolateMechanismDriver
from arbaro_l2isolate.type_driver import L2IsolateTypeDriver
from neutron.plugins.ml2 import rpc as ml2_rpc
from neutron_lib.api.definitions import portbindings, provider_net


class TestDrivers(ml2.L2IsolateTestCase):
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


class TestTenants(ml2.L2IsolateTestCase):
    """Tenants cannot make routed networks of their own."""

    def test_no_tenant_network(self):
        driver = self.plugin.type_manager.drivers["l2isolate"].obj
        self.assertIsNone(driver.allocate_tenant_segment(self.admin))
