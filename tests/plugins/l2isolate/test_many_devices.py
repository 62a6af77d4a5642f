# SPDX-License-Identifier: Apache-2.0
"""Many devices with few questions: what comes out of the list is what neutron answers when it is asked for each.

Real: ports and groups in ML2's database, neutron-server's RPC endpoints, the agent's calls. Stands in: the wire between them
(JSON there and back), the kernel of the firewall driver.
"""

import contextlib
import random
import threading
import time
from collections import Counter
from unittest import mock

import ml2
import pytest
from arbaro_l2isolate import groups, names, options, plugin_rpc
from arbaro_l2isolate.firewall import kernel
from arbaro_l2isolate.listing import Listing, is_worth_it
from arbaro_l2isolate.reports import Reports
from neutron.agent import securitygroups_rpc as stock_agent
from neutron.api.rpc.handlers import securitygroups_rpc as server_side
from neutron.extensions import securitygroup as extension
from neutron.plugins.ml2 import rpc as ml2_rpc
from oslo_config import cfg
from oslo_serialization import jsonutils


class Wire:
    """An RPC client whose messages go straight to an endpoint, as JSON; it counts them."""

    def __init__(self, endpoint, context, asked):
        self.endpoint, self.context, self.asked = endpoint, context, asked

    def prepare(self, **_):
        return self

    def call(self, _context, method, **arguments):
        self.asked.append((method, arguments))
        arguments = jsonutils.loads(jsonutils.dumps(arguments))
        return jsonutils.loads(jsonutils.dumps(getattr(self.endpoint, method)(self.context, **arguments)))


class ManyDevices(ml2.L2IsolateTestCase):
    """An agent's calls, and the stock ones to compare with."""

    def setUp(self):
        cfg.CONF.set_override("extension_drivers", ["port_security"], group="ml2")
        super().setUp()
        options.register()
        cfg.CONF.set_override("host", "hv1")
        hands = {
            "apply": lambda _: None,
            "families": lambda: [],
            "list_flows": lambda _: [],
            "end_flows": lambda _: None,
        }
        for name, stand_in in hands.items():
            patch = mock.patch.object(kernel, name, stand_in)
            patch.start()
            self.addCleanup(patch.stop)
        cfg.CONF.set_override("firewall_driver", "l2isolate", group="SECURITYGROUP")
        self.asked = []
        self.calls = plugin_rpc.PluginApi(self.admin, "q-plugin", "l2isolate-hv1")
        self.calls.client = Wire(ml2_rpc.RpcCallbacks(None, None), self.admin, self.asked)
        groups_endpoint = server_side.SecurityGroupServerRpcCallback()
        self.groups = groups.GroupsApi("q-plugin", lambda: self.calls.listing)
        self.groups.client = Wire(groups_endpoint, self.admin, self.asked)
        self.stock = server_side.SecurityGroupServerRpcApi("q-plugin")
        self.stock.client = Wire(groups_endpoint, self.admin, [])
        self.network = self.deserialize(self.fmt, self.make_network())["network"]
        self._make_subnet(self.fmt, {"network": self.network}, "10.64.1.1", "10.64.1.0/24")

    def port(self, host="hv1", **extra):
        attributes = {"binding:host_id": host, "device_owner": "compute:nova", **extra}
        response = self._create_port(self.fmt, self.network["id"], arg_list=tuple(attributes), **attributes)
        return self.deserialize(self.fmt, response)["port"]

    def group(self, *rules):
        group = self.plugin.create_security_group(
            self.admin,
            {"security_group": {"name": "g", "description": "", "tenant_id": self._tenant_id, "stateful": True}},
        )
        for rule in rules:
            self.rule(group["id"], **rule)
        return group["id"]

    def rule(self, group, **words):
        rule = {
            "security_group_id": group, "direction": "ingress", "ethertype": "IPv4", "protocol": None, "port_range_min": None,
            "port_range_max": None, "remote_ip_prefix": None, "remote_group_id": None, "remote_address_group_id": None,
            "tenant_id": self._tenant_id, "description": "",
        }  # fmt: skip
        return self.plugin.create_security_group_rule(self.admin, {"security_group_rule": {**rule, **words}})["id"]

    def listed(self, devices, is_resync=True):
        self.calls.begin_turn(devices, devices, is_resync)
        self.asked.clear()
        return self.calls

    def messages(self):
        return Counter(method for method, _ in self.asked)


class TestDetails(ManyDevices):
    """Details of devices."""

    def test_the_list_says_what_neutron_says_of_each_device(self):
        pair = [{"ip_address": "10.64.9.0/24", "mac_address": "fa:16:3e:00:00:09"}]
        ports = [
            self.port(),
            self.port(allowed_address_pairs=pair),
            self.port(port_security_enabled=False, security_groups=[]),
            self.port(admin_state_up=False),
        ]
        devices = {names.tap_of(port["id"]) for port in ports}
        (ours,) = self.listed(devices).details(devices)
        assert self.messages() == {"get_network_details": 1}
        stock = self.calls.get_devices_details_list(self.admin, sorted(devices), "l2isolate-hv1", "hv1")
        assert len(ours) == 4 and ours == stock

    def test_what_is_not_bound_here_is_asked_for(self):
        self.register_agent("hv2")
        here, elsewhere = self.port(), self.port(host="hv2")
        devices = {names.tap_of(port["id"]) for port in (here, elsewhere)} | {"tap00000000-00"}
        listed, others = self.listed(devices).details(devices)
        assert [details["port_id"] for details in listed] == [here["id"]]
        assert {"device": names.tap_of(elsewhere["id"]), "no_active_binding": True} in others
        assert {"device": "tap00000000-00"} in others
        assert self.messages() == {"get_network_details": 1, "get_devices_details_list": 1}

    def test_what_is_heard_after_the_list_is_asked_for(self):
        port = self.port()
        device = names.tap_of(port["id"])
        self.listed({device}).listing.forget(device)
        list(self.calls.details({device}))
        assert self.messages() == {"get_devices_details_list": 1}

    def test_a_new_tap_of_an_active_port_passes_through_build_so_that_nova_hears_of_it(self):
        port = self.port()
        device = names.tap_of(port["id"])
        self.plugin.update_port_status(self.admin, port["id"], "ACTIVE", "hv1")
        list(self.listed({device}, is_resync=False).details({device}))
        assert self.plugin.get_port(self.admin, port["id"])["status"] == "BUILD"

    def test_after_a_start_what_neutron_calls_active_is_not_reported_again(self):
        ports = [self.port(), self.port()]
        up, new = (names.tap_of(port["id"]) for port in ports)
        self.plugin.update_port_status(self.admin, ports[0]["id"], "ACTIVE", "hv1")
        list(self.listed({up, new}).details({up, new}))
        assert self.plugin.get_port(self.admin, ports[0]["id"])["status"] == "ACTIVE"
        for device in (up, new):
            self.calls.update_device_up(None, device, "a")
        wait(lambda: self.messages()["update_device_list"])
        assert [arguments["devices_up"] for method, arguments in self.asked if method == "update_device_list"] == [
            [new]
        ]

    def test_one_device_on_a_full_host_is_not_worth_a_list(self):
        assert is_worth_it(range(1), range(39)) and not is_worth_it(range(1), range(40))
        assert is_worth_it(range(100), range(1000)) and not is_worth_it([], range(1000))


class TestGroups(ManyDevices):
    """Rules and members."""

    def compare(self, devices):
        """Check that the firewall hears the same of devices, their groups and members from us as from neutron itself."""
        ours = self.groups.security_group_info_for_devices(self.admin, devices)
        stock = self.stock.security_group_info_for_devices(self.admin, devices)
        assert ours.keys() == stock.keys() and ours["devices"].keys() == stock["devices"].keys()
        assert ordered(ours["security_groups"]) == ordered(stock["security_groups"])
        assert ordered(ours["sg_member_ips"]) == ordered(stock["sg_member_ips"])
        left_out = {"security_group_rules", "security_group_source_groups", "security_group_remote_address_groups"}
        for port, said in stock["devices"].items():
            assert {key: value for key, value in said.items() if key not in left_out} == {
                key: value for key, value in ours["devices"][port].items() if key not in left_out
            }

    def test_one_question_for_all_ports_with_the_same_groups(self):
        web, data = self.group({"protocol": "tcp"}), self.group()
        self.rule(data, remote_group_id=web)
        ports = [self.port(security_groups=groups) for groups in ([web], [web], [data], [data, web], [web, data], [])]
        devices = [names.tap_of(port["id"]) for port in ports]
        self.listed(devices)
        self.compare(devices)
        assert self.messages() == {"security_group_info_for_devices": 1}
        assert len(self.asked[0][1]["devices"]) == 4

    def test_groups_that_were_told_are_not_asked_for_again_in_the_same_turn(self):
        web = self.group({"protocol": "tcp"})
        devices = [names.tap_of(self.port(security_groups=[web])["id"]) for _ in range(3)]
        self.listed(devices)
        first, *others = devices
        assert list(self.groups.security_group_info_for_devices(self.admin, [first])["security_groups"]) == [web]
        later = self.groups.security_group_info_for_devices(self.admin, others)
        assert len(later["devices"]) == 2 and self.messages() == {"security_group_info_for_devices": 1}

    def test_a_port_that_was_deleted_meanwhile_leaves_the_others_their_rules(self):
        web = self.group({"protocol": "tcp"})
        ports = [self.port(security_groups=[web]) for _ in range(3)]
        devices = [names.tap_of(port["id"]) for port in ports]
        self.listed(devices)
        # The one that is asked for in the name of all.
        self.plugin.delete_port(self.admin, ports[-1]["id"])
        self.compare(devices)


class TestChanges(ManyDevices):
    """What becomes of a host's filter while groups change, beside what the stock agent makes of it."""

    def test_the_filter_is_the_same_after_whatever_changes(self):
        self.register_agent("hv2")
        chance = random.Random(5)
        ours = groups.SecurityGroupAgent(self.admin, self.groups)
        known = [self.group() for _ in range(4)]
        ports, rules, new = [], [], set()
        for step in range(120):
            deed = chance.choice(["port", "port elsewhere", "port gone", "rule", "rule", "rule gone", "turn", "turn"])
            if deed == "port elsewhere":
                port = self.port("hv2", security_groups=chance.sample(known, chance.randint(0, 2)))
                ours.security_groups_member_updated(port["security_groups"])
            elif deed == "port":
                port = self.port(security_groups=chance.sample(known, chance.randint(0, 2)))
                ports.append(port)
                new.add(names.tap_of(port["id"]))
                ours.security_groups_member_updated(port["security_groups"])
            elif deed == "port gone" and ports:
                port = ports.pop(chance.randrange(len(ports)))
                self.plugin.delete_port(self.admin, port["id"])
                ours.security_groups_member_updated(port["security_groups"])
                if chance.random() < 0.5:
                    # Its tap has gone as well; else that comes later than the next turn.
                    self.unplug(ours, new, port)
            elif deed == "rule":
                group = chance.choice(known)
                remote = chance.choice([None, *known])
                with contextlib.suppress(extension.SecurityGroupRuleExists):
                    rules.append(
                        (group, self.rule(group, remote_group_id=remote, protocol=chance.choice(["tcp", "icmp"])))
                    )
                ours.security_groups_rule_updated([group])
            elif deed == "rule gone" and rules:
                group, rule = rules.pop(chance.randrange(len(rules)))
                self.plugin.delete_security_group_rule(self.admin, rule)
                ours.security_groups_rule_updated([group])
            elif deed == "turn":
                self.turn(ours, new, ports)
                self.compare(ours, ports, step)
        assert self.messages()["security_group_info_for_devices"] > 20

    def unplug(self, ours, new, port):
        device = names.tap_of(port["id"])
        new.discard(device)
        ours.remove_devices_filter([device])

    def turn(self, ours, new, ports):
        """What the loop does; every other turn is large enough for a list."""
        present = {names.tap_of(port["id"]) for port in ports}
        self.calls.listing = Listing()
        if self.messages().total() % 2:
            self.calls.begin_turn(present, present, True)
        if new or ours.firewall_refresh_needed():
            ours.setup_port_filters(set(new), set())
        new.clear()
        gone = set(ours.firewall.ports) - present
        ours.remove_devices_filter(sorted(gone))

    def compare(self, ours, ports, step):
        fresh = stock_agent.SecurityGroupAgentRpc(self.admin, self.stock, defer_refresh_firewall=True)
        fresh.setup_port_filters({names.tap_of(port["id"]) for port in ports}, set())
        assert in_force(ours.firewall) == in_force(fresh.firewall), step

    def test_a_member_elsewhere_of_a_group_that_only_a_rule_names(self):
        self.register_agent("hv2")
        web, data = self.group(), self.group()
        self.rule(data, remote_group_id=web)
        ours = groups.SecurityGroupAgent(self.admin, self.groups)
        ours.setup_port_filters({names.tap_of(self.port(security_groups=[data])["id"])}, set())
        member = self.port("hv2", security_groups=[web])
        ours.security_groups_member_updated([web])
        ours.setup_port_filters(set(), set())
        assert ours.firewall._members[web] == {member["fixed_ips"][0]["ip_address"]}

    def test_what_changes_while_neutron_is_asked_is_asked_for_again(self):
        group = self.group()
        ours = groups.SecurityGroupAgent(self.admin, self.groups)
        ours.setup_port_filters({names.tap_of(self.port(security_groups=[group])["id"])}, set())
        ours.security_groups_rule_updated([group])

        class Late(Wire):
            def call(wire, *arguments, **named):  # noqa: N805
                answer = super().call(*arguments, **named)
                self.rule(group, protocol="tcp")
                ours.security_groups_rule_updated([group])
                return answer

        usual, self.groups.client = self.groups.client, Late(self.groups.client.endpoint, self.admin, self.asked)
        ours.setup_port_filters(set(), set())
        self.groups.client = usual
        before = len(ours.firewall._groups[group])
        assert ours.firewall_refresh_needed()
        ours.setup_port_filters(set(), set())
        assert len(ours.firewall._groups[group]) == before + 1

    def test_a_change_in_a_group_of_many_ports_costs_one_question_about_one_of_them(self):
        group = self.group()
        self.rule(group, remote_group_id=group)
        devices = {names.tap_of(self.port(security_groups=[group])["id"]) for _ in range(12)}
        ours = groups.SecurityGroupAgent(self.admin, self.groups)
        ours.setup_port_filters(devices, set())
        self.asked.clear()
        self.port(security_groups=[group])
        ours.security_groups_member_updated([group])
        assert ours.firewall_refresh_needed()
        ours.setup_port_filters(set(), set())
        assert [len(arguments["devices"]) for _, arguments in self.asked] == [1]
        assert len(ours.firewall._members[group]) == 13
        ours.security_groups_member_updated([self.group()])
        self.asked.clear()
        ours.setup_port_filters(set(), set())
        assert not self.asked, "a group that no port here has to do with"


def in_force(driver):
    """The part of a driver's policy that ports use: it may remember groups of ports that have gone."""
    policy = driver._policy()
    used = {group for port in policy.ports.values() for group in port.groups}
    rules = {group: policy.groups.get(group, ()) for group in used}
    remote = {rule.remote_group for words in rules.values() for rule in words} - {""}
    return dict(policy.ports), rules, {group: policy.members.get(group) for group in remote}


def ordered(told):
    """The same with lists in one order."""
    if isinstance(told, dict):
        return {key: ordered(value) for key, value in told.items()}
    return sorted((ordered(value) for value in told), key=repr) if isinstance(told, list) else told


# Reports.


def wait(true, seconds=5):
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.01)
    assert true()


@pytest.fixture
def reports(monkeypatch):
    """Reports to a neutron-server that can be held up, or fail."""
    monkeypatch.setattr("arbaro_l2isolate.reports.PAUSE", 0.01)
    server = mock.Mock(heard=[], failing=set(), free=threading.Event())
    server.free.set()

    def tell(up, down):
        server.free.wait()
        server.heard.append((up, down))
        if "down" in server.failing:
            raise TimeoutError("no answer")
        return [device for device in [*up, *down] if device in server.failing]

    server.reports = Reports(tell)
    server.reports.start()
    return server


def test_what_is_said_while_neutron_is_busy_goes_together_and_the_last_word_counts(reports):
    reports.free.clear()
    reports.reports.add("first", True)
    wait(lambda: reports.reports._telling)
    assert not reports.reports.all_are_told()
    for number in range(25):
        reports.reports.add(f"tap{number}", True)
    reports.reports.add("tap3", False)
    reports.reports.add("tap4", False)
    reports.reports.add("tap4", True)
    reports.free.set()
    wait(lambda: sum(len(up) + len(down) for up, down in reports.heard) == 26)
    assert [len(up) + len(down) for up, down in reports.heard] == [1, 20, 5]
    assert [down for _, down in reports.heard if down] == [["tap3"]]


@pytest.mark.parametrize("failing", ["tap1", "down"])
def test_what_neutron_could_not_take_is_told_again_unless_there_is_news(reports, failing):
    reports.failing.add(failing)
    reports.reports.add("tap1", True)
    wait(lambda: len(reports.heard) > 2)
    reports.reports.add("tap1", False)
    wait(lambda: reports.heard[-1] == ([], ["tap1"]))
    reports.failing.clear()
    wait(reports.reports.all_are_told)
    told = len(reports.heard)
    time.sleep(0.05)
    assert len(reports.heard) <= told + 1
