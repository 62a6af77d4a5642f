# SPDX-License-Identifier: Apache-2.0
"""clouds.yaml and secure.yaml: what others wrote stays, nothing is half written, errors name file and line."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from arbaro.cloudspaths import clouds_file, secure_file
from arbaro.envs import book, clouds, index
from arbaro.envs.environment import Environment, find, matching
from arbaro.envs.kinds import guess_kind
from arbaro.errors import ArbaroError

OTHERS = """\
# Clouds of the team; ask Jin before changing.
cache:
  auth: true   # keep
clouds:
  # the old one
  test-1:
    auth:
      auth_url: 'https://k.example/v3'   # quoted
      username: jin
      project_name: "one"
    regions:
      - kr-1
      - kr-2
    x-other-tool: {keep: [me, too]}
x-top: stays
"""
Write = Callable[..., Path]


def names() -> list[str]:
    return [environment.name for environment in index.environments()]


def test_what_others_wrote_stays_byte_for_byte(write: Write) -> None:
    path = write(OTHERS)
    book.add("new", {"auth": {"auth_url": "u", "username": "me"}}, "hidden", kind="test", in_keyring=False)
    text = path.read_text()
    added = "  new:\n    auth:\n      auth_url: u\n      username: me\n    arbaro:\n      kind: test\n"
    assert text == OTHERS.replace("x-top", f"{added}x-top")
    assert path.with_name("clouds.yaml~").read_text() == OTHERS
    assert "hidden" not in text and "hidden" in secure_file().read_text()
    assert stat.S_IMODE(secure_file().stat().st_mode) == 0o600
    assert book.remove("new").startswith("Removed new")
    assert path.read_text() == OTHERS and "new" not in secure_file().read_text()


def test_marking_keeps_the_rest(write: Write) -> None:
    path = write(OTHERS)
    book.mark("test-1/kr-2", "production")
    assert {e.kind for e in index.environments()} == {"production"}
    assert path.read_text() == OTHERS.replace("too]}\n", "too]}\n    arbaro:\n      kind: production\n")


def test_each_region_is_an_environment(write: Write) -> None:
    write(OTHERS)
    assert names() == ["test-1/kr-1", "test-1/kr-2"]
    assert [e.os_region for e in index.environments()] == ["kr-1", "kr-2"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("clouds:\n  a: {auth: {}}\n  a: {auth: {}}\n", r"clouds.yaml, line 3: found duplicate key \"a\""),
        ("clouds:\n  a:\n\tb: 1\n", r"clouds.yaml, line 3: "),
        ("clouds:\n  a: [\n", r"clouds.yaml, line 3: "),
        ("clouds: [a, b]\n", r"clouds.yaml: 'clouds' must be a mapping"),
        ("just words\n", r"clouds.yaml: 'clouds' must be a mapping"),
    ],
)
def test_a_broken_file_is_named_with_its_line_and_left_alone(write: Write, text: str, says: str) -> None:
    path = write(text)
    with pytest.raises(ArbaroError, match=says):
        index.environments()
    with pytest.raises(ArbaroError, match=says):
        book.add("new", {"auth": {}}, "s", kind=None, in_keyring=False)
    assert path.read_text() == text and not path.with_name("clouds.yaml~").exists()
    assert not secure_file().exists()


def test_a_link_is_followed(write: Write, home: Path) -> None:
    real = home / "dotfiles.yaml"
    real.write_text("clouds: {}\n")
    clouds_file().parent.mkdir(parents=True)
    clouds_file().symlink_to(real)
    book.add("a", {"auth": {}}, "s", kind=None, in_keyring=False)
    assert clouds_file().is_symlink() and "a:" in real.read_text()


def test_imports_all_or_nothing(home: Path, write: Write) -> None:
    write("clouds: {taken: {auth: {}}}\n")
    good, half = home / "prod-1-openrc.sh", home / "half-openrc"
    good.write_text("export OS_AUTH_URL=u OS_USERNAME=m OS_PASSWORD=p\n")
    half.write_text("export OS_USERNAME=m\n")
    with pytest.raises(ArbaroError, match="half-openrc, line 1: "):
        book.take_over([a for path in (good, half) for a in book.arrivals(path, None)], kind=None, replace=False)
    with pytest.raises(ArbaroError, match="The name taken exists twice"):
        book.take_over(book.arrivals(good, "taken"), kind=None, replace=False)
    assert names() == ["taken"]
    book.take_over(book.arrivals(good, None), kind=None, replace=False)
    assert names() == ["taken", "prod-1"] and find("prod-1", index.environments()).secret == "file"


def test_a_colleagues_clouds_yaml_leaves_its_secrets_in_secure_yaml(home: Path) -> None:
    theirs = home / "theirs.yaml"
    theirs.write_text("clouds:\n  a: {auth: {auth_url: u, username: m, password: hidden}, note: [1]}\n")
    book.take_over(book.arrivals(theirs, None), kind="test", replace=False)
    assert "hidden" not in clouds_file().read_text() and "note" in clouds_file().read_text()
    assert "hidden" in secure_file().read_text()


def test_the_index_is_read_instead_of_yaml_and_notices_changes(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    path = write("clouds: {a: {auth: {}}}\n")
    assert names() == ["a"]
    monkeypatch.setattr(clouds, "load_environments", lambda: pytest.fail("YAML was read"))
    assert names() == ["a"]
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(path.parents[1]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(path.parents[2] / "cache"))
    path.write_text("clouds: {b: {auth: {}}}\n")
    # Older than before, as a file put back from a backup is.
    os.utime(path, ns=(1, 1))
    assert names() == ["b"]


def test_kinds_are_guessed_on_the_careful_side() -> None:
    assert [guess_kind(n) for n in ("prod-1", "kr-prd", "stage", "qa2", "my-dev", "arbaro-lab", "seoul")] == [
        "production", "production", "test", "test", "development", "development", "production",
    ]  # fmt: skip


def test_a_wrong_name_is_answered_with_near_ones() -> None:
    known = [Environment(n, guess_kind(n), n, "", "", "", "", "", "file") for n in ("prod-1", "prod-2", "dev")]
    with pytest.raises(ArbaroError, match="Did you mean prod-1") as error:
        find("prd-1", known)
    assert error.value.hint == "arbaro env use prod-1"
    assert [e.name for e in matching("prod-*", known)] == ["prod-1", "prod-2"]
    assert [e.name for e in matching("development", known)] == ["dev"]
    with pytest.raises(ArbaroError, match="No environment's name matches"):
        matching("x*", known)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "clouds:\n", "clouds: {}\n", "{}\n"])
def test_a_file_without_a_cloud_is_not_imported(home: Path, text: str) -> None:
    theirs = home / "theirs.yaml"
    theirs.write_text(text)
    with pytest.raises(ArbaroError, match="holds no cloud"):
        book.arrivals(theirs, None)
