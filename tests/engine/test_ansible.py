# SPDX-License-Identifier: Apache-2.0
"""A playbook's run tells how each host ended, from Ansible's own events; real Ansible on this machine."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from arbaro.ansible import PlaybookFailed, failure_of, message_of, results_of, run_playbook
from arbaro.runs import Run, current_run

HERE = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
#: No port of it is open anywhere (RFC 5737).
NOWHERE = {"ansible_host": "192.0.2.1", "ansible_ssh_common_args": "-o ConnectTimeout=1 -o BatchMode=yes"}
INVENTORY = {"all": {"hosts": {"well": HERE, "ill": HERE, "away": NOWHERE}}}
PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Greet
      ansible.builtin.raw: "true"
    - name: Overlook
      ansible.builtin.raw: "false"
      ignore_errors: true
    - name: Rescue
      block:
        - name: Rescued
          ansible.builtin.raw: "false"
      rescue:
        - name: Go on
          ansible.builtin.raw: "true"
    - name: Hide
      ansible.builtin.raw: "echo hunter{{ 1 + 1 }}; exit {{ 1 if inventory_hostname == 'ill' and hide | default(false) else 0 }}"
      no_log: true
    - name: Break
      ansible.builtin.raw: "echo because >&2; exit {{ 3 if inventory_hostname == 'ill' else 0 }}"
"""


@pytest.fixture(scope="module")
def playbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("playbooks") / "site.yml"
    path.write_text(PLAYBOOK)
    return path


def test_each_host_has_its_own_end_and_the_log_has_it_all(playbook: Path, tmp_path: Path) -> None:
    said: list[str] = []
    with Run().entered(), current_run().log_to(tmp_path / "log"), pytest.raises(PlaybookFailed) as caught:
        run_playbook(playbook, INVENTORY, note=said.append, timeout=120)
    error = caught.value
    assert {r.host: (r.failed, r.unreachable) for r in error.report.results.values()} == {
        "well": (False, False),
        "ill": (True, False),
        "away": (False, True),
    }
    causes = {failure.host: failure for failure in error.report.causes}
    assert set(causes) == {"ill", "away"}, "what the playbook ignored or rescued is no cause"
    assert (causes["ill"].task, causes["away"].task, causes["away"].unreachable) == ("Break", "Greet", True)
    assert "because" in causes["ill"].message
    assert "192.0.2.1" in causes["away"].message
    assert "failed on away, ill" in error.what
    assert said == ["Greet", "Overlook", "Rescued", "Go on", "Hide", "Break"]
    log = (tmp_path / "log").read_text()
    assert "TASK [Greet]" in log
    assert "hunter2" not in log + str(error)


def test_what_a_playbook_hides_is_told_nowhere(playbook: Path, tmp_path: Path) -> None:
    with Run().entered(), current_run().log_to(tmp_path / "log"), pytest.raises(PlaybookFailed) as caught:
        run_playbook(playbook, INVENTORY, limit=["ill"], variables={"hide": True}, timeout=120)
    assert "no_log" in str(caught.value)
    assert "ill: Hide" in caught.value.why
    assert "hunter2" not in str(caught.value) + (tmp_path / "log").read_text()


def test_a_playbook_that_ends_well_counts_and_leaves_nothing(
    playbook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    report = run_playbook(playbook, INVENTORY, limit=["well"], timeout=120)
    assert [(r.host, r.ok > 3, r.failed) for r in report.results.values()] == [("well", True, False)]
    assert list(tmp_path.glob("arbaro-*")) == []


def test_a_playbook_that_cannot_start_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text("- hosts: all\n  tasks: [{nosuchmodule: {}}]\n")
    with pytest.raises(PlaybookFailed, match="nosuchmodule"):
        run_playbook(broken, INVENTORY, timeout=120)


def slow_playbook(directory: Path) -> Path:
    path = directory / "slow.yml"
    path.write_text('- hosts: well\n  gather_facts: false\n  tasks: [{name: Wait, ansible.builtin.raw: "sleep 300"}]\n')
    return path


def test_one_that_takes_too_long_is_ended_and_says_at_which_task(tmp_path: Path) -> None:
    with pytest.raises(PlaybookFailed, match="took more than 30 s") as caught:
        run_playbook(slow_playbook(tmp_path), INVENTORY, timeout=30)
    assert "'Wait'" in caught.value.why


def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    def interrupt(task: str) -> None:
        threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()

    began = time.monotonic()
    with Run().entered(), pytest.raises(KeyboardInterrupt):
        run_playbook(slow_playbook(tmp_path), INVENTORY, note=interrupt, timeout=200)
    assert time.monotonic() - began < 60


def test_it_ends_when_we_are_killed(tmp_path: Path) -> None:
    """Otherwise it would go on beside the next run's, on a host that may have its address."""
    program = (
        "import sys; from pathlib import Path; from arbaro.ansible import run_playbook\n"
        f"run_playbook(Path(sys.argv[1]), {INVENTORY!r}, note=lambda task: print(task, flush=True))"
    )
    playbook = slow_playbook(tmp_path)
    argv, env = [sys.executable, "-c", program, playbook], {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "Wait\n"
        assert running(playbook)
        process.kill()
    deadline = time.monotonic() + 60
    while running(playbook):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def running(playbook: Path) -> list[str]:
    """The processes that have this playbook in their command, but for the one that waits for it."""
    listed = subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, text=True, check=True, errors="replace")
    return [line for line in listed.stdout.splitlines() if str(playbook) in line and "ansible-playbook" in line]


def test_a_loop_tells_of_the_items_that_failed() -> None:
    items = [{"item": "a"}, {"item": "b", "failed": True, "msg": "no", "stderr": "\n".join("12345678xyz")}]
    assert message_of({"msg": "One or more items failed", "results": items}).startswith("item b: no\n")
    assert failure_of({"host": "h", "task": "t", "res": {"censored": "…"}}).message.endswith("(no_log)")


def test_results_are_read_from_the_last_event() -> None:
    stats = {"processed": {"a": 1, "b": 1}, "ok": {"a": 3}, "changed": {"a": 1}, "dark": {"b": 1}, "failures": {}}
    results = results_of(stats)
    assert (results["a"].ok, results["a"].changed, results["a"].failed) == (3, 1, False)
    assert results["b"].unreachable
