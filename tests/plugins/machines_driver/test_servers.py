# SPDX-License-Identifier: Apache-2.0
"""A server's life on a physical machine, through nova's API."""

import base64
import json

from cloud import IMAGE, Cloud, as_the_role_writes_it
from nova import context as nova_context
from nova import exception
from nova.compute import power_state
from nova.console import websocketproxy

#: Not text, so that nothing on the way may think that it is.
SCRIPT = b"#!/bin/sh\necho from-user-script\n\xff\x00"


class Life(Cloud):
    """One server at a time."""

    def test_from_create_to_delete(self):
        server = self.create(user_data=base64.b64encode(SCRIPT).decode())
        machine = self.machine_of(server)
        self.assertEqual(("active", "on"), (machine["state"], machine["power"]))
        self.assertEqual("True", self.api.get_server(server["id"])["config_drive"])
        (body,) = self.api_of_machines.deployments[machine["id"]]
        self.assertEqual({"id": IMAGE}, body["image"])
        files = {path: base64.b64decode(text) for path, text in body["config_drive"]["files"].items()}
        self.assertEqual(SCRIPT, files["openstack/latest/user_data"])
        self.assertEqual(server["id"], json.loads(files["openstack/latest/meta_data.json"])["uuid"])
        # The port has the address of the interface that the machine boots from, in neutron and in what the machine is told.
        boot = machine["interfaces"][1]["mac"]
        (port,) = self.neutron.list_ports(False, device_id=server["id"])["ports"]
        (link,) = json.loads(files["openstack/latest/network_data.json"])["links"]
        self.assertEqual([boot] * 3, [port["mac_address"], link["ethernet_mac_address"], body["network"][0]["mac"]])
        self.assertEqual("phy", link["type"])
        # Placement does not offer it, from the deployment until it is wiped.
        self._run_periodics()
        self.assertEqual(1, self.reserved()[machine["id"]])
        self.api_of_machines.held_up.add(machine["id"])
        self._delete_server(server)
        self._run_periodics()
        self.assertEqual(("cleaning", 1), (machine["state"], self.reserved()[machine["id"]]))
        self.api_of_machines.held_up.clear()
        self._wait_for_assert(lambda: self.assertEqual("available", self.api_of_machines.seen(machine)["state"]))
        self._run_periodics()
        self.assertEqual(0, self.reserved()[machine["id"]])

    def test_machine_of_an_architecture_that_nova_does_not_know_is_offered(self):
        machine = self.api_of_machines.add(properties={"cpu_arch": "x86"})
        self._run_periodics()
        self.assertEqual(0, self.reserved()[machine["id"]])

    def test_switch_it(self):
        server = self.create()
        server = self._stop_server(server)
        self.assertEqual("off", self.machine_of(server)["power"])
        server = self._start_server(server)
        self.assertEqual("on", self.machine_of(server)["power"])
        self._reboot_server(server, hard=True)
        self._reboot_server(server)
        # It went off by itself: that is what nova sees with its next look, without a question for each server.
        self.api_of_machines.change(self.machine_of(server), power="off")
        self._run_periodics()
        self.api_of_machines.requests.clear()
        info = self.computes["compute"].manager.driver.get_info(self.instance(server))
        self.assertEqual((power_state.SHUTDOWN, []), (info.state, self.api_of_machines.requests))

    def test_rebuild_keeps_the_machine(self):
        server = self.create()
        machine = self.machine_of(server)
        self._rebuild_server(server, "a2459075-d96c-40d5-893e-577ff92e721c")
        self.assertEqual(machine["id"], self.machine_of(server)["id"])
        images = [body["image"]["id"] for body in self.api_of_machines.deployments[machine["id"]]]
        self.assertEqual([IMAGE, "a2459075-d96c-40d5-893e-577ff92e721c"], images)

    def test_rescue_and_back(self):
        server = self.create()
        self.api.post_server_action(server["id"], {"rescue": {"adminPass": "x" * 12}})
        server = self._wait_for_state_change(server, "RESCUE")
        self.assertEqual("rescued", self.machine_of(server)["state"])
        self.api.post_server_action(server["id"], {"unrescue": None})
        server = self._wait_for_state_change(server, "ACTIVE")
        self.assertEqual("active", self.machine_of(server)["state"])

    def test_console(self):
        # As the role configures nova-compute: without it, nova refuses before it asks the driver.
        self.flags(group="serial_console", **as_the_role_writes_it("serial_console", "enabled", "base_url"))
        server = self.create()
        ask = {"remote_console": {"protocol": "serial", "type": "serial"}}
        answer = self.api.api_post(f"/servers/{server['id']}/remote-consoles", ask).body["remote_console"]
        where, _, token = answer["url"].partition("?token=")
        self.assertEqual("ws://198.51.100.1:6083/", where)
        # What nova-serialproxy does with the token, up to the connection: it asks nova-compute whether this is the console still.
        proxy = websocketproxy.NovaProxyRequestHandler.__new__(websocketproxy.NovaProxyRequestHandler)
        proxy._compute_rpcapi = None
        with nova_context.target_cell(self.admin_context(), self.cell_mappings["cell1"]) as cell:
            console = proxy._get_connect_info(cell, token)
            self.assertEqual(("127.0.0.1", 7001), (console.host, console.port))
            self.machine_of(server)["console_url"] = "tcp://127.0.0.1:7002"
            self.assertRaises(exception.InvalidToken, proxy._get_connect_info, cell, token)

    def test_machine_without_a_console_says_so(self):
        self.flags(enabled=True, group="serial_console")
        server = self.create()
        ask = {"remote_console": {"protocol": "serial", "type": "serial"}}
        for url in (None, "ssh://10.0.0.7"):
            self.machine_of(server)["console_url"] = url
            answer = self.api.api_post(
                f"/servers/{server['id']}/remote-consoles", ask, check_response_status=[400]
            ).body["badRequest"]
            self.assertIn("Unavailable console type serial", answer["message"])

    def test_keys_of_the_keypair_are_on_the_config_drive(self):
        key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHc+mBrpm5HfibX3Xjew8ofdAK+gVLXpRcrQAwpHShtH me@home"
        self.api.post_keypair({"keypair": {"name": "mine", "type": "ssh", "public_key": key}})
        server = self.create(key_name="mine")
        (body,) = self.api_of_machines.deployments[self.machine_of(server)["id"]]
        metadata = json.loads(base64.b64decode(body["config_drive"]["files"]["openstack/latest/meta_data.json"]))
        self.assertEqual({"mine": key}, metadata["public_keys"])
        self.assertEqual([("mine", key)], [(one["name"], one["data"]) for one in metadata["keys"]])

    def test_two_servers_two_machines_and_no_third(self):
        taken = {self.machine_of(self.create())["id"], self.machine_of(self.create())["id"]}
        self.assertEqual(set(self.api_of_machines.machines), taken)
        fault = self.create(expected="ERROR")["fault"]
        self.assertIn("No valid host", fault["message"])
