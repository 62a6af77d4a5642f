# SPDX-License-Identifier: Apache-2.0
"""Docs and code say the same: every verb and option is documented, and every link leads somewhere."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from tests.fakes.home import move_in

from arbaro.cli import cli
from arbaro.envs import book, index

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("ansible/*.md"),
        *ROOT.glob("drills/*.md"),
        *ROOT.glob("images/**/*.md"),
    ]
)


def verbs(group: click.Group, prefix: str = "arbaro") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from verbs(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


@pytest.mark.parametrize(("name", "command"), list(verbs(cli)))
def test_every_verb_and_option_is_documented(name: str, command: click.Command) -> None:
    text = (ROOT / "docs/reference/commands.md").read_text()
    sections = [section for section in text.split("\n## ") if f"`{name}" in section.splitlines()[0]]
    assert len(sections) == 1
    section = sections[0]
    options = [
        option for parameter in command.params if isinstance(parameter, click.Option) for option in parameter.opts
    ]
    assert [option for option in options if f"`{option}`" not in section and f"`{option} " not in section] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_the_profile_of_the_how_to_is_part_of_openstacksdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    move_in(tmp_path, monkeypatch)
    block = re.search(r"(?m)^    clouds:\n(?:     .*\n)+", (ROOT / "docs/how-to/many-environments.md").read_text())
    assert block
    (tmp_path / "city.yaml").write_text(block[0])
    monkeypatch.setattr(socket, "create_connection", None)
    book.take_over(book.arrivals(tmp_path / "city.yaml", None), kind=None, replace=False)
    assert {"city/Fra1", "city/Sto2"} <= {one.name for one in index.environments() if not one.fault}


def test_every_setting_is_documented() -> None:
    assert "`underlay`" in (ROOT / "docs/reference/settings.md").read_text()
