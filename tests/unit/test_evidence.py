# SPDX-License-Identifier: Apache-2.0
"""Evidence is kept in a file and comes back as it was; whatever else is in such a file is refused in one sentence."""

import json
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arbaro.errors import ArbaroError
from arbaro.evidence import Evidence, NotSeen, Seen, load_evidence

WHOLE = Evidence(
    "lab",
    {"compute1": {"units": Seen({"frr": "active"}, 1.5), "SSH": Seen(error="no route")}},
    {"compute1": {"units": ["frr"]}},
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
names = texts
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
seen = st.builds(Seen, values, st.floats(allow_nan=False, allow_infinity=False), texts)
evidence = st.builds(
    Evidence,
    names,
    st.dictionaries(names, st.dictionaries(names, seen, max_size=3), max_size=3),
    st.dictionaries(names, st.dictionaries(names, values, max_size=3), max_size=3),
)


@given(one=evidence)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
def test_what_was_saved_comes_back(one: Evidence, tmp_path: Path) -> None:
    one.save(tmp_path / "evidence.json")
    assert load_evidence(tmp_path / "evidence.json") == one


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    WHOLE.save(tmp_path / "evidence.json")
    WHOLE.save(tmp_path / "evidence.json")
    assert stat.S_IMODE((tmp_path / "evidence.json").stat().st_mode) == 0o600
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    WHOLE.save(path)
    text = path.read_bytes()
    for length in range(len(text)):
        path.write_bytes(text[:length])
        with pytest.raises(ArbaroError, match="is no evidence that arbaro can read"):
            load_evidence(path)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"[" * 100000,
        b"[]",
        b"{}",
        b'{"version": 2, "about": "lab", "facts": {}, "wanted": {}}',
        b'{"version": 1}',
        b'{"version": 1, "about": "lab", "facts": [], "wanted": {}}',
        b'{"version": 1, "about": "lab", "facts": {"a": {"b": 3}}, "wanted": {}}',
        b'{"version": 1, "about": "lab", "facts": {"a": {"b": {"value": 1, "at": "x", "error": ""}}}, "wanted": {}}',
    ],
)
def test_rubbish_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    path.write_bytes(content)
    with pytest.raises(ArbaroError) as caught:
        load_evidence(path)
    assert caught.value.why and caught.value.hint


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArbaroError, match="no evidence"):
        load_evidence(tmp_path / "nothing.json")


def test_parts_are_joined() -> None:
    other = Evidence("lab", {"compute1": {"state": Seen("running")}, "tor1": {}}, {"tor1": {"units": []}})
    both = WHOLE | other
    assert both.value("compute1", "units") == {"frr": "active"} and both.value("compute1", "state") == "running"
    assert both.places("units") == ["compute1", "tor1"]


def test_what_could_not_be_looked_at_has_no_value() -> None:
    for what, why in (("SSH", "no route"), ("memory", "nobody looked")):
        with pytest.raises(NotSeen) as caught:
            WHOLE.value("compute1", what)
        assert (caught.value.place, caught.value.what, caught.value.why) == ("compute1", what, why)


def test_bytes_that_are_no_text_make_no_unreadable_file(tmp_path: Path) -> None:
    Evidence("lab", {"a": {"b": Seen(error="bad \udcff byte")}}).save(tmp_path / "evidence.json")
    assert load_evidence(tmp_path / "evidence.json").facts["a"]["b"].error == "bad ? byte"


def test_the_file_is_plain_json(tmp_path: Path) -> None:
    WHOLE.save(tmp_path / "evidence.json")
    found = json.loads((tmp_path / "evidence.json").read_text())
    assert found["version"] == 1
    assert found["facts"]["compute1"]["units"] == {"value": {"frr": "active"}, "at": 1.5, "error": ""}
