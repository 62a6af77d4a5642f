# SPDX-License-Identifier: Apache-2.0
"""Usage: agent_with_server.py DIRECTORY: the real agent process, and in the same process what stands for neutron-server.

oslo.messaging's `fake` transport joins the two: messages are serialised and routed by topic, but never leave the process. The
server answers from DIRECTORY/answers.json, appends each message to DIRECTORY/log, and sends what is put into DIRECTORY/send.
"""

import json
import pathlib
import sys

import eventlet
import netaddr
import oslo_messaging
from arbaro_l2isolate import (
    agent,
    launcher,  # First: makes Python cooperative.
)
from neutron import objects
from neutron.objects import subnet as subnet_objects
from neutron.plugins.ml2 import rpc as ml2_rpc
from neutron_lib import constants, context, rpc
from neutron_lib.agent import topics
from oslo_utils import timeutils

DIRECTORY = pathlib.Path(sys.argv[1])
NOW = timeutils.utcnow(with_timezone=True)


def answers():
    return json.loads((DIRECTORY / "answers.json").read_text())


def note(*words):
    with (DIRECTORY / "log").open("a") as log:
        log.write(json.dumps(words) + "\n")


class Plugin:
    target = oslo_messaging.Target(version="1.9")

    def get_devices_details_list(self, context, devices, **_):
        note("get_devices_details_list", sorted(devices))
        return [answers()["details"].get(device, {"device": device}) for device in devices]

    def get_ports_by_vnic_type_and_host(self, context, vnic_type, host):
        note("get_ports_by_vnic_type_and_host", vnic_type)
        told = [json.loads(line) for line in (DIRECTORY / "log").read_text().splitlines()]
        up = [words[1] for words in told if words[0] == "update_device_up"]
        return [{**port, "status": "ACTIVE" if port["device"] in up else "DOWN"} for port in answers()["listed"]]

    def get_network_details(self, context, network, **_):
        note("get_network_details", network)
        nothing = {"provider:physical_network": None, "provider:segmentation_id": None}
        return {"id": network, "mtu": 1500, "provider:network_type": "l2isolate", **nothing}

    def update_device_list(self, context, devices_up, devices_down, **_):
        note("update_device_list", devices_up)
        # As neutron-server does when its database is away for a moment.
        failed = [device for device in devices_up if device in answers().get("failing", [])]
        for device in devices_up:
            if device not in failed:
                note("update_device_up", device)
        for device in devices_down:
            note("update_device_down", device)
        return {"devices_up": devices_up, "failed_devices_up": failed, "devices_down": [], "failed_devices_down": []}


class Groups:
    target = oslo_messaging.Target(version="1.3", namespace=constants.RPC_NAMESPACE_SECGROUP)

    def security_group_info_for_devices(self, context, devices, **_):
        note("security_group_info_for_devices", sorted(devices))
        ports = {name: port for name, port in answers()["ports"].items() if name in devices}
        return {"devices": {port["id"]: port for port in ports.values()}, **answers()["groups"]}


class Resources:
    target = oslo_messaging.Target(version="1.1", namespace=constants.RPC_NAMESPACE_RESOURCES)

    def bulk_pull(self, context, resource_type, version, filter_kwargs):
        note("bulk_pull", resource_type, filter_kwargs["id"])
        made = subnet_objects.Subnet(
            context, id=filter_kwargs["id"][0], project_id="p", network_id=answers()["network"], ip_version=4, name="",
            cidr=netaddr.IPNetwork("10.64.1.0/24"), gateway_ip=netaddr.IPAddress("10.64.1.1"), enable_dhcp=True, dns_nameservers=[], host_routes=[],
            created_at=NOW, updated_at=NOW,
        )  # fmt: skip
        return [made.obj_to_primitive(target_version=version)]


class Reports:
    target = oslo_messaging.Target(version="1.2", namespace=constants.RPC_NAMESPACE_STATE)

    def report_state(self, context, agent_state, **_):
        note("report_state", agent_state["agent_state"]["agent_type"])
        return "alive"


def send_what_is_asked():
    admin, notifier = context.get_admin_context(), ml2_rpc.AgentNotifierApi(topics.AGENT)
    while True:
        eventlet.sleep(0.05)
        if (DIRECTORY / "send").exists():
            method, arguments = json.loads((DIRECTORY / "send").read_text())
            (DIRECTORY / "send").unlink()
            getattr(notifier, method)(admin, **arguments)


class AgentWithServer(agent.L2IsolateAgent):
    def setup_rpc(self):
        server = rpc.Connection()
        server.create_consumer(topics.PLUGIN, [Plugin(), Groups(), Resources()], fanout=False)
        server.create_consumer(topics.REPORTS, [Reports()], fanout=False)
        server.consume_in_threads()
        eventlet.spawn(send_what_is_asked)
        super().setup_rpc()


objects.register_objects()
agent.L2IsolateAgent = AgentWithServer
sys.argv[1:] = ["--config-file", str(DIRECTORY / "agent.conf")]
launcher.main()
