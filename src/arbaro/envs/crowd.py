# SPDX-License-Identifier: Apache-2.0
"""One command in many environments at once, and one table of what it printed; a dead one holds nobody up."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arbaro import shell
from arbaro.envs.environment import Environment
from arbaro.envs.switch import Place, is_about_clouds, variables
from arbaro.errors import ArbaroError, CommandError
from arbaro.runs import current_run

#: More at once would mostly wait for this machine's processors: each openstack client takes a second of one.
AT_ONCE = 16


@dataclass(frozen=True)
class Answer:
    """What the command printed in one environment, or in a sentence why it did not."""

    environment: str
    output: str = ""
    failed: str = ""


def ask_all(
    environments: Sequence[Environment], enter: Callable[[Environment], Place], argv: Sequence[str], timeout: float
) -> list[Answer]:
    """Run a command in each environment side by side; answers in the order of the environments."""
    with current_run().threads(min(AT_ONCE, len(environments))) as pool:
        return list(pool.map(lambda environment: _ask(environment, enter, argv, timeout), environments))


def _ask(
    environment: Environment, enter: Callable[[Environment], Place], argv: Sequence[str], timeout: float
) -> Answer:
    try:
        place = enter(environment)
        return Answer(environment.name, shell.run(_command(place, argv), timeout=timeout, env=_variables(place)))
    except CommandError as error:
        last = error.output.strip().splitlines()[-1:] or [f"ended with code {error.code}"]
        return Answer(environment.name, failed=last[0])
    except ArbaroError as error:
        return Answer(environment.name, failed=error.what)


def _command(place: Place, argv: Sequence[str]) -> list[str]:
    """The command without the variables that this shell has of another environment; values stay out of the argv."""
    chosen = variables(place)
    gone = [name for name in os.environ if is_about_clouds(name) and name not in chosen]
    return ["env", *(word for name in gone for word in ("-u", name)), *argv]


def _variables(place: Place) -> dict[str, str]:
    return variables(place) | {"PATH": search_path()}


def search_path() -> str:
    """The PATH with our own openstack client at its end, for machines that have no other."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])


def merge(answers: Sequence[Answer]) -> list[dict[str, Any]] | None:
    """One table out of the JSON that each printed, the environment in the first column; None if it is not JSON."""
    rows: list[dict[str, Any]] = []
    for answer in answers:
        if answer.failed:
            continue
        try:
            found = json.loads(answer.output)
        except ValueError:
            return None
        items = found if isinstance(found, list) else [found]
        rows += [{"environment": answer.environment, **(i if isinstance(i, dict) else {"value": i})} for i in items]
    return _same_columns(rows)


def _same_columns(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    heads = list(dict.fromkeys(key for row in rows for key in row))
    return [{head: row.get(head, "") for head in heads} for row in rows]


def lines(answers: Sequence[Answer]) -> list[str]:
    """What was printed line by line, each with its environment before it."""
    width = max(len(answer.environment) for answer in answers)
    return [f"{a.environment.ljust(width)}  {text}" for a in answers if not a.failed for text in a.output.splitlines()]
