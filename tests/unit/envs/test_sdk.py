# SPDX-License-Identifier: Apache-2.0
"""What we say of an environment is what openstacksdk does with it: the listing, our own files for shells, the export."""

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openstack.config import OpenStackConfig

from arbaro import cloudspaths
from arbaro.cloudspaths import clouds_file, secure_file
from arbaro.envs import book, clouds, index, sdk, switch, views
from arbaro.envs.environment import Environment, find
from arbaro.errors import ArbaroError

CASES = Path(__file__).parents[2] / "cases" / "clouds"
pytestmark = pytest.mark.filterwarnings("ignore")


def judge(config: Path, secure: Path | None = None) -> Any:
    """openstacksdk itself, on the files that a program would be given."""
    return OpenStackConfig(
        config_files=[str(config)],
        secure_files=[str(secure)] if secure and secure.is_file() else [],
        vendor_files=[str(path) for path in cloudspaths.vendor_places()],
        load_envvars=False,
    )


@pytest.fixture
def documented(home: Path) -> list[Environment]:
    target = home / "config/openstack/clouds.yaml"
    target.parent.mkdir(parents=True)
    shutil.copy(CASES / "documented.yaml", target)
    profile = "{public-clouds: {ours: {auth: {auth_url: 'https://ours'}, regions: [o-1, {name: o-2, values: {verify: false}}]}}}"
    target.with_name("clouds-public.yaml").write_text(profile)
    target.with_name("secure.yaml").write_text(
        "{clouds: {lists: {auth: {password: hidden}}, whole: {auth: {auth_url: w}}}}"
    )
    return index.environments()


def test_all_that_openstacksdk_finds_is_listed(documented: list[Environment]) -> None:
    sdks = judge(clouds_file(), secure_file())
    wanted = [(name, region["name"]) for name in sdks.get_cloud_names() for region in sdks._get_regions(name)]
    assert [(one.cloud, one.region) for one in documented] == wanted and not any(one.fault for one in documented)
    assert len(wanted) > 30


def test_each_is_what_openstacksdk_makes_of_it(documented: list[Environment]) -> None:
    sdks = judge(clouds_file(), secure_file())
    for one in documented:
        config = sdks.get_one(one.cloud, region_name=one.region, validate=False).config
        auth = {**config, **config["auth"]}
        assert one.auth_url == str(auth.get("auth_url") or auth.get("endpoint") or "")
        assert one.project == str(auth.get("project_name") or auth.get("project_id") or auth.get("tenant_name") or "")
        assert one.user == str(auth.get("username") or auth.get("application_credential_id") or "")


def test_a_program_in_a_shell_gets_the_same(documented: list[Environment]) -> None:
    """In each of several regions by its OS_CLOUD alone, with the files that a switch sets."""
    sdks = judge(clouds_file(), secure_file())
    for one in documented:
        place = switch.plain(one)
        wanted = sdks.get_one(one.cloud, region_name=one.region, validate=False).config
        given = judge(place.config, place.secure).get_one(one.cloud, validate=False).config
        for config in (wanted, given):
            config.pop("profile", None)
            config.pop("cloud", None)
        assert given == wanted, one.name


def test_an_entry_says_all_in_one_region(documented: list[Environment], tmp_path: Path) -> None:
    """What export, check and the guard start from."""
    sdks = judge(clouds_file(), secure_file())
    for one in documented:
        (tmp_path / "alone.yaml").write_text(views.view_text(one.cloud, clouds.entry(one)))
        given = judge(tmp_path / "alone.yaml").get_one(one.cloud, validate=False).config
        wanted = sdks.get_one(one.cloud, region_name=one.region, validate=False).config
        if "auth_url" in wanted:
            # Whether within `auth` or outside, openstacksdk takes it.
            wanted["auth"]["auth_url"] = wanted.pop("auth_url")
        assert given["auth"] == wanted["auth"], one.name
        assert given.get("region_name") == wanted.get("region_name") and given["verify"] == wanted["verify"]


def test_what_is_not_verified_is_exported_as_clients_know_it(documented: list[Environment]) -> None:
    text = book.openrc_text("unverified")
    assert "OS_INSECURE=true" in text and "VERIFY" not in text
    assert "OS_AUTH_URL=https://k.example/v3" in book.openrc_text("dashes") and "OS_AUTH-URL" not in book.openrc_text(
        "dashes"
    )
    assert "OS_REGION_NAME=RegionTwo" in book.openrc_text("values/RegionTwo")


def test_what_cannot_be_used_says_why_and_hides_nobody(home: Path) -> None:
    clouds_file().parent.mkdir(parents=True)
    shutil.copy(CASES / "unusable.yaml", clouds_file())
    found = {one.name: one for one in index.environments()}
    assert [name for name, one in found.items() if not one.fault] == ["well"]
    assert len(found) == 9 and "s3cret" not in repr(found)
    for name in ("empty", "gone", "braces"):
        with pytest.raises(ArbaroError, match=f"{name} cannot be used: "):
            clouds.entry(find(name, index.environments()))


@pytest.mark.parametrize("name", ["auth-text", "nameless", "odd-keys", "region-number", "gone", "braces"])
def test_what_cannot_be_used_is_not_imported(home: Path, write: Callable[..., Path], name: str) -> None:
    ours = write("clouds: {mine: {auth: {}}}\n")
    line = next(
        n for n, text in enumerate((CASES / "unusable.yaml").read_text().splitlines(), 1) if f" {name}:" in text
    )
    theirs = home / "theirs.yaml"
    text = (CASES / "unusable.yaml").read_text().splitlines()
    theirs.write_text("\n".join(["clouds:", *["  #"] * (line - 2), text[line - 1]]) + "\n")
    with pytest.raises(ArbaroError, match=f"theirs.yaml, line {line}: {name} cannot be used: ") as error:
        book.arrivals(theirs, None)
    assert "s3cret" not in f"{error.value.what}{error.value.why}" and ours.read_text() == "clouds: {mine: {auth: {}}}\n"


def test_what_somebody_wrote_comes_in_as_openstacksdk_reads_it(home: Path) -> None:
    theirs = home / "theirs.yaml"
    shutil.copy(CASES / "documented.yaml", theirs)
    book.take_over(book.arrivals(theirs, None), kind=None, replace=False)
    before, after = judge(theirs), judge(clouds_file(), secure_file())
    assert before.get_cloud_names() == after.get_cloud_names()
    for name in before.get_cloud_names():
        for region in before._get_regions(name):
            one, other = (c.get_one(name, region_name=region["name"], validate=False).config for c in (before, after))
            assert one == other, name
    assert "pw" not in clouds_file().read_text()


def test_what_is_added_is_read_as_it_was_typed(home: Path) -> None:
    said = {"auth_url": "u", "username": "no", "application_credential_id": None, "project_name": "on"}
    said |= {"user_domain": "0123", "project_domain": "yes", "regions": ("NO",), "cacert": None}
    book.add("off", book.entry_from(**said), "12:34:56", kind=None, in_keyring=False)
    auth = judge(clouds_file(), secure_file()).get_one("off", validate=False).config["auth"]
    assert auth == {
        "auth_url": "u", "username": "no", "password": "12:34:56", "project_name": "on", "user_domain_name": "0123",
        "project_domain_name": "yes",
    }  # fmt: skip
    (found,) = index.environments()
    assert (found.name, found.region, found.project, found.user) == ("off", "NO", "on", "no")


def test_warnings_are_not_for_the_person(documented: list[Environment]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(sdk.Clouds().environments()) == documented
