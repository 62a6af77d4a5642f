# SPDX-License-Identifier: Apache-2.0
"""What the benchmark of scheduling counts is counted right, and what it fills it takes away again."""

import signal
import subprocess
import sys
import time

import ask
import fill
import oslo_messaging
import own_cost
import pytest
import scheduler
import sqlalchemy as sa
from controller import Controller, told
from crowd import Crowd, aggregate_uuid, scheduler_host
from kinds import Kind, fresh_kinds, settled_kinds, spread, turns
from nova import rpc
from nova.objects import base
from result import Run, collected, comparisons, shortfalls, table

CROWD = Crowd(40, 8)


def answer(host, seconds=1.0):
    return {"host": host, "seconds": seconds}


def runs_of(*runs):
    return {title: Run(Kind(title, variant, wanted), answers) for title, variant, wanted, answers in runs}


FREE = ("no hint", "ours", [None, None], [answer("bench-00001", 8.0), answer("bench-00002", 8.0)])
ALONE = ("filter", "alone", [8], [answer(None)])
HINTED = ("with a hint", "ours", [8, 2], [answer("bench-00040"), answer("bench-00001")])


def test_each_aggregate_is_asked_for_and_the_lonely_one_as_often_as_wanted():
    wanted = spread(300, Crowd(10_000, 200), 15)
    assert len(wanted) == 300
    assert wanted.count(200) == 15
    assert len(set(wanted)) > 180
    assert CROWD.hosts()[CROWD.lonely] == {"bench-00040"}
    assert sum(map(len, CROWD.hosts().values())) == 40


def test_all_kinds_are_asked_side_by_side_and_the_two_without_a_hint_first_in_turn():
    kinds = settled_kinds(CROWD, hinted=300, unhinted=30, all_services=60, alone=30)
    order = [n for n, _ in turns(kinds)]
    assert [order.count(n) for n in range(5)] == [30, 30, 300, 60, 30]
    for n, kind in enumerate(kinds):
        assert [aggregate for m, aggregate in turns(kinds) if m == n] == list(kind.wanted)
        # Half of the time, half of them.
        assert abs(order[: len(order) // 2].count(n) - len(kind.wanted) / 2) <= 1
    pairs = [n for n in order if n < 2]
    assert {tuple(pairs[i : i + 2]) for i in range(0, 60, 2)} == {(0, 1), (1, 0)}
    assert turns(fresh_kinds(CROWD, 0)) == []


def test_a_refusal_and_a_host_outside_are_noticed():
    assert shortfalls(runs_of(HINTED, FREE, ALONE), CROWD, faster=4) == []
    bad = ("with a hint", "ours", [8, 2], [answer("bench-00001"), answer(None, 5.0)])
    found_it = ("filter", "alone", [8], [answer("bench-00040")])
    assert shortfalls(runs_of(bad, FREE, found_it), CROWD, faster=4, own_microseconds=90_000) == [
        "1 requests were refused although there was room",
        "1 servers landed outside the aggregate",
        "the filter alone refused nothing: by chance placement offers its host; restart it and try again",
        "a hint makes it 2.7 times as fast, 4 were wanted",
        "our plug-in takes 90000 microseconds of a request without a hint, over 1 %",
    ]


def test_what_there_was_no_time_for_is_said():
    kinds = [Kind("with a hint", "ours", [8, 2]), Kind("no hint", "ours", [None])]
    runs = collected(kinds, [(0, answer("bench-00040"))])
    assert shortfalls(runs, CROWD, faster=4) == [
        "time ran out: 1 of 2 with a hint",
        "time ran out before anything could be compared",
    ]
    assert table(runs.values(), CROWD).splitlines()[2:] == ["| with a hint | 1 | 1.00 s | 1.00 s | 0 | 0 |"]


def test_rows_are_compared_in_sentences():
    bare = ("no hint, nova without our plug-in", "without", [None], [answer("bench-00001", 10.0)])
    assert comparisons(runs_of(HINTED, FREE, bare), 10) == [
        "With a hint it is 8.0 times as fast as no hint.",
        "Without a hint our plug-in takes 10 microseconds, 0.0001 % of a request.",
        "In whole requests, asked in turn, it is -20.0 % with noise.",
    ]


def test_each_variant_of_the_scheduler_is_configured_as_its_name_says():
    configured = {
        name: scheduler.settings_of(name, ["ComputeFilter", "AggregateHintFilter"], 1000)
        for name in ("ours", "all_services", "alone", "without")
    }
    assert "enabled_filters = ComputeFilter\n" in configured["without"]
    assert "enabled_filters = ComputeFilter,FilterAlone\n" in configured["alone"]
    for name in ("ours", "all_services"):
        assert "enabled_filters = ComputeFilter,AggregateHintFilter\n" in configured[name]
    assert [name for name, text in configured.items() if "few_candidates = 0" in text] == ["all_services"]
    assert "host = bench-all-services\n" in configured["all_services"]


class Named:
    """A scheduler's end of RPC that answers with its own name; the queue is oslo.messaging's own, within the process."""

    target = oslo_messaging.Target(version="4.5")

    def __init__(self, name):
        self.name = name

    def select_destinations(self, ctxt, **_):
        raise LookupError(self.name)


@pytest.mark.parametrize("variant", ["ours", "without"])
def test_a_request_reaches_the_scheduler_that_it_is_meant_for(place, variant):
    target, serializer = (
        oslo_messaging.Target(topic="scheduler"),
        rpc.RequestContextSerializer(base.NovaObjectSerializer()),
    )
    servers = [
        oslo_messaging.get_rpc_server(
            rpc.TRANSPORT, target(server=scheduler_host(name)), [Named(name)], "threading", serializer
        )
        for name in ("ours", "without")
    ]
    for server in servers:
        server.start()
    try:
        for _ in range(3):
            with pytest.raises(LookupError, match=variant):
                client = ask.directed(variant)
                ask.ask(client, place.user(), None)
    finally:
        for server in servers:
            server.stop()
            server.wait()


class Here(Controller):
    """Runs a shell's command on this machine: it stands in for SSH."""

    def __init__(self, command):
        super().__init__("nowhere")
        self.command = command

    def words(self, command):
        return ["sh", "-c", self.command]


def test_answers_come_one_by_one_and_no_more_is_asked_when_nobody_reads(tmp_path):
    seen = tmp_path / "seen"
    answers = Here(f"while read -r line; do echo $line >>{seen}; echo $line; done").ask([i] for i in range(1000))
    assert [next(answers), next(answers)] == [[0], [1]]
    answers.close()
    time.sleep(0.2)
    assert seen.read_text().splitlines() == ["[0]", "[1]"]


def test_what_ends_too_early_says_why():
    with pytest.raises(SystemExit, match="no such thing"):
        list(Here("echo no such thing >&2; exit 1").ask(range(100)))


def test_it_is_told_how_far_it_is_and_no_more_when_it_is_over(capsys):
    with told("Waiting", lambda: "1 of 2", pause=0.05):
        time.sleep(0.2)
    first = capsys.readouterr().err
    assert "  Waiting: 0 s 1 of 2\n" in first
    assert first.endswith("Waiting: 0 s in all\n")
    time.sleep(0.2)
    assert capsys.readouterr().err == ""


#: Stands in for `arbaro ssh`: notes each command, and answers as the scripts on the controller do.
STAND_IN = """\
#!/usr/bin/python3
import json, sys, time
command = sys.argv[-1]
if "tar -x" not in command:
    with open(sys.argv[0] + ".log", "a") as log:
        print(command.partition("python3 -B ")[2] or "mysql", file=log)
if "fill.py" in command:
    ids = {f"bench-aggregate-{n:03d}": n for n in range(1, 9)}
    print(json.dumps({"seconds": 1.0, "peak_mib": 1, "aggregates": ids}))
if "own_cost" in command:
    print(9)
if "scheduler.py start" in command or "scheduler.py wait" in command:
    print(json.dumps({"ours": 200}))
if command.endswith("ask.py"):
    for line in sys.stdin:
        variant, hint = json.loads(line)
        if variant == "all_services":
            time.sleep(SLOW)
        host = None if variant == "alone" else HOSTS[str(hint)]
        print(json.dumps({"seconds": 0.1 if hint else 1.0, "host": host}), flush=True)
"""
RUN = """\
import pathlib, runpy, controller
controller.ROOT = pathlib.Path(sys.argv.pop(1))
runpy.run_path(controller.__file__.replace("controller.py", "__main__.py"), run_name="__main__")
"""


@pytest.fixture
def started(tmp_path):
    """Starts the benchmark against a stand-in for a cloud; returns the process and the log of its commands."""

    def start(*words, slow=0.0):
        hosts = {"None": "bench-00001"}
        for number, names in CROWD.hosts().items():
            hosts[str(number)] = hosts[aggregate_uuid(number)] = min(names)
        stand_in = tmp_path / "arbaro"
        stand_in.write_text(STAND_IN.replace("SLOW", str(slow)).replace("HOSTS", repr(hosts)))
        stand_in.chmod(0o755)
        script = f"import sys; sys.path.insert(0, {fill.__file__.rpartition('/')[0]!r})\n" + RUN
        argv = [
            sys.executable,
            "-B",
            "-c",
            script,
            str(tmp_path),
            "cloud",
            "--computes",
            "40",
            "--aggregates",
            "8",
            *words,
        ]
        # Who starts the tests may ignore Ctrl-C (`nohup`), and a child would inherit that.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        signal.signal(signal.SIGINT, before)
        return process, tmp_path / "arbaro.log"

    return start


CLEANED = ["scheduler.py stop", "fill.py ", "scheduler.py restore"]


def test_a_whole_run_prints_the_table_and_takes_away_what_it_has_filled(started):
    process, log = started("--hinted", "20", "--unhinted", "4", "--all-services", "4", "--alone", "3", "--fresh", "1")
    printed, said = process.communicate(timeout=60)
    assert process.returncode == 0, printed + said
    rows = {
        row.split("|")[1].strip(): row.split("|")[2].strip() for row in printed.splitlines() if row.startswith("| ")
    }
    assert rows.pop("requests") == "number"
    assert list(rows.values()) == ["1", "8", "4", "4", "20", "4", "3"]
    assert "With a hint it is 10.0 times as fast as no hint." in printed
    assert log.read_text().splitlines()[-3:] == CLEANED


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_takes_it_away_too(started, number):
    process, log = started(slow=60.0)
    while not log.exists() or "settle.py" not in log.read_text():
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert log.read_text().splitlines()[-3:] == CLEANED


def test_the_plug_ins_own_cost_is_measured_alone(place, monkeypatch):
    monkeypatch.setattr(own_cost, "TURNS", 200)
    assert 0 < own_cost.own_microseconds(place.user()) < 1000


def test_what_is_filled_is_taken_away_with_what_was_claimed_on_it(place):
    def counts():
        engines = (place.databases.cell, place.databases.api, place.databases.placement)
        found = {}
        for engine in engines:
            with engine.connect() as connection:
                for name in sa.inspect(engine).get_table_names():
                    found[name] = connection.execute(sa.text(f'SELECT count(*) FROM "{name}"')).scalar()
        # Who has claimed is remembered by placement, as it would be of a real user.
        return {name: count for name, count in found.items() if name not in ("projects", "users")}

    fill.empty(place.databases)
    before = counts()
    fill.fill(place.databases, CROWD)
    assert place.ask().startswith(("bench-", "compute1"))
    assert counts()["inventories"] == before["inventories"] * 41
    fill.empty(place.databases)
    assert counts() == before
    fill.fill(place.databases, CROWD)
