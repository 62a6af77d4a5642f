# SPDX-License-Identifier: Apache-2.0
"""The command `arbaro doctor`: what is wrong, what follows from it, and the one thing to type."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from arbaro.cli.options import JSON, complete_clouds, find_cloud
from arbaro.errors import EXIT_FAILURE, EXIT_OK, EXIT_WARNING, ArbaroError

if TYPE_CHECKING:
    from arbaro.doctor.answer import Answer, Root
    from arbaro.doctor.examine import Examination

MARKS = {"ok": ("32", "✓"), "broken": ("31;1", "✗"), "follows": ("2", "·"), "unknown": ("33", "?")}
CODES = {
    "healthy": EXIT_OK,
    "settling": EXIT_OK,
    "unknown": EXIT_WARNING,
    "warning": EXIT_WARNING,
    "broken": EXIT_FAILURE,
}


@click.command()
@click.argument("subject", required=False)
@click.option(
    "--cloud", "name", default="default", envvar="ARBARO_CLOUD", metavar="NAME", shell_complete=complete_clouds,
    help="The personal cloud.  [default: default]",
)  # fmt: skip
@click.option(
    "--bundle",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep what was seen in FILE (0600).",
)
@click.option(
    "--from-bundle",
    "kept",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Judge what another run has kept; nothing is looked at.",
)
@click.option("--all", "everything", is_flag=True, help="Show consequences and notes, too.")
@JSON
def doctor(
    subject: str | None, name: str, bundle: Path | None, kept: Path | None, everything: bool, as_json: bool
) -> int:
    """Find the cause when something does not work.

    SUBJECT is a server, port, address, host or machine; without it, the whole cloud is looked at. Nothing is changed.
    Ends with code 0 when all is well, 1 with warnings only or when something could not be looked at, 2 when
    something is broken.

    \b
    arbaro doctor
    arbaro doctor first-vm
    arbaro doctor 198.18.1.37 --cloud lab
    arbaro doctor --bundle evidence.json
    arbaro doctor first-vm --from-bundle evidence.json
    """
    from arbaro import output
    from arbaro.doctor.answer import answer
    from arbaro.doctor.examine import examine, judged
    from arbaro.doctor.subjects import find
    from arbaro.evidence import load_evidence

    began = time.monotonic()
    if kept:
        examination = judged(load_evidence(kept))
    else:
        from arbaro.doctor.looking import look

        cloud = find_cloud(name)
        examination = examine(lambda: look(cloud), note=lambda text: None if as_json else output.say_dimmed(text))
    if bundle:
        try:
            examination.evidence.save(bundle)
        except OSError as error:
            raise ArbaroError(f"{bundle} cannot be written: {error.strerror}.", hint="Name another file.") from error
    try:
        found = answer(examination, find(examination.evidence, subject))
    except (KeyError, TypeError, AttributeError) as error:
        if not kept:
            raise
        hint = "Collect it again with this version of arbaro: arbaro doctor --bundle FILE"
        raise ArbaroError(f"{kept} is of another form than this arbaro reads ({error!r}).", hint=hint) from error
    seconds = time.monotonic() - began
    if as_json:
        output.print_json(report(found, seconds))
    else:
        show(found, examination, seconds, everything=everything)
    return CODES[found.verdict]


def show(found: "Answer", examination: "Examination", seconds: float, *, everything: bool) -> None:
    """Print the answer for a person. What clouds and hosts say stays on its line, so that it is not taken for ours."""
    from arbaro import output

    output.say(output.in_one_line(found.sentence))
    output.say()
    for mark, title in found.stages():
        colour, sign = MARKS[mark]
        output.say_marked("  ", colour, sign, f" {title}" + (" (follows)" if mark == "follows" else ""))
    for root in found.roots:
        _show_root(root, everything=everything)
    few = None if everything else 3
    if found.unknown or found.notes or found.elsewhere:
        output.say()
    for hole in found.unknown[:few]:
        output.say_marked("", "33", "Not looked at", f": {hole.where}: {hole.saw}")
    for note in found.notes[:few]:
        output.say_dimmed(f"Note: {output.in_one_line(str(note))}")
    for root in found.elsewhere:
        output.say_dimmed(output.in_one_line(f"Not of {found.subject.name}: {root.where}: {root.first.saw}"))
    hosts = len(examination.evidence.should("site", "groups", {}))
    output.say_dimmed(f"\n{seconds:.1f} s, {hosts} hosts looked at, nothing changed")


def _show_root(root: "Root", *, everything: bool) -> None:
    from arbaro import output

    first, indent = root.first, " " * 7
    output.say()
    output.say_marked("", "31;1", "Cause", f": {root.where}: {first.saw}   [{first.check}]")
    for other in root.findings[1:4]:
        output.say_marked(indent, "0", "also", f": {other.saw}")
    if first.means:
        output.say(indent + output.in_one_line(first.means))
    if root.consequences:
        places = list(dict.fromkeys(one.where for one in root.consequences))
        told = ", ".join(places[:4]) + (f" and {len(places) - 4} more" if len(places) > 4 else "")
        number = len(root.consequences)
        more = f"{number} more finding" + ("s" if number > 1 else "")
        output.say_dimmed(output.in_one_line(f"{indent}follows from it: {more} ({told})"))
        for one in root.consequences if everything else ():
            output.say_dimmed(output.in_one_line(f"{indent}  · {one}   [{one.check}]"))
    if first.run:
        output.say(f"Type:  {output.in_one_line(first.run)}")


def report(found: "Answer", seconds: float) -> dict[str, Any]:
    """The same for a program."""
    return {
        "schema": 1,
        "subject": {
            "kind": found.subject.kind,
            "name": found.subject.name,
            "host": found.subject.host,
            "state": found.subject.state,
        },
        "verdict": found.verdict,
        "says": found.sentence,
        "roots": [_as_json(root) for root in found.roots],
        "unknown": [{"where": one.where, "saw": one.saw, "code": one.check} for one in found.unknown],
        "notes": [{"where": one.where, "saw": one.saw, "code": one.check, "run": one.run} for one in found.notes],
        "elsewhere": [_as_json(root) for root in found.elsewhere],
        "settling": [{"host": host, "unit": unit, "seconds": left} for host, unit, left in found.settling],
        "seconds": round(seconds, 1),
    }


def _as_json(root: "Root") -> dict[str, Any]:
    first = root.first
    return {
        "code": first.check,
        "where": list(dict.fromkeys(one.where for one in root.findings)),
        "host": first.host,
        "severity": first.severity,
        "saw": [one.saw for one in root.findings],
        "means": first.means,
        "run": first.run,
        "consequences": [{"code": one.check, "where": one.where, "saw": one.saw} for one in root.consequences],
    }
