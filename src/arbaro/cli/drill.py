# SPDX-License-Identifier: Apache-2.0
"""The commands of drills: ls, start, hint, check, solve, stop, score."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from arbaro.cli import drill_views
from arbaro.cli.options import JSON, NAME, VERBOSE, find_cloud
from arbaro.errors import EXIT_OK, EXIT_WARNING, ArbaroError

if TYPE_CHECKING:
    from arbaro.cluster.cloud import Cloud
    from arbaro.drills.catalogue import Drill


@click.group()
def drill() -> None:
    """Break a cloud on purpose, and learn to mend it.

    \b
    arbaro drill ls             the drills
    arbaro drill start          the easiest one that you have not done
    arbaro drill hint           a hint
    arbaro drill check          have you mended it?
    arbaro drill stop           put everything back
    """


@drill.command("ls")
@JSON
def list_drills(as_json: bool) -> int:
    """List the drills and what you have reached.

    The title is what a user sees; the cause is for you to find.
    """
    from arbaro import output
    from arbaro.drills import progress
    from arbaro.drills.catalogue import load_drills

    best = progress.best_points(_records(), load_drills())
    rows = [
        drill_views.row(one, best.get(one.id))
        for one in sorted(load_drills().values(), key=lambda one: (one.level, one.id))
    ]
    output.print_json(rows) if as_json else output.print_table(rows)
    return EXIT_OK


@drill.command()
@click.argument("drill_id", metavar="[DRILL]", required=False)
@NAME
@click.option("--random", "drawn", is_flag=True, help="Draw any drill.")
@click.option("--level", type=click.IntRange(1, 5), help="Take one of this level only.")
@click.option("--seed", type=int, help="Draw the same host and server again.")
@VERBOSE
def start(drill_id: str | None, name: str, drawn: bool, level: int | None, seed: int | None, verbose: bool) -> int:
    """Break a cloud that is well, and print a ticket.

    Without DRILL, the easiest one that you have not solved is taken.

    \b
    arbaro drill start
    arbaro drill start S01
    arbaro drill start B02 lab --seed 7
    arbaro drill start --random --level 3
    """
    from arbaro import output
    from arbaro.drills import running

    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    chosen = _choose(drill_id, level, seed, drawn=drawn)
    with _alone(name, verbose=verbose) as (cloud, note):
        begun = running.start(cloud, chosen, seed, note)
    drill_views.print_ticket(begun, chosen)
    output.say(f"\nNext: arbaro status {name}, arbaro drill hint {name}, arbaro drill check {name}")
    return EXIT_OK


@drill.command()
@NAME
def hint(name: str) -> int:
    """Give the next of four hints; each costs points.

    The last one is the cause.
    """
    from arbaro import output
    from arbaro.drills import running
    from arbaro.drills.catalogue import filled, find_drill

    with _alone(name) as (cloud, _):
        told, text = running.take_hint(cloud, running.state_of(cloud))
    output.say(f"Hint {told.hints} of 4: {filled(text, running.words(find_drill(told.drill), told.variables))}")
    return EXIT_OK


@drill.command()
@NAME
@JSON
@VERBOSE
def check(name: str, as_json: bool, verbose: bool) -> int:
    """See whether the cloud is mended, and what lacks.

    Three things count: what the user saw is gone, nothing else is broken, and the cause is mended. When all three
    hold, the drill is over. Ends with code 0 then, and 1 when something lacks.
    """
    from arbaro import output
    from arbaro.drills import running

    with _alone(name, verbose=verbose) as (cloud, note):
        begun = running.state_of(cloud)
        verdict = running.check(cloud, begun, note)
        if verdict.is_good:
            running.finish(cloud, begun, solved=True)
        else:
            running.count_check(cloud, begun)
    if as_json:
        output.print_json(drill_views.as_json(verdict))
    else:
        drill_views.print_verdict(verdict)
    if not verdict.is_good:
        return EXIT_WARNING
    if not as_json:
        drill_views.print_points(_records()[-1])
    return _wait_until_well(cloud, quiet=as_json)


@drill.command()
@NAME
@VERBOSE
def solve(name: str, verbose: bool) -> int:
    """Show the solution, and put everything back.

    It gives no points.
    """
    from arbaro import output
    from arbaro.drills import running
    from arbaro.drills.catalogue import filled, find_drill

    with _alone(name, verbose=verbose) as (cloud, note):
        begun = running.state_of(cloud)
        found = find_drill(begun.drill)
        words = running.words(found, begun.variables)
        output.say(f"{found.id} {found.name}: {filled(found.hints[-1], words)}\n")
        for move in found.solution:
            output.say(f"  {filled(move.type, words)}")
            output.say(f"      {filled(move.why, words)}")
        output.say(f"\nIt really happened: {found.source}\n")
        note("putting everything back")
        running.finish(cloud, begun, solved=False)
    return _wait_until_well(cloud)


@drill.command()
@NAME
@VERBOSE
def stop(name: str, verbose: bool) -> int:
    """Put back all that the drill that runs has broken.

    It may be repeated, also after it was killed or a machine was restarted.
    """
    from arbaro import output
    from arbaro.drills import running, state

    with _alone(name, verbose=verbose) as (cloud, note):
        begun = state.load(cloud.keeper.directory)
        if begun is None:
            output.say(f"No drill runs in the cloud {name}.")
            return EXIT_OK
        note("putting everything back")
        running.put_back(cloud, begun)
    return _wait_until_well(cloud)


@drill.command()
@JSON
def score(as_json: bool) -> int:
    """Show what you have solved, layer by layer."""
    from arbaro import output
    from arbaro.drills import progress
    from arbaro.drills.catalogue import load_drills

    records, drills = _records(), load_drills()
    rows = progress.score(records, drills)
    following = progress.next_drill(records, drills.values())
    if as_json:
        output.print_json({"layers": rows, "next": following.id if following else None})
        return EXIT_OK
    output.print_table(rows)
    output.say()
    output.say(f"Next: arbaro drill start {following.id}" if following else "You have solved all of them.")
    return EXIT_OK


@contextmanager
def _alone(name: str, *, verbose: bool = False) -> "Iterator[tuple[Cloud, Callable[[str], None]]]":
    """The cloud of this name, while nobody else changes it; what is done is logged, and told by the function."""
    from arbaro import output
    from arbaro.locks import only_one
    from arbaro.runs import current_run
    from arbaro.settings import log_file

    # A name that is no cloud's leaves no lock file behind.
    find_cloud(name)
    with only_one(name), current_run().log_to(log_file(name, "drill"), echo=verbose):
        yield find_cloud(name), lambda text: output.warn(f"  {text} …")


def _choose(name: str | None, level: int | None, seed: int, *, drawn: bool) -> "Drill":
    """The drill that is asked for, or drawn, or comes next. Raises ArbaroError."""
    from arbaro.drills import progress
    from arbaro.drills.catalogue import draw_drill, find_drill, load_drills

    if name:
        return find_drill(name)
    drills = list(load_drills().values())
    following = None if drawn else progress.next_drill(_records(), drills, level)
    return following or draw_drill(drills, level, seed)


def _records() -> "list[Any]":
    """What the person has done; lines that cannot be read are told, and counted as nothing."""
    from arbaro import output
    from arbaro.drills import progress

    records, broken = progress.read()
    if broken:
        lines = ", ".join(map(str, broken[:5]))
        output.warn(f"{progress.progress_file()}: these lines cannot be read and are left out: {lines}")
    return records


def _wait_until_well(cloud: "Cloud", *, quiet: bool = False) -> int:
    """Wait until status finds nothing any more, and say what is left when it does."""
    from arbaro import output
    from arbaro.drills import running

    left = running.wait_until_well(cloud)
    if left:
        name = cloud.spec.name
        raise ArbaroError(
            f"The drill is over, and the cloud {name} is not well yet.",
            why="\n".join(map(str, left[:5])),
            hint=f"arbaro status {name}",
        )
    if not quiet:
        output.say("Everything is as it was.")
    return EXIT_OK
