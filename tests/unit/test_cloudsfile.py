# SPDX-License-Identifier: Apache-2.0
"""No entry of a person's clouds.yaml is lost, hidden or read otherwise because we wrote into the file.

The judge is openstacksdk: what it read before, it reads after.
"""

import copy
import json
import os
import random
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from openstack.config import OpenStackConfig
from tests.fakes.home import move_in

from arbaro import cloudsfile, cloudspaths, cloudstext
from arbaro.cloudsfile import GONE
from arbaro.errors import ArbaroError

# The same examples in each run: a new find must not stop an unrelated change. Search on with `--hypothesis-seed=random` and more examples.
QUICK = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
#: What YAML 1.1 or 1.2 takes for something else than text, and what needs quotes for other reasons.
ODD = [
    *("no", "on", "NO", "y", "null", "~", "", "12:34:56", "0123", "0o17", "1e3", "1_000", ".5", "+1", "2024-01-01"),
    *("=", "<<", "-", "*x", "&x", "!vault", "%a", "@a", "`a", "a: b", "a #b", " a", "a\nb", "\t", "{{ a }}", "[", "'"),
    *('"', "\\", "é", "\u2028", "\x85", "😀", "\x7f", "100%", "0x1f", "1.2.3.4", "-inf", ".nan", "true", "0b1", "١"),
]
TEXT = st.one_of(st.sampled_from(ODD), st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12))
NAME = TEXT.filter(bool)
VALUE = st.recursive(
    st.one_of(TEXT, st.booleans(), st.integers(-9, 99), st.none()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=3),
    max_leaves=6,
)
ENTRY = st.fixed_dictionaries(
    {"auth": st.dictionaries(NAME, TEXT, max_size=3)}, optional={"region_name": TEXT, "x": VALUE}
)
CLOUDS = st.dictionaries(NAME, st.none() | ENTRY, max_size=4)


def as_yaml(document: Any, **style: Any) -> str:
    return yaml.safe_dump(document, allow_unicode=True, **style)


def commented(document: Any) -> str:
    lines = as_yaml(document, sort_keys=False).splitlines()
    # A comment after a line is one only where no quoted text goes on.
    return "# first\n---\n" + "\n".join(lines) + "\n\n# last\n"


FORMS = {
    "block": lambda d: as_yaml(d, default_flow_style=False),
    "wide": lambda d: as_yaml(d, default_flow_style=False, indent=6, width=20),
    "flow": lambda d: as_yaml(d, default_flow_style=True),
    "double quotes": lambda d: as_yaml(d, default_style='"'),
    "literal": lambda d: as_yaml(d, default_style="|"),
    "comments": commented,
    "windows": lambda d: as_yaml(d).replace("\n", "\r\n"),
    "json": lambda d: json.dumps(d, indent=4),
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "config/openstack").mkdir(parents=True)
    return move_in(tmp_path, monkeypatch)


def seen(path: Path) -> dict[str, Any]:
    """What openstacksdk reads in a file."""
    config = OpenStackConfig(config_files=[str(path)], secure_files=[], vendor_files=[], load_envvars=False)
    return dict(config.cloud_config["clouds"])


def read(text: str, form: str) -> Any:
    """The document as openstacksdk reads it (`_load_yaml_json_file`)."""
    return json.loads(text) if form == "json" else yaml.safe_load(text)


@given(
    clouds=CLOUDS, form=st.sampled_from(list(FORMS)), name=NAME, entry=ENTRY, top=st.sampled_from([{}, {"x": ["no"]}])
)
@example(clouds={"x": {"auth": {}}}, form="comments", name="y", entry={"auth": {"k": "v"}}, top={})
@example(clouds={"x": None, "y": {"auth": {"k": "%"}}}, form="comments", name="y", entry={"auth": {"k": "v"}}, top={})
@example(clouds={"a": {"auth": {}}, "b": {"auth": {}}}, form="comments", name="a", entry={"auth": {}}, top={})
@QUICK
def test_other_entries_are_what_they_were(clouds: dict[str, Any], form: str, name: str, entry: Any, top: Any) -> None:
    path, text = Path(f"clouds.{form}"), FORMS[form]({"clouds": clouds, **top}).replace("\r\n", "\n")
    before = read(text, form)["clouds"]
    others = {key: value for key, value in before.items() if key != name}
    for change, wanted in (
        ({(name,): entry}, {name: entry}),
        ({(name, "arbaro", "kind"): "no"}, {name: {**entry, "arbaro": {"kind": "no"}}}),
        ({(name,): GONE}, {}),
    ):
        try:
            text = cloudstext.changed(text, path, change)
        except ArbaroError:
            # Refused, and so harmless: YAML 1.1 and 1.2 differ in what ends a line.
            assert set(text) & set("\x85\u2028\u2029")
            return
        assert read(text, form) == {"clouds": others | wanted, **top}
    assert not others or ("# first" in text and "# last" in text) == (form == "comments")


PERSONS = """\
x-common: &common {auth: &auth {auth_url: 'https://k'}, verify: no}
clouds:
  a: &a
    <<: *common
    region_name: on   # 1.1
  b: {<<: [*a, *common], region_name: 12:34:56}
  c: *a
  d: {auth: *auth, password: 0123, since: 2024-01-01}
  1: {auth: {}}
  yes: {auth: {}}
  "no": text
"""


@pytest.mark.parametrize("name", ["a", "b", "c", "d", "no", "yes", "1", "new"])
@pytest.mark.parametrize("way", [("arbaro", "kind"), (), None])
def test_anchors_and_unquoted_words(home: Path, name: str, way: tuple[str, ...] | None) -> None:
    """Either the one change is made, or it is refused and nothing is written."""
    path = home / "config/openstack/clouds.yaml"
    path.write_text(PERSONS)
    before = copy.deepcopy(seen(path))
    change = {(name,): GONE} if way is None else {(name, *way): "test" if way else {"auth": {}}}
    try:
        cloudsfile.edit(path, change)
    except ArbaroError as error:
        assert "nothing was written" in str(error.what) and path.read_text() == PERSONS
        return
    after = seen(path)
    assert (name in after) == (way is not None)
    for found in (before, after):
        found.pop(name, None)
    assert repr(after) == repr(before)


@given(VALUE)
@example({word: word for word in ODD if word})
@QUICK
def test_what_we_write_is_read_as_it_was_meant(value: Any) -> None:
    from ruamel.yaml import YAML

    text = cloudstext.written({"clouds": {"x": {"v": value}}})
    assert repr(yaml.safe_load(text)["clouds"]["x"]["v"]) == repr(value)
    assert YAML(typ="safe", pure=True).load(text)["clouds"]["x"]["v"] == value


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("clouds: {v: {auth: {password: !s3cret x}}}\n", 1),
        ("clouds:\n  j: {auth: {{ s3cret }}}\n", 2),
        ("clouds:\n  a: {auth: {password: *s3cret}}\n", 2),
        ("clouds:\n  a: {auth: {password: one}}\n  a: {auth: {password: s3cret}}\n", 3),
        ("clouds:\n  a:\n    auth: {s3cret: 1, s3cret: 2}\n", 3),
        ("clouds:\n  a: {auth: {password: %s3cret}}\n", 2),
        ('clouds:\n  a: {auth: {password: "\\s3cret"}}\n', 2),
        ("clouds:\n  a: {auth: {password: s3cret: x}}\n", 2),
        ("clouds:\n  a: {auth: {password: 's3cret}}\n", 3),
        ("clouds:\n  a: {auth: {password: \x01s3cret}}\n", 2),
    ],
)
def test_errors_name_the_line_and_no_secret(home: Path, text: str, line: int) -> None:
    path = home / "config/openstack/clouds.yaml"
    path.write_text(text)
    for act in (lambda: cloudsfile.load(path), lambda: cloudsfile.edit(path, {("new",): {}})):
        with pytest.raises(ArbaroError, match=f"clouds.yaml, line {line}: ") as error:
            act()
        told = f"{error.value.what} {error.value.why} {error.value.hint}"
        assert "s3cret" not in told
        assert error.value.__cause__ is None and (error.value.__suppress_context__ or not error.value.__context__)
    assert path.read_text() == text


@pytest.mark.parametrize(
    "variables",
    [{}, {"XDG_CONFIG_HOME": "/elsewhere"}, {"XDG_CONFIG_DIRS": "/a:/b"}, {"SNAP_REAL_HOME": "/real"}, {"HOME": "/h"}],
)
def test_the_places_are_those_of_openstacksdk(home: Path, variables: dict[str, str]) -> None:
    code = (
        "from openstack.config import loader as l; print(*l.CONFIG_FILES, *l.SECURE_FILES, *l.VENDOR_FILES, sep='\\n')"
    )
    ours = "from arbaro import cloudspaths as c; print(*c.clouds_places(), *c.secure_places(), *c.vendor_places(), sep='\\n')"
    base = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    env = {**base, "HOME": str(home), **variables}
    lists = [
        list(
            dict.fromkeys(
                subprocess.run(
                    [sys.executable, "-c", text], cwd=home, env=env, capture_output=True, text=True, check=True
                ).stdout.splitlines()
            )
        )
        for text in (code, ours)
    ]
    here = [path for path in lists[0] if Path(path).parent != home]
    assert lists[1] == here and len(lists[0]) == len(here) + 9


def test_what_is_chosen_comes_first_where_it_exists(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = home / "config/openstack/clouds.yml"
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(home / "chosen"))
    assert cloudspaths.clouds_file() == home / "chosen"
    # Writing the chosen one anew would hide this one.
    own.write_text("clouds: {}\n")
    assert cloudspaths.clouds_file() == own
    (home / "chosen").write_text("clouds: {}\n")
    assert cloudspaths.clouds_file() == home / "chosen"
    # In a switched shell the variable is ours.
    monkeypatch.setenv("ARBARO_ENV", "x")
    assert cloudspaths.clouds_file() == own
    monkeypatch.setenv("ARBARO_ENV_CLOUDS", str(home / "chosen"))
    assert cloudspaths.clouds_file() == home / "chosen"


def test_mode_link_and_old_file_stay(home: Path) -> None:
    real, path = home / "dotfiles.yml", home / "config/openstack/clouds.yml"
    real.write_text("clouds: {}\n")
    real.chmod(0o640)
    path.symlink_to(real)
    cloudsfile.edit(path, {("a",): {}})
    assert path.is_symlink() and stat.S_IMODE(real.stat().st_mode) == 0o640 and "a:" in real.read_text()
    assert real.with_name("dotfiles.yml~").read_text() == "clouds: {}\n"
    cloudsfile.forget(path, "a")
    assert path.is_symlink() and real.exists()


@pytest.mark.parametrize("there", [Path("/dev/null"), Path("/")])
def test_what_is_no_file_is_not_replaced(there: Path) -> None:
    with pytest.raises(ArbaroError, match="is no file"):
        cloudsfile.replace(there, "x", private=True)
    assert not there.is_file()


WRITE = """
import sys
from arbaro import cloudsfile, cloudspaths
name, count = sys.argv[1], int(sys.argv[2])
for n in range(count):
    with cloudsfile.locked():
        cloudsfile.edit(cloudspaths.secure_file(), {(f"{name}-{n}",): {"auth": {"password": "x" * 999}}}, private=True)
        cloudsfile.edit(cloudspaths.clouds_file(), {(f"{name}-{n}",): {"auth": {}}})
"""


def writer(name: str, count: int, **variables: str) -> subprocess.Popen[bytes]:
    env = {**os.environ, **variables}
    return subprocess.Popen([sys.executable, "-c", WRITE, name, str(count)], env=env)


def test_writers_at_once_lose_nothing(home: Path) -> None:
    """Two of them reach the same secure.yaml with another clouds.yaml."""
    (home / "config/openstack/secure.yml").write_text("clouds: {mine: {auth: {password: p}}}\n")
    (home / "elsewhere").mkdir()
    other = home / "elsewhere/clouds.yaml"
    other.write_text("clouds: {mine: {}}\n")
    chosen = {"OS_CLIENT_CONFIG_FILE": str(other)}
    writers = [writer("a", 5), writer("b", 5), writer("c", 5, **chosen), writer("d", 5, **chosen)]
    assert [process.wait(timeout=120) for process in writers] == [0] * 4
    secrets = cloudsfile.load(home / "config/openstack/secure.yml")
    assert set(secrets) == {"mine", *(f"{name}-{n}" for name in "abcd" for n in range(5))}
    assert len(cloudsfile.load(home / "config/openstack/clouds.yaml")) == 10 and len(cloudsfile.load(other)) == 11


def test_a_killed_writer_leaves_the_file_whole(home: Path) -> None:
    path = home / "config/openstack/clouds.yml"
    path.write_text("# mine\nclouds: {mine: {auth: {auth_url: u}}}\n")
    secure = home / "config/openstack/secure.yaml"
    for number in range(4):
        process = writer(f"w{number}", 10**6)
        while f"w{number}-0" not in cloudsfile.load(path):
            time.sleep(0.05)
        time.sleep(random.random() / 5)
        process.kill()
        process.wait()
        found, secrets = seen(path), cloudsfile.load(secure)
        assert found["mine"] == {"auth": {"auth_url": "u"}}
        # Whoever has an entry has its secret.
        assert found.keys() - {"mine"} <= secrets.keys()
        assert stat.S_IMODE(secure.stat().st_mode) == 0o600
    with cloudsfile.locked():
        cloudsfile.edit(path, {("last",): {}})
        cloudsfile.edit(secure, {("last",): {}}, private=True)
    names = {child.name for child in path.parent.iterdir()}
    assert names == {"clouds.yml", "clouds.yml~", "secure.yaml", "secure.yaml~"}


def test_an_editors_own_file_is_left_alone(home: Path) -> None:
    swap = home / "config/openstack/.clouds.yaml.swp"
    swap.write_text("vim's")
    cloudsfile.edit(home / "config/openstack/clouds.yaml", {("a",): {}})
    assert swap.read_text() == "vim's"
