# SPDX-License-Identifier: Apache-2.0
"""The only place that prints lines, tables, JSON and errors; `progress` prints through it."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from arbaro.errors import ArbaroError


def say(text: str = "") -> None:
    """Print for the person; what would steer the terminal is made visible."""
    print(shown(text), flush=True)


def say_dimmed(text: str) -> None:
    """The same, less bright where the terminal can: for what matters less."""
    print(paint("2", shown(text)), flush=True)


def say_marked(before: str, colour: str, mark: str, text: str) -> None:
    """Print one line with a coloured word; nothing in the text gets it onto a second line, or acts on the terminal."""
    print(f"{before}{paint(colour, mark)}{in_one_line(text)}", flush=True)


def warn(text: str) -> None:
    """The same to standard error."""
    print(shown(text), file=sys.stderr, flush=True)


def hand_over(text: str) -> None:
    """Print something for a program, to the byte: what a shell evaluates, a file's text."""
    print(text, flush=True)


def shown(text: str) -> str:
    """A text without what acts on a terminal or is not seen there; line ends and tabs stay.

    Somebody else's file must not colour, move or turn round what arbaro says.
    """
    return text if text.isprintable() else "".join(map(_visible, text.replace("\r\n", "\n")))


def in_one_line(text: str) -> str:
    """The same, with line ends and tabs made visible too: for names and cells of tables."""
    return shown(text).replace("\n", "\\n").replace("\t", "\\t")


def _visible(character: str) -> str:
    if character.isprintable() or character in "\n\t":
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def print_json(value: Any) -> None:
    """Print a value as JSON, for other programs."""
    import json

    print(json.dumps(value, indent=2, default=str), flush=True)


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows with the same keys as aligned columns, the keys as heads."""
    if not rows:
        return
    if sys.stdout.isatty():
        _print_rich_table(rows)
        return
    heads = list(rows[0])
    cells = [[head.upper() for head in heads], *([in_one_line(str(row[head])) for head in heads] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    for line in cells:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print_rich_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """The same in a terminal: a cell that is too wide goes on below itself, not below its neighbours."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*(head.upper() for head in rows[0]), box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        # What clouds call things may look like markup.
        table.add_row(*(Text(in_one_line(str(cell))) for cell in row.values()))
    Console().print(table)


def print_error(error: ArbaroError, *, log: Path | None = None) -> None:
    """Print what failed, likely why, and what to type next."""
    print(paint("31;1", "Error: ", sys.stderr) + shown(error.what), file=sys.stderr, flush=True)
    for line in error.why.splitlines():
        warn(f"  {line}")
    if error.hint:
        warn(f"Next: {error.hint}")
    if log and log.exists():
        warn(f"Log:  {log}")


def seconds(value: float) -> str:
    """Write a duration as a person would: `8 s`, `3 min 20 s`."""
    whole = round(value)
    return f"{whole} s" if whole < 100 else f"{whole // 60} min {whole % 60:02d} s"


def paint(code: str, text: str, stream: Any = None) -> str:
    """The text in a colour of the terminal, where there is one and nobody has said NO_COLOR."""
    coloured = (stream or sys.stdout).isatty() and not os.environ.get("NO_COLOR")
    return f"\x1b[{code}m{text}\x1b[0m" if coloured else text
