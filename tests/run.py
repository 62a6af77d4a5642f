# SPDX-License-Identifier: Apache-2.0
"""Runs all suites, what can side by side, and tells the minutes of each and the slowest tests, whatever fails.

`make test` and `make soak` call it with Debian's python3: nothing is installed yet on a clean machine. Each suite is a make
target. Its output is printed whole when it ends; only what runs alone is printed as it comes.
"""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
MARK = "<!-- From here on written by the run. -->"
SLOWEST = 30
DURATION = re.compile(r"^(\d+\.\d+)s (call|setup|teardown) +(\S.*)$")


@dataclass(frozen=True)
class Job:
    """One command: it begins when all of `after` have ended, and only if all of `needs` have succeeded."""

    name: str
    command: str
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    #: Nothing runs at the same time, so its lines may be printed as they come.
    alone: bool = False


@dataclass
class Result:
    """How a job went; `code` is None as long as it has not ended, or was never begun."""

    code: int | None = None
    began: float = 0.0
    seconds: float = 0.0
    cpu: float = 0.0
    output: str = ""

    @property
    def words(self) -> str:
        """The result in a word or two."""
        if self.code is None:
            return "cut short" if self.began else "not run"
        return f"**failed** ({self.code})" if self.code else "passed"


def test_jobs(venv_is_there: bool) -> list[Job]:
    """`make test`: the suites that need no cloud run while the images are baked, in two rows; then the live tests.

    Each row waits half of its time for others (namespaces, emulated machines), so two of them keep two cores busy.
    apt is used by one at a time: the launcher (by `dev`) where Debian's python3-venv is missing, then the tests' packages,
    then what arbaro installs for itself.
    """
    return [
        Job("packages", "tests/install envs plugins machines live", after=() if venv_is_there else ("dev",)),
        Job("dev", "make dev"),
        Job("prepare", "make prepare", needs=("packages", "dev")),
        Job("images", "make images", needs=("packages", "dev")),
        Job("lint", "make lint", needs=("dev",), after=("packages",)),
        Job("unit", "make unit", needs=("dev",), after=("lint",)),
        Job("engine", "make engine", needs=("dev",), after=("unit",)),
        Job("machines", "make machines", needs=("prepare",), after=("engine",)),
        Job("envs", "make envs", needs=("packages", "dev"), after=("packages",)),
        Job("plugins", "make plugins", needs=("prepare",), after=("envs",)),
        Job("live", "make live", needs=("images",), after=("machines", "plugins"), alone=True),
    ]


def soak_jobs() -> list[Job]:
    """`make soak`: what is heavy and seldom breaks, one after another."""
    return [
        Job("packages", "tests/install machines-live soak", alone=True),
        Job("dev", "make dev", after=("packages",), alone=True),
        Job("envs-soak", "make envs-soak", needs=("dev",), alone=True),
        Job("machines-live", "make machines-live", needs=("packages", "dev"), after=("envs-soak",), alone=True),
        Job("live-soak", "make live-soak", needs=("packages", "dev"), after=("machines-live",), alone=True),
    ]


class Run:
    """The jobs with their results; one thread each, and one lock for what is printed."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        self.results = {job.name: Result() for job in jobs}
        self.began = time.monotonic()
        self._ended = {job.name: threading.Event() for job in jobs}
        self._processes: dict[str, int] = {}
        self._printing = threading.Lock()

    def to_the_end(self) -> None:
        """Run all; a signal ends what runs, and is raised as SystemExit."""
        threads = [threading.Thread(target=self._do, args=(job,), daemon=True) for job in self.jobs]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(1)
        except SystemExit:
            for group in list(self._processes.values()):
                os.killpg(group, signal.SIGTERM)
            raise

    def _do(self, job: Job) -> None:
        for name in (*job.needs, *job.after):
            self._ended[name].wait()
        try:
            if all(self.results[name].code == 0 for name in job.needs):
                self._run(job, self.results[job.name])
        finally:
            self._ended[job.name].set()

    def _run(self, job: Job, result: Result) -> None:
        self._say(f"== {job.name} begins: {job.command}")
        result.began = time.monotonic()
        # A file, not a pipe: what a suite leaves running does not keep us waiting for the pipe's end.
        with tempfile.NamedTemporaryFile() as output, Path(output.name).open(errors="replace") as reader:
            options = f"{os.environ.get('PYTEST_ADDOPTS', '')} --durations={SLOWEST} --durations-min=0.1"
            env = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTEST_ADDOPTS": options}
            process = subprocess.Popen(
                job.command.split(), cwd=ROOT, env=env, stdout=output, stderr=output, start_new_session=True
            )
            self._processes[job.name] = process.pid
            ended = 0
            while not ended:
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
                more = reader.read()
                result.output += more
                if job.alone and more:
                    self._say(more, end="")
                time.sleep(0 if ended else 0.2)
        del self._processes[job.name]
        process.returncode = result.code = os.waitstatus_to_exitcode(status)
        result.seconds, result.cpu = time.monotonic() - result.began, usage.ru_utime + usage.ru_stime
        whole = "" if job.alone else result.output
        self._say(f"{whole}== {job.name} {result.words} after {minutes(result.seconds)}\n")

    def _say(self, text: str, end: str = "\n") -> None:
        with self._printing:
            print(text, end=end, flush=True)


def minutes(seconds: float) -> str:
    """Write a time as minutes and seconds."""
    return f"{round(seconds) // 60}:{round(seconds) % 60:02}"


def slowest(outputs: Mapping[str, str]) -> list[tuple[float, str, str, str]]:
    """Merge what pytest told of each suite: (seconds, suite, phase, test), the slowest first."""
    found = [
        (float(match[1]), suite, match[2], match[3])
        for suite, output in outputs.items()
        for line in output.splitlines()
        if (match := DURATION.match(line.rstrip()))
    ]
    return sorted(found, reverse=True)[:SLOWEST]


def failures(outputs: Mapping[str, str]) -> list[str]:
    """What pytest told of failed tests, whole: logs of a run are often kept without their middle."""
    return [
        f"{suite}: {line.rstrip()[:1000]}"
        for suite, output in outputs.items()
        for line in output.splitlines()
        if line.startswith(("FAILED ", "ERROR ", "E  "))
    ]


def table(run: Run, began: float, ended: float) -> str:
    """Minutes of each job and of all, and the slowest tests, as Markdown."""
    rows = ["| target | result | minutes | CPU minutes | begins at |", "|---|---|---:|---:|---:|"]
    for job in run.jobs:
        result = run.results[job.name]
        times = [minutes(result.seconds or ended - result.began), minutes(result.cpu), minutes(result.began - began)]
        rows.append(f"| {job.name} | {result.words} | {' | '.join(times if result.began else ['–'] * 3)} |")
    rows.append(f"| **all** | | **{minutes(ended - began)}** | | |")
    rows += ["", "| seconds | suite | phase | test |", "|---:|---|---|---|"]
    outputs = {name: result.output for name, result in run.results.items()}
    rows += [f"| {seconds:.1f} | {suite} | {phase} | `{test}` |" for seconds, suite, phase, test in slowest(outputs)]
    return "\n".join(rows)


def commit() -> str:
    """The commit that is tried, as far as git can tell."""
    git = ["git", "-C", str(ROOT)]
    name = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/*.md"],
        capture_output=True,
        text=True,
    ).stdout
    return (name or "unknown") + (" with changes" if changed else "")


def keep(page: Path, text: str) -> None:
    """Write what this run showed below the mark of its page."""
    head, mark, _ = page.read_text().partition(MARK)
    page.write_text(f"{head}{mark}\n\n{text}\n")


def main(kind: str) -> int:
    """Run all jobs of a kind, print what they took, and keep it in the page of that kind."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    page = ROOT / "benchmarks" / {"test": "tests.md", "soak": "soak.md"}[kind]
    if kind == "soak":
        print(page.read_text().partition(MARK)[2].strip().partition("\n")[0], flush=True)
    run = Run(test_jobs(importlib.util.find_spec("ensurepip") is not None) if kind == "test" else soak_jobs())
    what, began = commit(), run.began
    code = 1
    try:
        run.to_the_end()
        code = 0 if all(result.code == 0 for result in run.results.values()) else 1
    finally:
        summary = table(run, began, time.monotonic())
        # On a line of its own, whatever was cut short.
        print(f"\n\n{summary}\n", flush=True)
        print("\n".join(failures({name: result.output for name, result in run.results.items()})), flush=True)
        machine = f"{os.cpu_count()} cores, load {os.getloadavg()[2]:.1f} over the last 15 minutes"
        result = "all passed" if code == 0 else "not all passed"
        # What soak found is told whatever it was; minutes count only of a run that is whole.
        if code == 0 or kind == "soak":
            keep(page, f"Last run: {time.strftime('%Y-%m-%d %H:%M')}, commit {what}, {machine}; {result}.\n\n{summary}")
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
