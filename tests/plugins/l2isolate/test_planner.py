# SPDX-License-Identifier: Apache-2.0
"""The planner under random histories: whatever happens, the host ends as neutron wants it and nothing else was touched.

Real: planner.py. Stands in: `Host` for the kernel (one route for each destination and metric, a link that goes down loses
routes and neighbours; tests of the functional files hold it against the real kernel), `Neutron` for ports and their messages,
`Agent` for the manager's bookkeeping (the real one is driven in test_manager.py).
"""

from dataclasses import replace

from arbaro_l2isolate import planner
from arbaro_l2isolate.planner import FoundTap, Route, WantedTap
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

GATEWAY = "10.64.0.1"
EXAMPLES = 3000
quick = settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))


class Host:
    """A kernel's taps, as far as the planner can see and change them."""

    def __init__(self):
        self.taps = {}

    def make(self, name):
        self.taps[name] = FoundTap(name, "02:00:00:00:00:01", 1500, False, frozenset({("rp_filter", 0)}), 80)

    def drop(self, name):
        self.taps.pop(name, None)

    def holder(self, route):
        return next((name for name, tap in self.taps.items() if route in tap.routes), None)

    def do(self, actions):
        for verb, name, value in actions:
            if name in self.taps:
                getattr(self, verb)(name, *value) if verb != "set_conf" else self.set_conf(name, value)

    def edit(self, name, **changes):
        self.taps[name] = replace(self.taps[name], **changes)

    def set_mac(self, name, mac):
        self.edit(name, mac=mac, neighbours=frozenset())

    def set_mtu(self, name, mtu):
        self.edit(name, mtu=mtu)

    def set_conf(self, name, value):
        self.edit(name, conf=frozenset(value))

    def set_proxy_delay(self, name, value):
        self.edit(name, proxy_delay=value)

    def set_up(self, name, up):
        lost = {} if up else {"routes": frozenset(), "neighbours": frozenset()}
        self.edit(name, up=up, **lost)

    def add_address(self, name, address):
        self.edit(name, addresses=self.taps[name].addresses | {address})

    def delete_address(self, name, address):
        self.edit(name, addresses=self.taps[name].addresses - {address})

    def set_neighbour(self, name, address, mac):
        assert self.taps[name].up
        kept = frozenset(pair for pair in self.taps[name].neighbours if pair[0] != address)
        self.edit(name, neighbours=kept | {(address, mac)})

    def delete_neighbour(self, name, address, mac):
        self.edit(name, neighbours=self.taps[name].neighbours - {(address, mac)})

    def set_route(self, name, *route):
        assert self.taps[name].up, "the kernel refuses a route through a link that is down"
        holder = self.holder(Route(*route))
        if holder:
            self.edit(holder, routes=self.taps[holder].routes - {Route(*route)})
        self.edit(name, routes=self.taps[name].routes | {Route(*route)})

    def delete_route(self, name, *route):
        assert Route(*route) in self.taps[name].routes, "deleted what is not there, or what is another tap's"
        self.edit(name, routes=self.taps[name].routes - {Route(*route)})


class Neutron:
    """Ports of one network: which address, which host is active. It gives an address to one port at a time."""

    def __init__(self):
        self.ports = {}

    def create(self, number, address, here):
        if address not in {port["address"] for port in self.ports.values()} and number not in self.ports:
            self.ports[number] = {"address": address, "here": here, "up": True, "mtu": 1450}

    def answer(self, name):
        port = self.ports.get(int(name[-1]))
        return None if port is None or not port["here"] else self.tap(name, port)

    @staticmethod
    def tap(name, port):
        addresses = frozenset({f"10.64.0.{port['address'] + 10}"})
        mac = f"fa:16:3e:00:00:{int(name[-1]):02x}"
        return WantedTap(name, mac, addresses, frozenset({GATEWAY}), port["mtu"], port["up"])


class Agent:
    """The manager's bookkeeping, no more: what neutron said, forgotten when it crashes."""

    def __init__(self, host):
        self.host, self.wanted = host, {}

    def hear(self, name, answer):
        told = planner.told_not_here(self.wanted, name) if answer is None else planner.told_here(self.wanted, answer)
        self.wanted = told
        self.reconcile({name})

    def reconcile(self, names=None):
        found = {name: tap for name, tap in self.host.taps.items() if names is None or name in names}
        self.wanted = planner.forgotten(self.wanted, set(self.wanted) - set(self.host.taps))
        self.host.do(planner.plan(self.wanted, found))


def assert_is_as_neutron_wants(host, neutron):
    for name, tap in host.taps.items():
        wanted = neutron.answer(name)
        assert tap.routes == planner.wanted_routes(wanted)
        if wanted is not None:
            assert (tap.mac, tap.mtu, tap.up) == (planner.host_mac(wanted.guest_mac), wanted.mtu, wanted.up)
            assert tap.neighbours == frozenset((a, wanted.guest_mac) for a in wanted.addresses if wanted.up)
            assert tap.addresses == wanted.gateways and planner.wanted_conf(wanted) <= tap.conf and tap.proxy_delay == 0


PORTS, ADDRESSES = 4, 3
OPERATIONS = (
    "create",
    "delete",
    "plug",
    "unplug",
    "move",
    "down",
    "up",
    "say",
    "say-late",
    "crash",
    "resync",
    "meddle",
)
steps = st.lists(
    st.tuples(st.sampled_from(OPERATIONS), st.integers(0, PORTS - 1), st.integers(0, ADDRESSES - 1)), max_size=14
)


class World:
    """One host, neutron, an agent between them, and messages that are lost, doubled, or come late."""

    def __init__(self):
        self.host, self.neutron, self.late = Host(), Neutron(), []
        self.agent = Agent(self.host)

    def step(self, operation, number, address):
        name, port = f"tap{number}", self.neutron.ports.get(number)
        if operation == "create":
            self.neutron.create(number, address, here=True)
        elif operation == "delete":
            self.neutron.ports.pop(number, None)
        elif operation == "plug":
            self.host.make(name)
        elif operation == "unplug":
            self.host.drop(name)
        elif operation in ("move", "down", "up") and port:
            port.update({"here": not port["here"]} if operation == "move" else {"up": operation == "up"})
        elif operation == "say" and name in self.host.taps:
            answer = self.neutron.answer(name)
            self.agent.hear(name, answer)
            self.late.append((name, answer))
        elif operation == "say-late" and self.late:
            self.agent.hear(*self.late[number % len(self.late)])
        elif operation == "crash":
            self.crash()
        elif operation == "resync":
            self.resync()
        elif operation == "meddle" and name in self.host.taps:
            self.host.edit(name, mac="02:00:00:00:00:02", addresses=frozenset({"10.99.0.1"}))

    def crash(self):
        """Start anew while neutron is silent: that must change nothing at all."""
        before = dict(self.host.taps)
        self.agent = Agent(self.host)
        self.agent.reconcile()
        assert self.host.taps == before

    def resync(self):
        for name in sorted(self.host.taps):
            self.agent.hear(name, self.neutron.answer(name))
        self.agent.reconcile()
        assert_is_as_neutron_wants(self.host, self.neutron)


@quick
@given(steps)
def test_every_history_ends_as_neutron_wants(history):
    world = World()
    for step in history:
        world.step(*step)
    world.resync()
    assert planner.plan(world.agent.wanted, world.host.taps) == []


@quick
@given(steps, st.sampled_from(["crash", "resync"]))
def test_a_crash_and_a_resync_touch_nothing_that_is_right(history, last):
    world = World()
    for step in history:
        world.step(*step)
    world.resync()
    before = dict(world.host.taps)
    world.agent = Agent(world.host)
    world.step(last, 0, 0)
    assert world.host.taps == before


@quick
@given(steps)
def test_a_server_that_stays_is_never_without_its_route(history):
    world = World()
    for step in history:
        world.step(*step)
    world.resync()
    staying = {r: n for n, t in world.host.taps.items() for r in t.routes}
    wanted = {name: world.neutron.answer(name) for name in world.host.taps}
    world.host.edit(next(iter(world.host.taps)), mac="02:00:00:00:00:03") if world.host.taps else None
    for action in planner.plan(wanted, world.host.taps):
        world.host.do([action])
        assert all(world.host.holder(route) for route in staying)


@quick
@given(st.permutations(range(4)), st.lists(st.booleans(), min_size=4, max_size=4), st.booleans())
def test_an_address_moves_between_two_taps_without_a_gap(order, elevated, old_first):
    """Taps swap addresses: the route is replaced, and at no moment is there none."""
    host = Host()
    for number in range(4):
        host.make(f"tap{number}")
    first = {
        f"tap{n}": WantedTap(f"tap{n}", f"fa:16:3e:00:00:0{n}", frozenset({f"10.0.0.{n}"}), frozenset())
        for n in range(4)
    }
    host.do(planner.plan(first, host.taps))
    second = {
        f"tap{n}": replace(first[f"tap{n}"], addresses=frozenset({f"10.0.0.{order[n]}"}), elevated=elevated[n])
        for n in range(4)
    }
    actions = planner.plan(second if not old_first else dict(reversed(second.items())), host.taps)
    for action in actions:
        host.do([action])
        assert all(host.holder(Route(f"10.0.0.{n}", 4210)) for n in range(4))
    assert all(host.taps[name].routes == planner.wanted_routes(tap) for name, tap in second.items())


def test_the_last_word_on_an_address_holds():
    """An address went to another port, and the message that the old one has lost it is late."""
    old, new = (WantedTap(f"tap{n}", f"fa:16:3e:00:00:0{n}", frozenset({"10.0.0.9"}), frozenset()) for n in (1, 2))
    wanted = planner.told_here(planner.told_here({}, old), new)
    host = Host()
    host.make("tap1"), host.make("tap2")
    for _ in range(2):
        host.do(planner.plan(wanted, host.taps))
        assert host.holder(Route("10.0.0.9", 4210)) == "tap2"


def test_a_tap_of_which_neutron_said_nothing_stays_as_it_is():
    found = FoundTap("tap1", "02::1", 1500, True, routes=frozenset({Route("10.0.0.9", 4210)}))
    assert planner.plan({}, {"tap1": found}) == []


def test_a_tap_that_is_not_served_here_loses_its_routes_only():
    found = FoundTap(
        "tap1", "02::1", 1500, True, routes=frozenset({Route("10.0.0.9", 4210)}), addresses=frozenset({GATEWAY})
    )
    assert [action.verb for action in planner.plan({"tap1": None}, {"tap1": found})] == ["delete_route"]


def test_settings_come_before_the_link_is_up():
    found = FoundTap("tap1", "02::1", 1500, False, proxy_delay=80)
    wanted = WantedTap("tap1", "fa:16:3e:00:00:01", frozenset({"10.0.0.9"}), frozenset({GATEWAY}), 1450)
    verbs = [action.verb for action in planner.plan({"tap1": wanted}, {"tap1": found})]
    assert verbs == [
        "set_mac",
        "set_mtu",
        "set_conf",
        "set_proxy_delay",
        "set_up",
        "add_address",
        "set_neighbour",
        "set_route",
    ]


def test_a_server_that_arrives_is_preferred_for_a_while():
    tap = WantedTap("tap1", "fa:16:3e:00:00:01", frozenset({"10.0.0.9"}), frozenset(), elevated=True)
    assert planner.wanted_routes(tap) == {Route("10.0.0.9", 4209), Route("10.0.0.9", 4210)}
    assert planner.wanted_routes(planner.settled({"tap1": tap}, "tap1")["tap1"]) == {Route("10.0.0.9", 4210)}
