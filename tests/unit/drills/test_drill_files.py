# SPDX-License-Identifier: Apache-2.0
"""The drills' files: their form, their shell lines, and that no hint gives away what the last one says."""

import random
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.unit.drills.values import VALUES

from arbaro.datafiles import read_data
from arbaro.drills import catalogue, hands, running
from arbaro.drills.catalogue import Drill, draw_drill, filled, find_drill, load_drills, parts_of
from arbaro.drills.probes import PROBES
from arbaro.drills.scene import HOST_OF
from arbaro.errors import ArbaroError

DRILLS = list(load_drills().values())
SINGLE = [drill for drill in DRILLS if not drill.both]
LINES = [(drill, kind) for drill in SINGLE for kind in ("breaks", "proves", "mends", "tidies") if getattr(drill, kind)]


def ids(value: object) -> str:
    return value.id if isinstance(value, Drill) else str(value)


def test_there_are_many_of_every_layer() -> None:
    assert len(SINGLE) >= 40
    assert {drill.layer for drill in SINGLE} == {
        "build", "schedule", "server", "address", "filter", "fabric", "control", "host",
    }  # fmt: skip
    assert {drill.level for drill in DRILLS} == {1, 2, 3, 4, 5}


def test_no_id_and_no_name_is_given_twice() -> None:
    """YAML itself would let the last of two equal keys win."""
    keys = [
        key for path in catalogue.directory().glob("*.yml") for key in re.findall(r"(?m)^  (\S+):$", path.read_text())
    ]
    assert len(keys) == len(set(keys)) == len(DRILLS)
    names = [drill.name for drill in DRILLS]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[A-Z]\d\d", key) for key in keys)


@pytest.mark.parametrize("drill", DRILLS, ids=ids)
def test_expects_are_ids_of_checks_and_hosts_that_are_known(drill: Drill) -> None:
    for cause in running.expected(drill, VALUES):
        assert re.fullmatch(r"[a-z]+(-[a-z]+)+", cause.check)
        assert cause.host in ("", *VALUES["COMPUTES"].split(), "controller", "tor1", "tor2")


@pytest.mark.parametrize("drill", DRILLS, ids=ids)
def test_no_hint_but_the_last_gives_the_command_that_mends(drill: Drill) -> None:
    commands = [move.type.partition(" -- ")[2].strip('"') or move.type for move in drill.solution]
    mends = [line.strip() for part in parts_of(drill) for line in part.mends.splitlines()]
    for hint in drill.hints[:3]:
        told = [line for line in mends if len(line) > 3 and line in hint]
        assert told == []
        assert commands[-1] not in hint


@pytest.mark.parametrize("drill", DRILLS, ids=ids)
def test_the_title_does_not_give_away_the_cause(drill: Drill) -> None:
    told = f"{drill.title} {drill.ticket}".lower()
    assert drill.name not in told and drill.id not in told
    assert not [cause.check for part in parts_of(drill) for cause in part.expects if cause.check in told]


@pytest.mark.parametrize("drill", DRILLS, ids=ids)
def test_all_that_a_person_reads_is_filled_in(drill: Drill) -> None:
    words = running.words(drill, VALUES)
    texts = [
        drill.title,
        drill.ticket,
        *drill.hints,
        *(text for move in drill.solution for text in (move.type, move.why)),
    ]
    assert not [text for text in texts if "$" in filled(text, words)]


@pytest.mark.parametrize(("drill", "kind"), LINES, ids=ids)
def test_shell_lines_are_bash_and_use_what_is_exported(drill: Drill, kind: str) -> None:
    text = hands.script(getattr(drill, kind), VALUES)
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    lines = getattr(drill, kind)
    own = set(re.findall(r"(?m)(\w+)=|for (\w+) in|read -r (.*);", lines))
    known = {*VALUES, "HOST", "KEEP", "PATH", *(word for found in own for part in found for word in part.split())}
    assert {name for name in re.findall(r"\$\{?([A-Za-z]\w*)", lines) if name not in known} == set()
    assert {name for name in re.findall(r'E\["(\w+)"\]', lines) if name not in known} == set()


@pytest.mark.parametrize(("drill", "kind"), [(d, k) for d, k in LINES if "with_openstack" in getattr(d, k)], ids=ids)
def test_python_lines_are_python(drill: Drill, kind: str) -> None:
    programs = re.findall(r"<<'EOF'\n(.*?)\nEOF", getattr(drill, kind), re.DOTALL)
    assert programs
    for program in programs:
        compile(program, drill.id, "exec")


@pytest.mark.parametrize("drill", SINGLE, ids=ids)
def test_variables_are_quoted(drill: Drill) -> None:
    """What comes from a cloud (a server's name) is data, never a word that bash reads again."""
    assert not re.search(r"(?m)(^|\s)\$[A-Z]+(\s|$)", re.sub(r"<<'EOF'.*?\nEOF", "", drill.breaks, flags=re.DOTALL))
    assert "$VM" not in drill.breaks + drill.proves + drill.mends + drill.tidies


@pytest.mark.parametrize("drill", SINGLE, ids=ids)
def test_who_needs_a_server_says_so(drill: Drill) -> None:
    used = set(re.findall(r"\b(UUID|PORT|TAP|A)\b", drill.breaks + drill.proves + drill.mends))
    of_server = drill.symptom in (
        "ping",
        "steady-ping",
        "big-ping",
        "ssh",
        "many-connections",
        "outward",
        "dhcp",
        "metadata",
    )
    assert "server" in drill.needs or not (used or of_server)
    assert (drill.host == "other-compute") == ("two-computes" in drill.needs)


def test_every_symptom_can_be_tried() -> None:
    assert {drill.symptom for drill in SINGLE} <= set(PROBES)
    assert set(HOST_OF) >= {drill.host for drill in SINGLE}


def test_values_reach_the_lines_as_they_are(tmp_path: Path) -> None:
    nasty = "a 'b' \"c\" $(touch /nonexistent/x) `id` \\ ; exit 3 \n # é"
    text = hands.script('printf %s "$VM"', {**VALUES, "VM": nasty, "KEEP": str(tmp_path)})
    done = subprocess.run(["bash", "-euo", "pipefail", "-s"], input=text, capture_output=True, text=True, check=True)
    assert done.stdout == nasty


def test_a_line_that_reads_its_input_does_not_eat_the_next_one() -> None:
    text = hands.script("cat >/dev/null\necho next", VALUES)
    assert subprocess.run(["bash", "-s"], input=text, capture_output=True, text=True).stdout == "next\n"


def test_a_file_that_is_changed_keeps_its_times_and_is_put_back(tmp_path: Path) -> None:
    file, kept = tmp_path / "a.conf", tmp_path / "kept"
    file.write_text("password = right\n")
    file.chmod(0o640)
    before = file.stat()

    def run(lines: str) -> None:
        text = hands.script(lines, {**VALUES, "FILE": str(file), "KEEP": str(kept)})
        subprocess.run(["bash", "-euo", "pipefail", "-s"], input=text, text=True, check=True)

    run("""change "$FILE" 's/right/wrong/'""")
    assert file.read_text() == "password = wrong\n"
    assert (file.stat().st_mtime_ns, file.stat().st_mode) == (before.st_mtime_ns, before.st_mode)
    # A second time keeps the first copy.
    run("""change "$FILE" 's/wrong/worse/'""")
    mends = """if is_kept "$FILE"; then put_back "$FILE"; let_go "$FILE"; fi"""
    run(mends)
    run(mends)
    assert file.read_text() == "password = right\n" and not kept.exists()
    assert (file.stat().st_mtime_ns, file.stat().st_mode) == (before.st_mtime_ns, before.st_mode)


def test_a_stopped_process_is_seen(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:

        def stopped() -> bool:
            text = hands.script('is_stopped "$PROCESS"', {**VALUES, "PROCESS": str(process.pid)})
            return subprocess.run(["bash", "-s"], input=text, text=True).returncode == 0

        try:
            assert not stopped()
            process.send_signal(19)
            assert stopped()
        finally:
            process.kill()


def test_a_seed_draws_the_same_drill_again() -> None:
    assert len({draw_drill(DRILLS, None, 7).id for _ in range(5)}) == 1
    assert len({draw_drill(DRILLS, None, seed).id for seed in range(50)}) > 20
    assert {draw_drill(random.sample(DRILLS, len(DRILLS)), 2, seed).level for seed in range(20)} == {2}


def test_an_unknown_drill_is_one_clear_error() -> None:
    assert find_drill("b02").id == "B02"
    with pytest.raises(ArbaroError, match="no drill 'X99'") as error:
        find_drill("X99")
    assert error.value.hint == "arbaro drill ls"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"level": 6}, "drills.A01.level"),
        ({"hints": ["one"]}, "drills.A01.hints"),
        ({"symptom": "smell"}, "drills.A01.symptom"),
        ({"mend": "true"}, "drills.A01.mend"),
        ({"mends": ""}, "drills.A01"),
        ({"both": ["B01", "B02"]}, "drills.A01"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, change: dict[str, object], place: str) -> None:
    whole = yaml.safe_load((catalogue.directory() / "build.yml").read_text())["drills"]["B01"]
    file = tmp_path / "build.yml"
    file.write_text(yaml.safe_dump({"drills": {"A01": {**whole, **change}}}))
    with pytest.raises(ArbaroError) as error:
        read_data(file, "drills", dict[str, Drill])
    assert place in error.value.why


@pytest.mark.parametrize(("drill", "kind"), LINES, ids=ids)
def test_no_line_ends_what_it_reads_from(drill: Drill, kind: str) -> None:
    """`… | grep -q` ends at the first match, and with pipefail what it ended counts: now true, now false."""
    assert not re.search(r"\| *(grep -\w*q|head\b)", getattr(drill, kind))
