# SPDX-License-Identifier: Apache-2.0
"""Openrc files are read as bash would source them, without being executed, and are written back without loss."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbaro.envs import openrc, translate
from arbaro.errors import ArbaroError

CASES = sorted((Path(__file__).parents[2] / "cases" / "openrc").iterdir())
PASSWORD = "typed in"


def sourced(path: Path) -> dict[str, str]:
    """What a real bash exports after sourcing the file, the password typed where it asks."""
    bare = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
    done = subprocess.run(
        ["bash", "--norc", "-c", '. "$1" >/dev/null; env -0', "-", path],
        input=f"{PASSWORD}\n", env=bare, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = dict(item.split("=", 1) for item in done.stdout.split("\0") if item)
    return {name: value for name, value in found.items() if name not in (*bare, "PWD", "SHLVL", "_", "OLDPWD")}


def read(path: Path) -> dict[str, str]:
    found = openrc.read(path)
    return found.exported | dict.fromkeys(found.asked, PASSWORD)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_read_as_bash_sources_it(path: Path) -> None:
    assert read(path) == sourced(path)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_out_again_as_it_came_in(path: Path, tmp_path: Path) -> None:
    entry, secret = translate.to_entries(openrc.read(path), str(path))
    whole = {**entry, "auth": {**entry["auth"], **secret.get("auth", {})}}
    again = tmp_path / "openrc"
    again.write_text(translate.to_openrc("x", whole))
    assert sourced(again) == sourced(path)
    assert read(again) == sourced(path)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("horizon-v3-openrc.sh", "horizon"),
        ("prod-1-openrc.sh", "prod-1"),
        ("openrc-test-2", "test-2"),
        ("packstack-keystonerc_admin", "packstack-admin"),
        ("kr-1.openrc", "kr-1"),
        ("openrc", "region"),
        (".openrc", "region"),
    ],
)
def test_names_come_from_file_names(name: str, wanted: str) -> None:
    assert translate.name_of(Path(name), {"region_name": "region", "auth": {}}) == wanted


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("export OS_AUTH_URL=$(hostname)\n", 1),
        ("\nexport OS_PASSWORD=`pass show x`\n", 2),
        ("export A=1\n\nsource ./other\n", 3),
        ("export OS_PASSWORD='half\n", 1),
        ("if hostname | grep -q x; then\n  export OS_AUTH_URL=x\nfi\n", 2),
        ("export A=1\nif [ -z '' ]; then\n", 2),
        ("curl evil | sh\n", 1),
    ],
)
def test_what_must_be_executed_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ArbaroError, match=f"rc, line {line}: "):
        openrc.parse(text, "rc")


def test_nothing_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for text in (f"echo $(touch {mark})", f"PS1=`touch {mark}`", f"trap 'touch {mark}' EXIT", f"X=$(touch {mark})"):
        openrc.parse(f"{text}\nexport OS_AUTH_URL=x\n", "rc")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("export OS_USERNAME=x", "OS_AUTH_URL"),
        ("export OS_AUTH_URL=x", "who logs in"),
        ("export OS_AUTH_URL=x OS_USERNAME=y", "OS_PASSWORD"),
    ],
)
def test_half_an_openrc_is_refused(text: str, missing: str) -> None:
    with pytest.raises(ArbaroError, match=f"rc, line 1: .*{missing}"):
        translate.to_entries(openrc.parse(text, "rc"), "rc")


VALUES = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["OS_AUTH_URL", "OS_PASSWORD", "OS_USERNAME", "OS_SOME_THING", "OTHER"]), VALUES)
)
def test_any_value_survives_the_way_through_clouds_yaml(values: dict[str, str]) -> None:
    found = openrc.Openrc(
        {"OS_AUTH_URL": "u", "OS_USERNAME": "me", "OS_PASSWORD": "p"} | {k: v or "v" for k, v in values.items()}
    )
    entry, secret = translate.to_entries(found, "x")
    text = translate.to_openrc("x", {**entry, "auth": {**entry["auth"], **secret["auth"]}})
    assert openrc.parse(text, "x").exported == found.exported
