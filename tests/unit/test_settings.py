# SPDX-License-Identifier: Apache-2.0
"""Names and settings are checked where they come in."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from arbaro import settings
from arbaro.errors import ArbaroError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "settings_file", lambda: tmp_path / "settings.toml")
    settings.load_settings.cache_clear()
    return tmp_path / "settings.toml"


def test_without_a_file_the_default_range_holds(file: Path) -> None:
    assert settings.load_settings().underlay == IPv4Network("198.18.0.0/15")


def test_one_setting_changes_the_range(file: Path) -> None:
    file.write_text('underlay = "100.64.0.0/16"')
    assert settings.load_settings().underlay == IPv4Network("100.64.0.0/16")


@pytest.mark.parametrize(
    "text", ['underlay = "x"', 'underlay = "10.0.0.0/24"', "undrlay = 1", "=", 'underlay = "10.0.0.1/8"']
)
def test_a_bad_file_is_named(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ArbaroError, match=r"settings\.toml"):
        settings.load_settings()


@pytest.mark.parametrize("name", ["", "1a", "A", "a_b", "a" * 21, "../x", "a b", "-a"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(ArbaroError, match="cannot be a cloud's name"):
        settings.check_name(name)


@pytest.mark.parametrize(("name", "taken_by"), [("build", "image"), ("images", "image"), ("lab-provider", "'lab'")])
def test_names_that_are_taken_are_refused(name: str, taken_by: str) -> None:
    with pytest.raises(ArbaroError, match=taken_by):
        settings.check_name(name)


def test_good_names_pass() -> None:
    assert settings.check_name("lab-2") == "lab-2"
