# SPDX-License-Identifier: Apache-2.0
"""What nft has to be told so that one ruleset becomes another, as one transaction; pure."""

from __future__ import annotations

from collections.abc import Iterator

from arbaro_l2isolate.firewall.rules import TABLE, Chain, Ruleset, Set

FAMILIES = ("inet", "arp")


def replacement(after: Ruleset) -> str:
    """Return a script that puts `after` in the place of whatever is there; the kernel swaps it between two packets."""
    lines = []
    for family in FAMILIES:
        # Added first, because what is not there cannot be deleted.
        lines += [f"add table {family} {TABLE}", f"delete table {family} {TABLE}", f"add table {family} {TABLE}"]
    return _script([*lines, *_difference({}, after)])


def changes(before: Ruleset, after: Ruleset) -> str:
    """Return a script that makes `after` of `before`; empty if they are the same."""
    return _script(_difference(before, after))


def _script(lines) -> str:
    return "".join(f"{line}\n" for line in lines)


def _difference(before: Ruleset, after: Ruleset) -> Iterator[str]:
    """Yield commands: first what others will point to, last what nothing points to any more."""
    new = [key for key in after if key not in before]
    gone = [key for key in before if key not in after]
    for key in new:
        yield _declare(key, after[key])
    for key, wanted in after.items():
        if isinstance(wanted, Chain) and wanted != before.get(key):
            if key in before:
                yield f"flush chain {_path(key)}"
            yield from (f"add rule {_path(key)} {rule}" for rule in wanted.rules)
    for key, wanted in after.items():
        if isinstance(wanted, Set):
            held = before[key].elements if key in before else frozenset()
            yield from _elements("delete", key, held - wanted.elements)
            yield from _elements("add", key, wanted.elements - held)
    yield from (f"flush chain {_path(key)}" for key in gone if isinstance(before[key], Chain))
    yield from (f"delete {_kind(before[key])} {_path(key)}" for key in gone if isinstance(before[key], Set))
    yield from (f"delete chain {_path(key)}" for key in gone if isinstance(before[key], Chain))


def _declare(key, thing) -> str:
    body = thing.hook if isinstance(thing, Chain) else thing.declaration
    return f"add {_kind(thing)} {_path(key)}" + (f" {{ {body} }}" if body else "")


def _elements(verb, key, elements) -> Iterator[str]:
    if elements:
        yield f"{verb} element {_path(key)} {{ {', '.join(sorted(elements))} }}"


def _kind(thing) -> str:
    return "chain" if isinstance(thing, Chain) else thing.kind


def _path(key) -> str:
    family, name = key
    return f"{family} {TABLE} {name}"
