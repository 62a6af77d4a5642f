# SPDX-License-Identifier: Apache-2.0
"""The threat model names tests: each must exist, and each line is held by one or says that it is not held."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/security.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
ROWS = [line for line in PAGE.read_text().splitlines() if line.startswith("|") and line.count("|") == 4]


@pytest.mark.parametrize("row", [row for row in ROWS if "Held by" not in row and not row.startswith("|---")])
def test_each_line_is_held_by_a_test_or_says_that_it_is_not(row: str) -> None:
    held = row.rstrip("|").rpartition("|")[2]
    assert NAMED.search(held) or "**not held**" in held


def test_there_are_lines_of_all_parties() -> None:
    assert len(ROWS) > 40


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED.findall(PAGE.read_text())}))
def test_each_named_test_exists(file: str) -> None:
    wanted = {name for where, name in NAMED.findall(PAGE.read_text()) if where == file}
    found = {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef)}
    assert wanted <= found
