# SPDX-License-Identifier: Apache-2.0
"""`make test` runs everything, whatever fails, prints each suite's output whole, and tells the minutes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests import run
from tests.run import Job, Run

SLOW = """import sys, time
for number in range(8):
    print(sys.argv[1], number, flush=True); time.sleep(0.05)
"""


def script(tmp_path: Path, text: str) -> str:
    file = tmp_path / f"script-{os.urandom(4).hex()}.py"
    file.write_text(text)
    return f"{sys.executable} {file}"


def test_a_failing_suite_stops_only_what_needs_it() -> None:
    jobs = [
        Job("bad", "false"),
        Job("later", "true", after=("bad",)),
        Job("dependent", "true", needs=("bad",)),
        Job("last", "true", needs=("later",), after=("dependent",)),
    ]
    everything = Run(jobs)
    everything.to_the_end()
    assert {name: result.words for name, result in everything.results.items()} == {
        "bad": "**failed** (1)",
        "later": "passed",
        "dependent": "not run",
        "last": "passed",
    }


def test_outputs_of_suites_side_by_side_are_printed_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow = script(tmp_path, SLOW)
    Run([Job("one", f"{slow} a"), Job("two", f"{slow} b")]).to_the_end()
    rows = [line[0] for line in capsys.readouterr().out.splitlines() if line.startswith(("a ", "b "))]
    assert sorted(rows) == sorted("aaaaaaaabbbbbbbb")
    assert "".join(rows) in ("aaaaaaaabbbbbbbb", "bbbbbbbbaaaaaaaa")


def test_a_suite_is_over_although_what_it_started_keeps_its_output_open(tmp_path: Path) -> None:
    leaves = script(tmp_path, "import subprocess; print(subprocess.Popen(['sleep', '60']).pid)")
    everything = Run([Job("leaves", leaves)])
    everything.to_the_end()
    os.kill(int(everything.results["leaves"].output), signal.SIGKILL)
    assert everything.results["leaves"].seconds < 30


def test_the_slowest_tests_of_all_suites_are_told_in_order() -> None:
    found = run.slowest(
        {
            "unit": "===== slowest 30 durations =====\n0.25s call     tests/unit/test_a.py::test_a\n3 passed in 0.40s\n",
            "live": "12.50s setup    tests/live/test_b.py::test_b[agent killed (-9)]\n",
        }
    )
    assert found == [
        (12.5, "live", "setup", "tests/live/test_b.py::test_b[agent killed (-9)]"),
        (0.25, "unit", "call", "tests/unit/test_a.py::test_a"),
    ]


def test_what_failed_is_told_at_the_end() -> None:
    told = run.failures(
        {"unit": "ok\nE   assert 1 == 2\nFAILED tests/unit/test_a.py::test_a - assert 1 == 2\n", "live": "ok\n"}
    )
    assert told == ["unit: E   assert 1 == 2", "unit: FAILED tests/unit/test_a.py::test_a - assert 1 == 2"]


def test_the_table_counts_minutes() -> None:
    everything = Run([Job("unit", "true"), Job("live", "true")])
    everything.results["unit"] = run.Result(0, began=105.0, seconds=65.4, cpu=119.6)
    text = run.table(everything, 100.0, 400.0)
    assert "| unit | passed | 1:05 | 2:00 | 0:05 |" in text
    assert "| live | not run | – | – | – |" in text
    assert "**5:00**" in text


def test_all_names_that_jobs_wait_for_come_before_them() -> None:
    for jobs in (run.test_jobs(True), run.soak_jobs()):
        names = [job.name for job in jobs]
        assert all(names.index(other) < names.index(job.name) for job in jobs for other in (*job.needs, *job.after))
    # apt has one user at a time: the launcher installs python3-venv first where it is missing.
    first = {job.name: job for job in run.test_jobs(False)}
    assert first["packages"].after == ("dev",) and not first["dev"].after


def test_what_is_cut_short_ends_and_is_told(tmp_path: Path) -> None:
    program = script(
        tmp_path,
        "import signal, sys\nfrom tests import run\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        "everything = run.Run([run.Job('quick', 'true'), run.Job('long', 'sleep 600', after=('quick',))])\n"
        "try:\n    everything.to_the_end()\nfinally:\n    print(run.table(everything, everything.began, everything.began + 1))\n",
    )
    process = subprocess.Popen(
        program.split(), stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": "."}
    )
    assert process.stdout
    lines = iter(process.stdout.readline, "")
    assert any("long begins" in line for line in lines)
    time.sleep(0.5)
    process.terminate()
    rest = process.communicate(timeout=60)[0]
    assert process.returncode == 143
    assert "| quick | passed |" in rest and "| long | cut short |" in rest
