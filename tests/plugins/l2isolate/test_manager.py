# SPDX-License-Identifier: Apache-2.0
"""The manager and the callbacks under random histories of messages.

Real: manager.py, callbacks.py, planner.py, dnsmasq.py's planning; the order in which neutron's loop calls them. Stands in: the
kernel and neutron (test_planner.py), dnsmasq's files (`Files`), the loop's thread (`Loop`: what CommonAgentLoop does in a turn).
"""

from types import SimpleNamespace

from arbaro_l2isolate import dnsmasq, names, planner, ports
from arbaro_l2isolate.arrivals import HOLD_SECONDS
from arbaro_l2isolate.callbacks import L2IsolateCallbacks
from arbaro_l2isolate.listing import Listing
from arbaro_l2isolate.manager import L2IsolateManager
from arbaro_l2isolate.ports import Subnet
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from neutron.conf import common as neutron_config
from oslo_config import cfg
from test_planner import GATEWAY, Host, Neutron

TAPS = [f"tap{number:011d}" for number in range(4)]
SETTINGS = SimpleNamespace(
    reconcile_interval=60,
    elevated_seconds=5,
    dhcp_directory="/d",
    dhcp_user="u",
    dhcp_lease_seconds=9,
    dns_servers=[],
    dns_domain="",
)


def known(ids):
    """Return subnets as neutron-server knows them."""
    return {id_: Subnet(id_, "10.64.0.0/24", GATEWAY) for id_ in ids}


SUBNETS = SimpleNamespace(get=known, remembered=known, changed=set)


class Hands(Host):
    """The functions of netlink.py over the kernel that stands in."""

    def __init__(self):
        super().__init__()
        self.sent = {}

    def make(self, name):
        super().make(name)
        self.sent[name] = 0

    def drop(self, name):
        super().drop(name)
        self.sent.pop(name, None)

    def frames_sent(self, wanted):
        return {name: sent for name, sent in self.sent.items() if name in wanted}

    def tap_names(self):
        return set(self.taps)

    def tap_indices(self):
        return {name: index for index, name in enumerate(sorted(self.taps), start=1)}

    def find_taps(self, only=None):
        return {name: tap for name, tap in self.taps.items() if only is None or name in only}

    def change_taps(self, actions):
        self.do(actions)
        return []


class Files:
    """dnsmasq's directory, which outlives the agent."""

    def __init__(self):
        self.found = {}

    def make(self, files, complete):
        self.found = dnsmasq.wanted_files(self.found, files, complete)

    def look_after(self):
        pass


def details(neutron, name):
    """Return what neutron-server answers about a tap to this host."""
    port = neutron.ports.get(int(name[-1]))
    if port is None:
        return {"device": name}
    if not port["here"]:
        return {"device": name, "no_active_binding": True}
    wanted = neutron.tap(name, port)
    fixed = [{"subnet_id": "s", "ip_address": address} for address in wanted.addresses]
    return {
        "device": name, "port_id": name[3:], "network_type": "l2isolate", "mac_address": wanted.guest_mac, "fixed_ips": fixed,
        "mtu": wanted.mtu, "admin_state_up": wanted.up, "port_security_enabled": True, "allowed_address_pairs": [],
    }  # fmt: skip


def filtered(neutron, name):
    """Return what neutron-server tells the firewall about a port, wherever it is active."""
    port = neutron.ports[int(name[-1])]
    wanted = neutron.tap(name, port)
    profile = {"migrating_to": "hv1"} if port.get("coming", True) else {}
    return {
        "device": name, "mac_address": wanted.guest_mac, "fixed_ips": sorted(wanted.addresses),
        "binding:profile": profile, "binding:vif_type": "tap",
    }  # fmt: skip


NETWORK = {"mtu": 1500, **{f"provider:{key}": None for key in ("physical_network", "segmentation_id")}}


def listed(neutron):
    """Return what neutron-server lists of this host's ports."""
    here = [TAPS[number] for number, port in neutron.ports.items() if port["here"]]
    bound = {
        "binding:host_id": "hv1",
        "binding:vif_details": {"bound_drivers": {"0": "l2isolate"}},
        "binding:profile": {},
    }
    more = {"status": "DOWN", "network_id": "n", "device_owner": "compute:nova", **bound}
    return [{**details(neutron, name), "id": name[3:], **more} for name in here]


class Loop:
    """An agent's life: messages arrive at any moment, turns come between them."""

    def __init__(self):
        self.host, self.neutron, self.files, self.now = Hands(), Neutron(), Files(), 0.0
        self.start()

    def start(self):
        cfg.CONF.set_override("host", "hv1")
        self.mgr = L2IsolateManager(SETTINGS, self.host, self.files, "hv1", SUBNETS, clock=lambda: self.now)
        self.callbacks = L2IsolateCallbacks(None, self, None)
        self.previous, self.network_ports = None, {}
        self.plugin_rpc = SimpleNamespace(listing=Listing())

    def treat_devices_added_updated(self, devices):
        answers = self.plugin_rpc.listing.details(
            sorted(devices), lambda _: {**NETWORK, "provider:network_type": "l2isolate"}
        )
        rest = devices - {answer["device"] for answer in answers}
        answers += [details(self.neutron, name) for name in sorted(rest)]
        told = [filtered(self.neutron, answer["device"]) for answer in answers if ports.is_inactive(answer)]
        self.mgr.serve(
            answers, {port["device"]: ports.coming_tap(port) for port in told if ports.is_coming(port, "hv1")}
        )

    def turn(self):
        updated = self.callbacks.get_and_clear_updated_devices()
        current = self.mgr.get_all_devices()
        self.mgr.get_devices_modified_timestamps(current)
        previous = self.previous if self.previous is not None else set()
        self.treat_devices_added_updated((current - previous) | (updated & current))
        if previous - current:
            self.mgr.delete_arp_spoofing_protection(previous - current)
        self.previous = current

    def step(self, operation, number, address):
        name, port = TAPS[number], self.neutron.ports.get(number)
        self.now += 1
        if operation == "create":
            self.neutron.create(number, address, here=True)
        elif operation == "delete":
            self.neutron.ports.pop(number, None)
        elif operation == "plug":
            self.host.make(name)
        elif operation == "unplug":
            self.host.drop(name)
        elif operation == "guest sends":
            if name in self.host.taps:
                self.host.sent[name] += 1
            self.mgr.welcome()
        elif operation == "port_update":
            self.callbacks.port_update(None, port={"id": name[3:]})
        elif operation == "migrate" and port:
            port["here"] = not port["here"]
            message = self.callbacks.binding_activate if port["here"] else self.callbacks.binding_deactivate
            message(None, port_id=name[3:], host="hv1")
        elif operation == "migrate, message lost" and port:
            port["here"] = not port["here"]
        elif operation == "late binding_deactivate":
            self.callbacks.binding_deactivate(None, port_id=name[3:], host="hv1")
        elif operation == "late binding_activate":
            self.callbacks.binding_activate(None, port_id=name[3:], host="hv1")
        elif operation == "another host's":
            self.callbacks.binding_deactivate(None, port_id=name[3:], host="hv2")
        elif operation == "crash":
            before = dict(self.host.taps), dict(self.files.found)
            self.start()
            self.mgr.tick()
            assert before == (self.host.taps, self.files.found)
        elif operation == "list":
            self.plugin_rpc.listing = Listing(listed(self.neutron), "hv1")
        elif operation == "turn":
            self.turn()
            self.plugin_rpc.listing = Listing()

    def resync(self):
        """What the loop does after a failed turn, or when neutron-server says that the agent was thought dead."""
        # Devices that the loop saw leave stay known to it until they were dealt with.
        self.plugin_rpc.listing = Listing(listed(self.neutron), "hv1")
        gone, self.previous = (self.previous or set()) - set(self.host.taps), set()
        self.mgr.delete_arp_spoofing_protection(gone)
        self.turn()
        self.now += HOLD_SECONDS + SETTINGS.elevated_seconds
        self.mgr.tick()


neutron_config.register_core_common_config_opts()
OPERATIONS = (
    "create", "delete", "plug", "unplug", "port_update", "migrate", "migrate, message lost", "late binding_deactivate",
    "late binding_activate", "another host's", "crash", "guest sends", "list", "turn", "turn",
)  # fmt: skip
histories = st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 3), st.integers(0, 2)), max_size=16)


@settings(max_examples=2000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@example([("create", 3, 0), ("plug", 3, 0), ("late binding_activate", 3, 0), ("unplug", 3, 0)])
@given(histories)
def test_whatever_arrives_and_in_whatever_order_the_host_ends_as_neutron_wants(history):
    loop = Loop()
    for step in history:
        loop.step(*step)
    loop.resync()
    for name, tap in loop.host.taps.items():
        wanted = loop.neutron.answer(name)
        assert tap.routes == planner.wanted_routes(wanted)
        assert (f"hosts/{name}" in loop.files.found) == (wanted is not None)
    hosts = {path for path in loop.files.found if path.startswith("hosts/")}
    assert hosts <= {f"hosts/{name}" for name in loop.host.taps}


def test_a_start_without_neutron_changes_nothing_and_a_first_batch_forgets_nobody():
    loop = Loop()
    for number in range(2):
        loop.step("create", number, number)
        loop.step("plug", number, 0)
    loop.turn()
    before = dict(loop.files.found)
    loop.start()
    loop.mgr.tick()
    loop.mgr.serve([details(loop.neutron, TAPS[0])])
    assert loop.files.found == before and all(tap.routes for tap in loop.host.taps.values())


def test_a_tap_of_another_kind_of_network_is_left_alone():
    loop = Loop()
    loop.host.make(TAPS[0])
    loop.neutron.create(0, 0, here=True)
    before = dict(loop.host.taps)
    loop.mgr.serve([{**details(loop.neutron, TAPS[0]), "network_type": "flat"}])
    assert loop.host.taps == before and not loop.mgr.plug_interface("n", None, TAPS[0], "compute:nova")
    assert names.tap_of("0123456789abcdef") == "tap0123456789a"


def test_an_answer_from_before_a_server_left_is_made_good_in_the_next_turn():
    loop = Loop()
    loop.step("create", 0, 0)
    loop.step("plug", 0, 0)
    loop.turn()
    answer = details(loop.neutron, TAPS[0])
    loop.step("migrate", 0, 0)
    loop.mgr.serve([answer])
    assert loop.host.taps[TAPS[0]].routes
    loop.turn()
    assert not loop.host.taps[TAPS[0]].routes


def coming(*, sent, announced=True):
    """A server that moves here: its tap is made, its port still active elsewhere; so many frames were sent before."""
    loop = Loop()
    loop.neutron.create(0, 0, here=False)
    loop.neutron.ports[0]["coming"] = announced
    loop.host.make(TAPS[0])
    loop.host.sent[TAPS[0]] = sent
    loop.turn()
    return loop


def metrics(loop):
    return sorted(route.metric for route in loop.host.taps[TAPS[0]].routes)


def test_a_server_that_moves_here_has_its_route_with_its_first_frame():
    loop = coming(sent=0)
    loop.mgr.welcome()
    assert metrics(loop) == []
    loop.step("guest sends", 0, 0)
    assert metrics(loop) == [names.ELEVATED_METRIC, names.ROUTE_METRIC]
    # Neutron is asked before nova has told it: the guest is here all the same.
    loop.step("port_update", 0, 0)
    loop.turn()
    assert metrics(loop) == [names.ELEVATED_METRIC, names.ROUTE_METRIC]
    loop.step("migrate", 0, 0)
    loop.now += SETTINGS.elevated_seconds + 1
    loop.mgr.tick()
    assert metrics(loop) == [names.ROUTE_METRIC]


def test_a_server_that_has_left_or_was_evacuated_takes_nothing_back():
    loop = coming(sent=5)
    loop.step("guest sends", 0, 0)
    assert metrics(loop) == []


def test_a_server_that_nova_does_not_send_here_is_not_served():
    """It sends for the first time on a host that was cut off while it was evacuated."""
    loop = coming(sent=0, announced=False)
    loop.step("guest sends", 0, 0)
    assert metrics(loop) == []


def test_a_move_that_fails_after_the_first_frame_ends_at_once():
    loop = coming(sent=0)
    loop.step("guest sends", 0, 0)
    loop.neutron.ports[0]["coming"] = False
    loop.step("port_update", 0, 0)
    loop.turn()
    assert metrics(loop) == []


def test_two_arrivals_that_neutron_never_confirms_end_also_if_the_kernel_fails_once():
    loop = coming(sent=0)
    loop.neutron.create(1, 1, here=False)
    loop.host.make(TAPS[1])
    loop.turn()
    loop.step("guest sends", 0, 0)
    loop.step("guest sends", 1, 0)
    assert all(loop.host.taps[name].routes for name in TAPS[:2])
    loop.now += HOLD_SECONDS
    works, loop.host.change_taps = loop.host.change_taps, fail
    loop.mgr.tick()
    loop.host.change_taps = works
    loop.now += SETTINGS.reconcile_interval
    loop.mgr.tick()
    assert not any(loop.host.taps[name].routes for name in TAPS[:2])


def fail(_):
    raise OSError("no buffer space")


def test_a_tap_that_is_made_anew_waits_for_its_own_first_frame():
    loop = coming(sent=0)
    loop.step("guest sends", 0, 0)
    loop.host.drop(TAPS[0])
    loop.host.make(TAPS[0])
    loop.step("port_update", 0, 0)
    loop.turn()
    assert metrics(loop) == []
    loop.step("guest sends", 0, 0)
    assert metrics(loop) == [names.ELEVATED_METRIC, names.ROUTE_METRIC]


def test_an_arrival_that_neutron_never_confirms_ends():
    loop = coming(sent=0)
    loop.step("guest sends", 0, 0)
    loop.now += HOLD_SECONDS
    loop.mgr.tick()
    assert metrics(loop) == []


def test_a_port_that_was_deleted_on_its_way_is_not_served():
    loop = coming(sent=0)
    loop.step("guest sends", 0, 0)
    loop.step("delete", 0, 0)
    loop.step("port_update", 0, 0)
    loop.turn()
    assert metrics(loop) == []
