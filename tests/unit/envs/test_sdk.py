# SPDX-License-Identifier: Apache-2.0
"""What we say of an environment is what openstacksdk does with it: the listing, our own files for shells, the export."""

import http.server
import os
import shutil
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openstack.config import OpenStackConfig

from arbaro import cloudspaths
from arbaro.cloudspaths import clouds_file, secure_file
from arbaro.envs import book, clouds, files, index, sdk, switch, views
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


PUBLIC = (
    "{public-clouds: {ours: {auth: {auth_url: 'https://ours'}, regions: [o-1, {name: o-2, values: {verify: false}}]}}}"
)


def settle(text: str, secure: str = "") -> list[Environment]:
    """Make these the person's files, and read them."""
    target = clouds_file()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.with_name("clouds-public.yaml").write_text(PUBLIC)
    target.with_name("secure.yaml").write_text(secure)
    return index.refresh()


@pytest.fixture
def documented(home: Path) -> list[Environment]:
    secure = "{clouds: {lists: {auth: {password: hidden}}, whole: {auth: {auth_url: w}}}}"
    return settle((CASES / "documented.yaml").read_text(), secure)


def agree(found: list[Environment], alone: Path) -> None:
    """What we list, and what a program finds in a shell or in an entry that stands alone, is what openstacksdk finds."""
    sdks = judge(clouds_file(), secure_file())
    wanted = [(name, region["name"]) for name in sdks.get_cloud_names() for region in sdks._get_regions(name)]
    assert [(one.cloud, one.region) for one in found] == wanted and not any(one.fault for one in found)
    for one in found:
        config = sdks.get_one(one.cloud, region_name=one.region, validate=False).config
        it_says_the_same(one, config)
        a_program_in_a_shell_gets_the_same(one, config)
        alone.write_text(views.view_text(one.cloud, clouds.entry(one)))
        an_entry_says_all_in_one_region(one, judge(alone), config)


def it_says_the_same(one: Environment, config: dict[str, Any]) -> None:
    auth = {**config, **config["auth"]}
    assert one.auth_url == str(auth.get("auth_url") or auth.get("endpoint") or "")
    projects = ("project_name", "project_id", "tenant_name", "tenant_id")
    assert one.project == next((str(auth[key]) for key in projects if auth.get(key)), "")
    users = ("username", "user_id", "application_credential_id")
    assert one.user == next((str(auth[key]) for key in users if auth.get(key)), "")


def a_program_in_a_shell_gets_the_same(one: Environment, config: dict[str, Any]) -> None:
    """By its OS_CLOUD alone, with the files that a switch sets."""
    place = switch.plain(one)
    given = judge(place.config, place.secure).get_one(one.cloud, validate=False).config
    assert without_profile(given) == without_profile(config), one.name


def without_profile(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in ("profile", "cloud")}


def an_entry_says_all_in_one_region(one: Environment, alone: Any, config: dict[str, Any]) -> None:
    """What export, check and the guard start from."""
    given = alone.get_one(one.cloud, validate=False).config
    # Whether within `auth` or outside, openstacksdk takes it.
    auth = {**config["auth"], **({"auth_url": config["auth_url"]} if "auth_url" in config else {})}
    assert given["auth"] == auth, one.name
    assert given.get("region_name") == config.get("region_name") and given["verify"] == config["verify"]


def test_the_documented_forms_are_read_as_openstacksdk_reads_them(
    documented: list[Environment], tmp_path: Path
) -> None:
    assert len(documented) > 30
    agree(documented, tmp_path / "alone.yaml")


#: What openstacksdk or we cannot use is not among these: `{…}` that is no region or in `auth-url`, `networks` and `external_network` in one.
WORDS = st.sampled_from(["a", "b-1", "no", "0123", "12:34", "x y", "é", "~", "1e3"])
URLS = st.sampled_from(["https://k.example/v3", "https://{region_name}.example/v3", "https://k.example:5000"])
KEYS = ("username", "password", "project_name", "project_id", "user_domain_name", "domain_id", "user_id")
AUTH = st.builds(
    lambda auth, url: {**auth, "auth_url": url},
    st.dictionaries(st.sampled_from(KEYS), WORDS),
    URLS,
) | st.builds(
    lambda auth: {key.replace("_", "-"): value for key, value in {**auth, "auth_url": "https://k.example/v3"}.items()},
    st.dictionaries(st.sampled_from(KEYS), WORDS),
)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "verify": st.booleans(),
        "auth": st.dictionaries(st.sampled_from(["project_name", "auth_url", "username"]), WORDS),
        "volume_api_version": st.sampled_from(["2", "3"]),
        "external_network": WORDS,
    },
)
REGION = st.sampled_from(["r-1", "R 2", "no", "007"])
#: As a list of names, of mappings, or mixed.
REGIONS = st.lists(REGION, min_size=1, max_size=2, unique=True).flatmap(
    lambda names: st.tuples(*(st.one_of(st.just(n), st.builds(lambda v, n=n: {"name": n, "values": v}, VALUES)) for n in names))
).map(list)  # fmt: skip
ENTRY = st.fixed_dictionaries(
    {"auth": AUTH},
    optional={
        "region_name": REGION,
        "regions": REGIONS,
        "profile": st.sampled_from(["catalyst", "citycloud", "elastx", "ours", "nobody-knows-it"]),
        "verify": st.booleans(),
        "cacert": st.just("/etc/ssl/ca.pem"),
        "interface": st.sampled_from(["public", "internal"]),
        "identity_api_version": st.sampled_from([2, 3, "3"]),
    },
)
ENTRIES = st.dictionaries(st.sampled_from(["a", "b-1", "no", "12", "c.d", "e f"]), ENTRY, min_size=1, max_size=2)


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(ENTRIES, st.booleans())
def test_any_entry_is_read_as_openstacksdk_reads_it(home: Path, entries: dict[str, Any], hidden: bool) -> None:
    secure = {name: {"auth": {"password": "hidden"}} for name in entries if hidden}
    found = settle(*(yaml.safe_dump({"clouds": part}, allow_unicode=True) for part in (entries, secure)))
    agree(found, home / "alone.yaml")


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
    assert len(found) == 12 and "s3cret" not in repr(found)
    for name in ("empty", "gone", "braces"):
        with pytest.raises(ArbaroError, match=f"{name} cannot be used: "):
            clouds.entry(find(name, index.environments()))


@pytest.mark.parametrize(
    "name",
    ["auth-text", "nameless", "odd-keys", "region-number", "gone", "braces", "twice", "twice-below", "braces-and-dash"],
)
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


class Provider(http.server.BaseHTTPRequestHandler):
    """A provider that describes its cloud at the address that openstacksdk asks for."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"name": "far", "profile": {"auth": {"auth_url": "https://far.example/v3"}}}')

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_a_profile_that_could_not_be_fetched_is_fetched_later(home: Path) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Provider) as server:
        host, port = server.server_address[:2]
    entry = f"{{profile: 'http://127.0.0.1:{port}', auth: {{username: me, password: pw}}}}"
    assert "cannot be fetched" in settle(f"clouds: {{far: {entry}}}")[0].fault
    with http.server.HTTPServer((str(host), port), Provider) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert index.environments()[0].fault
        os.utime(files.index_file(), (0, 0))
        assert [(one.auth_url, one.fault) for one in index.environments()] == [("https://far.example/v3", "")]


def test_a_name_that_is_no_text_is_told(home: Path) -> None:
    found = settle("clouds: {no: {auth: {auth_url: u}}, 12: {auth: {auth_url: u}}, 'on': {auth: {auth_url: u}}}")
    assert [(one.name, "quote it" in one.fault) for one in found] == [("False", True), ("12", True), ("on", False)]
