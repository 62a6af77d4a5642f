# SPDX-License-Identifier: Apache-2.0
"""Short-lived credentials against a FAKE keystone (tests/fakes/keystone.py); the live tests show the real one."""

import re
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from arbaro.envs import entering, guard, index, switch, views
from arbaro.envs.environment import Environment
from arbaro.errors import ArbaroError
from tests.fakes import keystone
from tests.fakes.home import move_in, write_clouds
from tests.fakes.keystone import FakeKeystone

CLOUDS = """\
cache: {{auth: true}}
clouds:
  prod-1:
    auth: {{auth_url: "{url}", username: me, project_name: one, user_domain_id: default, project_domain_id: default}}
    region_name: kr-1
  test-1:
    auth: {{auth_url: "{url}", username: me, project_name: one, user_domain_id: default, project_domain_id: default}}
    region_name: kr-1
"""
SECURE = "clouds:\n  prod-1: {auth: {password: right}}\n  test-1: {auth: {password: right}}\n"
# openstacksdk warns of its own InfluxDB support at each configuration.
pytestmark = pytest.mark.filterwarnings("ignore:Support for InfluxDB")
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return move_in(tmp_path, monkeypatch)


@pytest.fixture
def write(home: Path) -> Write:
    return write_clouds


@pytest.fixture
def fake(write: Write) -> Iterator[FakeKeystone]:
    with keystone.running(careless={"identity"}) as fake:
        write(CLOUDS.format(url=fake.url), SECURE)
        yield fake


def environment(name: str = "prod-1") -> Environment:
    return next(one for one in index.environments() if one.name == name)


def refuse(_: str) -> str:
    raise AssertionError("nobody should be asked")


def test_production_is_entered_to_read_only(fake: FakeKeystone) -> None:
    place = entering.enter(environment(), None, "", refuse)
    assert place.mode == switch.READ_ONLY
    assert stat.S_IMODE(place.config.stat().st_mode) == 0o600
    text = place.config.read_text()
    assert "right" not in text.replace("arbaro", "") and "v3applicationcredential" in text
    (made,) = fake.credentials.values()
    assert {rule["method"] for rule in made["access_rules"]} == {"GET", "HEAD"}
    assert {rule["service"] for rule in made["access_rules"]} == {"compute", "network", "image", "identity"}
    assert [line for line in fake.requests if line.startswith("DELETE /compute")] != []
    assert place.unguarded == ("keystone",)


def test_a_credential_that_lasts_is_used_again(fake: FakeKeystone) -> None:
    first = entering.enter(environment(), None, "", refuse)
    logins = fake.logins
    assert entering.enter(environment(), None, "", refuse) == first
    assert fake.logins == logins and len(fake.credentials) == 1


def test_a_changed_clouds_yaml_makes_it_anew(fake: FakeKeystone, write: Write) -> None:
    entering.enter(environment(), None, "", refuse)
    write(CLOUDS.format(url=fake.url))
    entering.enter(environment(), None, "", refuse)
    assert len(fake.credentials) == 2


def test_credentials_that_are_over_are_swept(fake: FakeKeystone) -> None:
    guard.take(environment(), switch.READ_ONLY)
    (ours,) = fake.credentials.values()
    ours["expires_at"] = "2001-01-01T00:00:00.000000"
    fake.credentials["x"] = {"id": "x", "name": "somebody else's", "expires_at": "2001-01-01T00:00:00.000000"}
    guard.take(environment(), switch.READ_ONLY)
    assert ours["id"] not in fake.credentials and "x" in fake.credentials


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"careless": {"compute", "identity"}}, r"nova does not refuse to write \(it answered 404\)"),
        ({"without_type": {"network"}}, r"neutron refuses even to read"),
        ({"knows_rules": False}, r"knows no access rules"),
    ],
)
def test_a_cloud_that_cannot_enforce_it_says_so(write: Write, settings: dict[str, object], says: str) -> None:
    with keystone.running(**settings) as fake:
        write(CLOUDS.format(url=fake.url), SECURE)
        with pytest.raises(ArbaroError, match="cannot enforce read-only") as error:
            entering.enter(environment(), None, "", refuse)
        assert re.search(says, error.value.why)
        assert fake.credentials == {}
        assert list(views.view_file(environment(), "read-only").parent.glob("*.yaml")) == []


def test_a_service_that_is_down_keeps_nobody_out(fake: FakeKeystone) -> None:
    fake.down = {"image"}
    place = entering.enter(environment(), None, "", refuse)
    assert place.untried == ("glance",)


def test_writing_wants_the_regions_name(fake: FakeKeystone, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArbaroError, match="no terminal"):
        entering.enter(environment(), switch.WRITE, "", refuse)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    with pytest.raises(ArbaroError, match="'kr-2' is not 'kr-1'"):
        entering.enter(environment(), switch.WRITE, "", lambda _: "kr-2")
    assert fake.credentials == {}
    place = entering.enter(environment(), switch.WRITE, "", lambda _: "kr-1")
    (made,) = fake.credentials.values()
    assert place.until <= time.time() + 30 * 60 and "access_rules" not in made


def test_errors_name_the_environment_and_no_secret(write: Write) -> None:
    with keystone.running(password="another") as fake:
        write(CLOUDS.format(url=fake.url), SECURE)
        with pytest.raises(ArbaroError, match=r"Keystone of prod-1 .* refused the login") as error:
            guard.take(environment(), switch.READ_ONLY)
        assert "right" not in str(error.value).replace("arbaro", "")
    with pytest.raises(ArbaroError, match=r"Keystone of prod-1 .* cannot be reached"):
        guard.take(environment(), switch.READ_ONLY)
