# SPDX-License-Identifier: Apache-2.0
"""The firewall's pure parts. Real: policy, renderer, differences, flows; and, in the last test, the kernel's nftables.

Stands in: `Table` for the kernel's table, which refuses what the kernel refuses (adding what is there, deleting what is in use).
"""

import re
import subprocess

import pytest
from arbaro_l2isolate.firewall import changes, flows, policy, rules
from arbaro_l2isolate.firewall.flows import Flow
from arbaro_l2isolate.firewall.policy import Policy, Port, Rule
from hypervisor import PREFIX, inside, is_root, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MAC = "fa:16:3e:00:00:01"


def port(number, groups=("web",), secured=True, sources=()):
    address = f"10.0.0.{number}"
    return Port(
        f"tap{number}", MAC, frozenset({address}), frozenset({(MAC, address), *sources}), tuple(groups), secured
    )


def words(direction="ingress", **rule):
    return list(rules.rule_words(Rule(direction, **rule)))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, ["accept"]),
        ({"direction": "egress"}, ["goto to_guest"]),
        ({"protocol": 6, "low": 22, "high": 22}, ["meta l4proto 6 th dport 22 accept"]),
        (
            {"protocol": 17, "low": 1, "high": 9, "remote": "10.0.0.0/8"},
            ["ip saddr 10.0.0.0/8 meta l4proto 17 th dport 1-9 accept"],
        ),
        ({"protocol": 1, "low": 8, "high": 0}, ["meta l4proto 1 icmp type 8 icmp code 0 accept"]),
        ({"direction": "egress", "remote": "192.0.2.1"}, ["ip daddr 192.0.2.1 goto to_guest"]),
        ({"remote_group": "db"}, ["ip saddr @members_db accept", "ip saddr @ranges_db accept"]),
    ],
)
def test_a_rule_in_nfts_words(rule, expected):
    assert words(**rule) == expected


def test_neutrons_words_become_rules():
    told = [
        {"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22},
        {"direction": "ingress", "ethertype": "IPv6"},
        {"direction": "egress", "ethertype": "IPv4", "dest_ip_prefix": "0.0.0.0/0"},
        {"direction": "ingress", "ethertype": "IPv4", "protocol": "47", "port_range_min": 1, "port_range_max": 1},
    ]
    assert set(policy.rules_of(told)) == {Rule("ingress", 6, 22, 22), Rule("egress"), Rule("ingress", 47)}


def test_one_more_port_of_known_groups_is_elements_only():
    groups = {"web": (Rule("ingress", remote_group="web"), Rule("egress"))}
    before = rules.render(Policy({"a": port(1)}, groups))
    after = rules.render(Policy({"a": port(1), "b": port(2)}, groups))
    script = changes.changes(before, after).splitlines()
    assert script and all(line.startswith("add element") for line in script) and len(script) == 7


def test_a_rule_that_comes_changes_one_chain():
    one = rules.render(Policy({"a": port(1)}, {"web": (Rule("egress"),)}))
    two = rules.render(Policy({"a": port(1)}, {"web": (Rule("egress"), Rule("ingress", 6, 22, 22))}))
    assert changes.changes(one, two).splitlines() == [
        "flush chain inet arbaro_l2isolate ingress_group_web",
        "add rule inet arbaro_l2isolate ingress_group_web meta l4proto 6 th dport 22 accept",
    ]


def test_names_that_are_none_never_reach_nft():
    with pytest.raises(ValueError, match="Not the name of a tap"):
        rules.render(Policy({"x": Port('t" ; flush ruleset', MAC, frozenset(), frozenset())}))
    with pytest.raises(ValueError, match="does not appear to be"):
        policy.rules_of([{"direction": "ingress", "ethertype": "IPv4", "source_ip_prefix": "0/0; flush ruleset"}])


def test_overlapping_ranges_become_disjoint():
    assert policy.disjoint(["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "192.0.2.1"]) == {
        "10.0.0.0/8",
        "10.1.2.3",
        "192.0.2.1",
    }


LISTED = """\
tcp      6 431999 ESTABLISHED src=10.0.0.9 dst=10.0.0.1 sport=4000 dport=22 src=10.0.0.1 dst=10.0.0.9 sport=22 dport=4000 [ASSURED] mark=0 use=1
udp      17 29 src=10.0.0.1 dst=192.0.2.53 sport=5000 dport=53 [UNREPLIED] src=192.0.2.53 dst=10.0.0.1 sport=53 dport=5000 mark=0 use=1
icmp     1 29 src=10.0.0.9 dst=10.0.0.1 type=8 code=0 id=77 src=10.0.0.1 dst=10.0.0.9 type=0 code=0 id=77 mark=0 use=1
tcp      6 99 SYN_SENT src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1 mark=99 use=1
"""
TCP, UDP, ICMP = (
    Flow(6, "10.0.0.9", "10.0.0.1", 4000, 22),
    Flow(17, "10.0.0.1", "192.0.2.53", 5000, 53),
    Flow(1, "10.0.0.9", "10.0.0.1", 8, 0, 77),
)


def test_conntracks_words_become_flows():
    assert list(flows.parse(LISTED, {"10.0.0.1"})) == [TCP, UDP, ICMP]
    assert list(flows.parse(LISTED, {99})) == [Flow(6, "1.1.1.1", "2.2.2.2", 1, 2, mark=99)]


@pytest.mark.parametrize(
    ("allowed", "ended"),
    [
        ((), [TCP, UDP, ICMP]),
        ((Rule("egress"),), [TCP, ICMP]),
        ((Rule("ingress", 6, 20, 30), Rule("ingress", 1)), [UDP]),
        ((Rule("ingress", remote="10.0.0.0/24"), Rule("egress", 17, 53, 53)), []),
        ((Rule("ingress", remote_group="friends"),), [UDP]),
        ((Rule("ingress", 1, 8, 1),), [TCP, UDP, ICMP]),
    ],
)
def test_flows_end_when_no_rule_allows_them(allowed, ended):
    now = Policy({"a": port(1)}, {"web": allowed}, {"friends": frozenset({"10.0.0.8/31"})})
    assert flows.revoked(now, [TCP, UDP, ICMP]) == ended


def test_a_flow_is_judged_by_the_rules_of_whoever_began_it():
    """An address pair may be a range in which others are, too: those on this host, and the world."""
    silent = port(1, ("closed",), sources={(MAC, "10.0.0.0/8")})
    now = Policy({"a": silent, "b": port(2)}, {"web": (Rule("egress"), Rule("ingress")), "closed": ()})
    by_pair = [Flow(17, source, "192.0.2.53", 5000, 53, mark=silent.mark) for source in ("10.9.9.9", "10.0.0.2")]
    by_others = [
        Flow(17, "10.0.0.2", "192.0.2.53", 5001, 53, mark=port(2).mark),
        Flow(17, "10.9.9.9", "10.0.0.2", 5000, 53),
    ]
    assert flows.revoked(now, [*by_pair, *by_others]) == by_pair


def test_nobodys_rules_hold_for_an_address_pair_as_target():
    """No route leads there, so that the packets leave this host, and no ingress rule is asked."""
    now = Policy({"a": port(1, sources={(MAC, "10.9.9.9")}), "b": port(2)}, {"web": (Rule("egress"),)})
    assert flows.revoked(now, [Flow(17, "10.0.0.2", "10.9.9.9", 5000, 53, mark=port(2).mark)]) == []


def test_flows_of_a_server_that_has_left_end():
    assert flows.revoked(Policy(), [TCP, UDP], {"10.0.0.9"}) == [TCP]
    pair = Flow(17, "203.0.113.9", "192.0.2.53", 5000, 53, mark=port(1).mark)
    assert flows.revoked(Policy(), [pair, UDP], port(1).traces) == [pair, UDP]


class Table:
    """A table under nft's commands."""

    def __init__(self):
        self.things = {}

    def run(self, script):
        for line in script.splitlines():
            verb, kind, family, _, *rest = line.split(" ")
            if kind == "table":
                self.things = {key: thing for key, thing in self.things.items() if key[0] != family or verb == "add"}
            else:
                name, body = rest[0], " ".join(rest[1:])
                getattr(self, f"{verb}_{kind}", self.declare)(
                    (family, name), body, kind
                ) if verb != "delete" or kind == "element" else self.delete((family, name))

    def declare(self, key, body, kind):
        assert key not in self.things, f"already there: {key}"
        self.things[key] = {"body": body, "rules": [], "elements": set()}

    def add_rule(self, key, body, kind):
        self.used_exist(body)
        self.things[key]["rules"].append(body)

    def flush_chain(self, key, body, kind):
        self.things[key]["rules"] = []

    def used_exist(self, body):
        for name in re.findall(r"(?:jump|goto) (\S+)|@(\S+)", body):
            assert any(other[1] == (name[0] or name[1]) for other in self.things), f"{body}: nothing to point to"

    def add_element(self, key, body, kind):
        for element in body.strip("{} ").split(", "):
            self.used_exist(element)
            assert element.split(" : ")[0] not in {e.split(" : ")[0] for e in self.things[key]["elements"]}
            self.things[key]["elements"].add(element)

    def delete_element(self, key, body, kind):
        self.things[key]["elements"] -= set(body.strip("{} ").split(", "))

    def delete(self, key):
        gone = self.things.pop(key)
        assert not gone["rules"]
        for other in self.things.values():
            for body in [*other["rules"], *other["elements"]]:
                assert not re.search(rf"(jump|goto|@) ?{re.escape(key[1])}( |$)", body), f"{key} is in use by {body}"

    def holds(self, ruleset):
        seen = {key: (set(t["elements"]), tuple(t["rules"])) for key, t in self.things.items()}
        want = {k: (set(getattr(t, "elements", ())), getattr(t, "rules", ())) for k, t in ruleset.items()}
        return seen == want


GROUPS = ("web", "db", "all")
rule_values = st.builds(
    Rule, st.sampled_from(["ingress", "egress"]), st.sampled_from([None, 6]), st.sampled_from([None, 22]), st.none(),
    st.sampled_from(["", "10.0.0.0/8"]), st.sampled_from(["", "web", "db"]),
)  # fmt: skip
port_values = st.builds(
    lambda number, groups, secured, pair: port(number, sorted(groups), secured, {(MAC, pair)} if pair else ()),
    st.integers(1, 4), st.sets(st.sampled_from(GROUPS), max_size=2), st.booleans(), st.sampled_from(["", "172.16.0.0/12", "10.9.9.9"]),
)  # fmt: skip
policies = st.builds(
    lambda ports, groups, members: Policy({p.tap: p for p in ports}, groups, members),
    st.lists(port_values, max_size=3),
    st.fixed_dictionaries({}, optional={g: st.lists(rule_values, max_size=2, unique=True).map(tuple) for g in GROUPS}),
    st.dictionaries(
        st.sampled_from(GROUPS),
        st.sets(st.sampled_from(["10.0.0.1", "10.0.0.2", "10.8.0.0/16"])).map(frozenset),
        max_size=2,
    ),
)
histories = st.lists(policies, min_size=2, max_size=4)


@settings(max_examples=1000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(histories)
def test_differences_lead_to_the_same_table_as_a_replacement(history):
    table, held = Table(), None
    for wanted in map(rules.render, history):
        table.run(changes.replacement(wanted) if held is None else changes.changes(held, wanted))
        held = wanted
        assert table.holds(wanted)


@pytest.mark.skipif(not is_root(), reason="makes a network namespace")
def test_the_kernel_accepts_the_differences_too():
    """The same histories against the real nft, compared with what a replacement gives."""
    name = f"{PREFIX}rules"
    run("ip", "netns", "add", name)

    def apply(script):
        done = subprocess.run(["nft", "-f", "-"], input=script, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + script

    def listed():
        # The order of elements is the kernel's own, and braces and commas go with it.
        return sorted(
            re.sub("elements = |[{},]", "", line).strip() for line in run("nft", "list", "ruleset").splitlines()
        )

    @settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(histories)
    def check(history):
        held = None
        for wanted in map(rules.render, history):
            apply(changes.replacement(wanted) if held is None else changes.changes(held, wanted))
            held = wanted
        by_differences = listed()
        apply(changes.replacement(held))
        assert by_differences == listed()

    try:
        with inside("rules"):
            check()
    finally:
        run("ip", "netns", "del", name)
