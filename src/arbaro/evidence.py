# SPDX-License-Identifier: Apache-2.0
"""Evidence: what was seen of a system, and what should be there. It can be kept in a file and judged again."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from arbaro.errors import ArbaroError

#: Of the file's form. A reader takes its own version only.
VERSION = 1

Value = TypeVar("Value")


@dataclass(frozen=True)
class Seen:
    """One fact: its value (as JSON has it) and when it was seen; or an error, which says that nobody could look."""

    value: Any = None
    #: Seconds since 1970, by the clock of the machine that looked.
    at: float = 0.0
    error: str = ""


class NotSeen(Exception):
    """A check asks for a fact that could not be looked at: it can say neither that all is well nor that it is not."""

    def __init__(self, place: str, what: str, why: str) -> None:
        super().__init__(place, what, why)
        self.place, self.what, self.why = place, what, why


@dataclass(frozen=True)
class Evidence:
    """What was seen (`facts`) and what should be there (`wanted`): place → what → fact.

    A place is a host, or whatever else facts are about. Parts that were collected apart are joined by `|`.
    """

    about: str
    facts: Mapping[str, Mapping[str, Seen]] = field(default_factory=dict)
    wanted: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __or__(self, other: "Evidence") -> "Evidence":
        return Evidence(self.about, _joined(self.facts, other.facts), _joined(self.wanted, other.wanted))

    def value(self, place: str, what: str) -> Any:
        """The value of a fact. Raises NotSeen."""
        seen = self.facts.get(place, {}).get(what, Seen(error="nobody looked"))
        if seen.error:
            raise NotSeen(place, what, seen.error)
        return seen.value

    def should(self, place: str, what: str, default: Any = None) -> Any:
        """What should be there."""
        return self.wanted.get(place, {}).get(what, default)

    def places(self, what: str) -> list[str]:
        """The places where something of this kind should be."""
        return [place for place, wanted in self.wanted.items() if what in wanted]

    def save(self, path: Path) -> None:
        """Write it to a file that only its owner can read; whoever reads sees the old or the new one."""
        draft = path.with_name(f".{path.name}.new")
        draft.unlink(missing_ok=True)
        # What hosts print may be no Unicode; it must not make a file that nobody can read.
        text = json.dumps({"version": VERSION, **asdict(self)}, indent=1, ensure_ascii=False).encode(errors="replace")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
        draft.replace(path)


def load_evidence(path: Path) -> Evidence:
    """Read what `save` wrote. Raises ArbaroError for anything else, also for a file that is cut."""
    from pydantic import TypeAdapter, ValidationError

    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise _refusal(path, str(error.strerror)) from error
    except (ValueError, RecursionError) as error:
        raise _refusal(path, f"It is no whole JSON file: {error}") from error
    if not isinstance(found, dict) or "version" not in found:
        raise _refusal(path, "It is JSON of something else.")
    if found.pop("version") != VERSION:
        raise _refusal(path, f"Another version of arbaro wrote it; this one reads version {VERSION}.")
    try:
        return TypeAdapter(Evidence).validate_python(found)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:5]]
        raise _refusal(path, "\n".join(wrong)) from error


def _refusal(path: Path, why: str) -> ArbaroError:
    return ArbaroError(f"{path} is no evidence that arbaro can read.", why=why, hint=f"Collect it again: rm {path}")


def _joined(one: Mapping[str, Mapping[str, Value]], other: Mapping[str, Mapping[str, Value]]) -> dict[str, Any]:
    places: Sequence[str] = list(dict.fromkeys([*one, *other]))
    return {place: {**one.get(place, {}), **other.get(place, {})} for place in places}
