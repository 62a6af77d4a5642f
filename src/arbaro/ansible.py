# SPDX-License-Identifier: Apache-2.0
"""Runs a playbook by ansible-runner and tells from its events how each host ended.

Ansible itself stays another program (its licence is the GPL); ansible-runner starts it and hands on its events.
"""

import os
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arbaro import shell
from arbaro.errors import ArbaroError
from arbaro.runs import Run, current_run
from arbaro.steps import Note

Event = Mapping[str, Any]
#: Events that say which task is going on.
_TASKS = ("playbook_on_task_start", "playbook_on_handler_task_start")
#: So many lines of what a failed command printed tell why.
_LINES = 8


@dataclass(frozen=True)
class Failure:
    """A task that failed on a host, and what it said there."""

    host: str
    task: str
    message: str
    unreachable: bool = False

    def __str__(self) -> str:
        return f"{self.host}: {self.task}: {self.message}"


@dataclass(frozen=True)
class HostResult:
    """How a playbook ended on one host. A failure that the playbook itself ignored or rescued is none."""

    host: str
    ok: int = 0
    changed: int = 0
    failed: bool = False
    unreachable: bool = False


@dataclass
class Report:
    """What a run of a playbook has told, event by event."""

    task: str = ""
    failures: list[Failure] = field(default_factory=list)
    results: dict[str, HostResult] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Note what this event says."""
        kind, data = event.get("event", ""), event.get("event_data") or {}
        if kind in _TASKS:
            self.task = str(data.get("name") or data.get("task") or "")
        elif kind == "runner_on_unreachable" or (kind == "runner_on_failed" and not data.get("ignore_errors")):
            self.failures.append(failure_of(data, unreachable=kind == "runner_on_unreachable"))
        elif kind == "playbook_on_stats":
            self.results = results_of(data)

    @property
    def causes(self) -> list[Failure]:
        """The failures that stopped a host: where the playbook went on (rescue, ignore_unreachable), there is none."""
        if not self.results:
            return self.failures
        ended = {failure.host: failure for failure in self.failures}
        return [ended[result.host] for result in self.results.values() if _is_bad(result) and result.host in ended]


def _is_bad(result: HostResult) -> bool:
    return result.failed or result.unreachable


def failure_of(data: Event, *, unreachable: bool = False) -> Failure:
    """Read a failure from an event's data."""
    return Failure(str(data.get("host")), str(data.get("task")), message_of(data.get("res") or {}), unreachable)


def message_of(result: Event) -> str:
    """What a failed task said: its message, and the end of what its command printed.

    Where the playbook hides the output (no_log), Ansible has hidden it already.
    """
    if "censored" in result:
        return "the output is hidden, because it may hold a secret (no_log)"
    if items := [item for item in result.get("results") or () if item.get("failed") or item.get("unreachable")]:
        return "\n".join(f"item {item.get('item')}: {message_of(item)}" for item in items[:3])
    printed = [line for name in ("stderr", "stdout") for line in str(result.get(name) or "").splitlines() if line]
    return "\n".join(filter(None, [str(result.get("msg") or ""), *printed[-_LINES:]])) or "it says nothing"


def results_of(stats: Event) -> dict[str, HostResult]:
    """Read the hosts' results from the event that ends a playbook."""

    def count(name: str, host: str) -> int:
        return int((stats.get(name) or {}).get(host, 0))

    return {
        host: HostResult(
            host, count("ok", host), count("changed", host), bool(count("failures", host)), bool(count("dark", host))
        )
        for host in stats.get("processed") or {}
    }


class PlaybookFailed(ArbaroError):
    """A playbook failed; `report` tells of each host."""

    def __init__(self, name: str, report: Report, status: str, output: str, timeout: float) -> None:
        self.report = report
        causes = report.causes
        hosts = sorted({failure.host for failure in causes})
        ended = f"took more than {timeout:g} s and was ended" if status == "timeout" else "failed"
        shown = f" on {', '.join(hosts[:8])}{' …' if len(hosts) > 8 else ''}" if hosts else ""
        why = "\n".join(str(failure) for failure in causes[:8])
        if not causes:
            why = f"The task {report.task!r} was running.\n" * bool(report.task) + "\n".join(output.splitlines()[-12:])
        super().__init__(
            f"The playbook {name} {ended}{shown}.",
            why=why,
            hint="Run the same command again: it goes on from where it was. The whole output is in the log.",
        )


def run_playbook(
    playbook: Path,
    inventory: Mapping[str, Any] | Path | str,
    *,
    note: Note = lambda _: None,
    timeout: float = 1800,
    config: Path | None = None,
    variables: Mapping[str, Any] | None = None,
    limit: Sequence[str] = (),
    forks: int | None = None,
) -> Report:
    """Run a playbook, saying each task's name; what Ansible prints goes to the log.

    Raises PlaybookFailed that tells for each failed host the task and what it said. The inventory, the events and all
    that ansible-runner leaves are in a private directory that goes with the run.
    """
    run, report = current_run(), Report()

    def take(event: dict[str, Any]) -> bool:
        for line in str(event.get("stdout") or "").splitlines():
            run.log(f"  {line.rstrip()}")
        report.take(event)
        if event.get("event") in _TASKS:
            note(report.task)
        # Nothing of it needs to be kept in a file.
        return False

    with tempfile.TemporaryDirectory(prefix="arbaro-ansible-") as scratch:
        options: dict[str, Any] = {
            "private_data_dir": scratch,
            "playbook": str(playbook),
            "inventory": dict(inventory) if isinstance(inventory, Mapping) else str(inventory),
            "extravars": dict(variables or {}),
            "limit": ",".join(limit) or None,
            "forks": forks,
            "timeout": round(timeout),
            "envvars": _environment(config, _tied(Path(scratch))),
            "event_handler": take,
            # Only the main thread hears of Ctrl-C.
            "cancel_callback": run.interrupted.is_set,
            # pexpect_timeout: so many seconds after Ctrl-C, or its time, a silent playbook is ended.
            "settings": {"pexpect_timeout": 1, "fact_cache_type": "memory"},
            "quiet": True,
        }
        run.log(f"[this machine] $ ansible-playbook {playbook}")
        status, output = _run(run, options)
    if status != "successful":
        raise PlaybookFailed(playbook.name, report, status, output, timeout)
    return report


def _run(run: Run, options: Mapping[str, Any]) -> tuple[str, str]:
    """Run ansible-runner on a thread, so that Ctrl-C finds the main one; returns its status and what it printed."""
    import ansible_runner

    def start() -> tuple[str, str]:
        runner = ansible_runner.run(**options)
        with runner.stdout as printed:
            return runner.status, printed.read()

    with run.threads(1) as threads:
        return threads.submit(start).result()


def _tied(scratch: Path) -> Path:
    """A directory with an `ansible-playbook` that ends when we are killed: ansible-runner has it ignore SIGHUP."""
    program = scratch / "bin/ansible-playbook"
    program.parent.mkdir()
    real = Path(sys.executable).with_name("ansible-playbook")
    program.write_text(f'#!/bin/sh\nexec {shlex.join([*shell.TIED, str(real)])} "$@"\n')
    program.chmod(0o700)
    return program.parent


def _environment(config: Path | None, programs: Path) -> dict[str, str]:
    # Ours first: whoever has another Ansible keeps it for themselves.
    path = os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])
    own = {"PATH": path, "ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1"}
    return own | ({"ANSIBLE_CONFIG": str(config)} if config else {})
