# SPDX-License-Identifier: Apache-2.0
"""How often `arbaro doctor` names the right cause: a drill breaks a real cloud, the doctor is asked, and obeyed.

    .venv/bin/python benchmarks/doctor.py --cloud default       all drills, one seed each; goes on where it was
    .venv/bin/python benchmarks/doctor.py B02 R01 --seeds 3     these, with three seeds
    .venv/bin/python benchmarks/doctor.py --table               the table of what was kept

A row is kept for each (drill, seed) in RESULTS, and what the doctor saw in BUNDLES. What counts, fixed before the runs:
*right*: the first root has the expected code and host; for a double fault, both are among the roots. *extra*: a root
that was not expected. *mended*: the printed command alone makes the doctor call the cloud well, within two minutes.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from arbaro.checks import Finding
from arbaro.cluster.cloud import Cloud, existing_cloud
from arbaro.cluster.providers.podman import Podman
from arbaro.doctor.answer import Answer, answer
from arbaro.doctor.examine import Examination, examine
from arbaro.doctor.looking import look
from arbaro.doctor.subjects import find
from arbaro.drills import running
from arbaro.drills.catalogue import Drill, load_drills, parts_of
from arbaro.errors import ArbaroError

ROOT = Path(__file__).parents[1]
KEPT = Path("/var/tmp/arbaro-doctor")
RESULTS, BUNDLES = KEPT / "results.jsonl", KEPT / "bundles"
#: Seconds after a command in which the cloud may come back.
PATIENCE = 120


def main(argv: Sequence[str]) -> None:
    """Score what is asked for, or all that was not scored yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drills", nargs="*")
    parser.add_argument("--cloud", default="default")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--anew", action="store_true", help="score also what was right before")
    parser.add_argument("--minutes", type=float, default=600)
    wanted = parser.parse_args(argv)
    BUNDLES.mkdir(parents=True, exist_ok=True)
    if not wanted.table:
        cloud = existing_cloud(wanted.cloud, Podman())
        deadline = time.monotonic() + wanted.minutes * 60
        done = set() if wanted.anew else {(row["drill"], row["seed"]) for row in rows() if row.get("right")}
        names = wanted.drills or list(load_drills())
        for seed in range(wanted.seeds):
            for name in names:
                if (name, seed) not in done and time.monotonic() < deadline:
                    keep(score(cloud, load_drills()[name], seed))
    print("\n".join(table(list(rows()))))


def score(cloud: Cloud, drill: Drill, seed: int) -> dict[str, Any]:
    """Break it, ask, type what was said, and put everything back."""
    row: dict[str, Any] = {"drill": drill.id, "name": drill.name, "seed": seed, "at": time.time()}
    if wait_until_well(cloud) and not (KEPT / "healthy.json").exists():
        look(cloud).save(KEPT / "healthy.json")
    try:
        with running.broken(cloud, drill, seed) as values:
            wanted = [(cause.check, cause.host) for cause in running.expected(drill, values)]
            began = time.monotonic()
            examination = examine(lambda: look(cloud))
            examination.evidence.save(BUNDLES / f"{drill.id}-{seed}.json")
            told = answer(examination, find(examination.evidence, None))
            row |= {"seconds": round(time.monotonic() - began, 1), "verdict": told.verdict, "wanted": wanted}
            row |= judged(told, wanted, len(parts_of(drill)))
            if any(part.symptom in ("ping", "ssh", "dhcp") for part in parts_of(drill)) and values.get("VM"):
                row["of the server"] = codes(answer(examination, find(examination.evidence, values["VM"])))
            if row["right"]:
                row["mended"] = mends(cloud, told)
    except ArbaroError as error:
        row["void"] = f"{error.what} {error.why}"[:300]
    print(json.dumps(row), flush=True)
    return row


def judged(told: Answer, wanted: Sequence[tuple[str, str]], faults: int) -> dict[str, Any]:
    """Compare the roots with what was broken."""
    named = [(root.first.check, {root.first.host, *(one.where for one in root.findings)}) for root in told.roots]
    named += [
        (note.check, {note.host, note.where}) for note in told.notes if note.check in {code for code, _ in wanted}
    ]
    hits = [any(code == check and (not host or host in places) for check, places in named) for code, host in wanted]
    first = bool(named) and any(code == named[0][0] and (not host or host in named[0][1]) for code, host in wanted)
    extra = [check for check, _ in named if check not in {code for code, _ in wanted}]
    right = all(hits) if faults > 1 else first
    return {"right": right, "roots": codes(told), "extra": extra}


def codes(told: Answer) -> list[str]:
    """The roots, short."""
    return [f"{root.first.check} {root.where}" for root in told.roots]


def mends(cloud: Cloud, told: Answer) -> bool | None:
    """Type what the doctor says, and look whether the cloud is well; None where it names a look and no mend."""
    typed = False
    for root in told.roots:
        command = root.first.run
        if not command or re.search(r"FILE|SERVER|GROUP|  #|journalctl|ls -la|du -|show bgp|link show", command):
            continue
        path = f"PATH={Path(sys.executable).parent}:$PATH; cd {ROOT}; "
        done = subprocess.run(["bash", "-c", path + command], capture_output=True, text=True, timeout=600)
        typed = True
        if done.returncode:
            print(f"    {command}: {done.returncode} {done.stderr[-300:]}", flush=True)
    return wait_until_well(cloud, PATIENCE) if typed else None


def wait_until_well(cloud: Cloud, seconds: float = 240) -> bool:
    """Wait until the doctor finds nothing any more."""
    deadline = time.monotonic() + seconds
    while True:
        seen: Examination = examine(lambda: look(cloud), patience=0)
        wrong: list[Finding] = [one for one in seen.findings if one.severity in ("error", "unknown")]
        if not wrong and not seen.settling:
            return True
        if time.monotonic() > deadline:
            print(f"    not well: {[str(one) for one in wrong][:3]}", flush=True)
            return False
        time.sleep(5)


def keep(row: dict[str, Any]) -> None:
    """Add a row to the results."""
    with RESULTS.open("a") as file:
        file.write(json.dumps(row) + "\n")


def rows() -> Iterator[dict[str, Any]]:
    """The last row of each drill and seed."""
    found = {}
    for line in RESULTS.read_text().splitlines() if RESULTS.exists() else []:
        row = json.loads(line)
        found[row["drill"], row["seed"]] = row
    yield from found.values()


def table(kept: list[dict[str, Any]]) -> Iterator[str]:
    """What was measured, and each miss by its name."""
    whole = [row for row in kept if "void" not in row]
    single = [row for row in whole if not row["drill"].startswith("D")]
    double = [row for row in whole if row["drill"].startswith("D")]
    tried = [row for row in whole if row.get("mended") is not None]
    seconds = sorted(row["seconds"] for row in whole)
    silent = sum(row["verdict"] == "healthy" and not row["right"] for row in whole)
    yield "| what | wanted | measured |"
    yield "|---|---:|---:|"
    yield f"| single faults, first root right in code and scope | 95 % | {share(single, 'right')} |"
    yield f"| double faults, both | 80 % | {share(double, 'right')} |"
    yield f"| runs with a root that was not broken | 0 | {sum(bool(row['extra']) for row in whole)} of {len(whole)} |"
    yield f"| `healthy` said of a broken cloud | 0 | {silent} of {len(whole)} |"
    yield f"| the printed command alone mends | 90 % | {share(tried, 'mended')} |"
    if seconds:
        slow = seconds[int(0.95 * (len(seconds) - 1))]
        yield f"| seconds, median and 95 % | 20 | {statistics.median(seconds)}, {slow} |"
    yield f"| void: the drill broke nothing, or the cloud was ill | – | {len(kept) - len(whole)} |"
    yield ""
    for row in kept:
        if row.get("void"):
            yield f"- {row['drill']} {row['name']}, seed {row['seed']}: void: {row['void']}"
        elif not row["right"] or row["extra"] or row.get("mended") is False:
            why = [] if row["right"] else [f"wanted {row['wanted']}, told {row['roots'] or row['verdict']}"]
            why += [f"extra {row['extra']}"] if row["extra"] else []
            why += ["its command did not mend it"] if row.get("mended") is False else []
            yield f"- {row['drill']} {row['name']}, seed {row['seed']}: {'; '.join(why)}"


def share(of: list[dict[str, Any]], what: str) -> str:
    """So many of so many."""
    good = sum(bool(row[what]) for row in of)
    return f"{good} of {len(of)}" + (f" ({100 * good / len(of):.0f} %)" if of else "")


if __name__ == "__main__":
    main(sys.argv[1:])
