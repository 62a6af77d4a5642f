# SPDX-License-Identifier: Apache-2.0
"""The person's own clouds.yaml keeps all that others wrote, and no secret is world-readable."""

import os
import stat
import subprocess
import sys
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from tests.fakes.home import move_in

from arbaro.cluster import access, identity
from arbaro.cluster.identity import Keeper
from arbaro.cluster.spec import CloudSpec
from arbaro.errors import ArbaroError

SPEC = CloudSpec("lab", "zed", 2, "linuxbridge", IPv4Network("198.18.0.0/24"), IPv4Network("198.18.1.0/24"))
OTHERS = "# my clouds\nclouds:\n  work:   # the big one\n    auth: {auth_url: https://work.example}\n"


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keeper:
    move_in(tmp_path, monkeypatch)
    monkeypatch.setattr(identity, "clouds_dir", lambda: tmp_path / "clouds")
    keeper = Keeper("lab")
    keeper.directory.mkdir(parents=True)
    keeper.identity_file().write_text('{"keystone_admin_password": "s3cret"}')
    return keeper


def test_write_and_forget_leave_others_alone(keeper: Keeper, tmp_path: Path) -> None:
    clouds = tmp_path / "config/openstack/clouds.yaml"
    clouds.parent.mkdir(parents=True)
    clouds.write_text(OTHERS)
    access.write_access(SPEC, keeper)
    assert access.is_written(SPEC, keeper)
    assert "arbaro-lab" in clouds.read_text()
    assert "s3cret" not in clouds.read_text()
    assert stat.S_IMODE((clouds.parent / "secure.yaml").stat().st_mode) == 0o600
    assert stat.S_IMODE(access.openrc_file(keeper).stat().st_mode) == 0o600
    access.forget_access("arbaro-lab")
    assert clouds.read_text() == OTHERS
    assert [path.name for path in clouds.parent.iterdir()] == ["clouds.yaml"]


def test_nothing_is_left_where_nothing_was(keeper: Keeper, tmp_path: Path) -> None:
    access.write_access(SPEC, keeper)
    access.forget_access("arbaro-lab")
    assert not (tmp_path / "config/openstack").exists()


def test_a_broken_file_is_named_and_kept(keeper: Keeper, tmp_path: Path) -> None:
    clouds = tmp_path / "config/openstack/clouds.yaml"
    clouds.parent.mkdir(parents=True)
    clouds.write_text("clouds: [")
    with pytest.raises(ArbaroError, match=r"clouds\.yaml, line 1: "):
        access.write_access(SPEC, keeper)
    assert clouds.read_text() == "clouds: ["


@pytest.mark.parametrize("text", ["# mine\nclouds:\n", "clouds: {}\n", "other: 1\n", "# mine\n"])
def test_a_file_without_any_cloud_is_written_into(keeper: Keeper, tmp_path: Path, text: str) -> None:
    clouds = tmp_path / "config/openstack/clouds.yaml"
    clouds.parent.mkdir(parents=True)
    clouds.write_text(text)
    assert not access.is_mentioned("arbaro-lab")
    assert not access.is_written(SPEC, keeper)
    access.forget_access("arbaro-lab")
    assert clouds.read_text() == text
    access.write_access(SPEC, keeper)
    assert access.is_written(SPEC, keeper)
    access.forget_access("arbaro-lab")
    assert not access.is_mentioned("arbaro-lab")


@pytest.mark.parametrize("text", ["- work\n", "clouds: [work]\n"])
def test_a_file_of_another_kind_is_named_and_kept(keeper: Keeper, tmp_path: Path, text: str) -> None:
    clouds = tmp_path / "config/openstack/clouds.yaml"
    clouds.parent.mkdir(parents=True)
    clouds.write_text(text)
    with pytest.raises(ArbaroError, match=r"clouds\.yaml: 'clouds' must be a mapping"):
        access.write_access(SPEC, keeper)
    assert clouds.read_text() == text


def test_a_link_into_dotfiles_stays_a_link(keeper: Keeper, tmp_path: Path) -> None:
    clouds, dotfile = tmp_path / "config/openstack/clouds.yaml", tmp_path / "dotfile"
    clouds.parent.mkdir(parents=True)
    dotfile.write_text(OTHERS)
    clouds.symlink_to(dotfile)
    access.write_access(SPEC, keeper)
    assert clouds.is_symlink()
    assert "arbaro-lab" in dotfile.read_text()


def seen_by_openstacksdk(home: Path, **variables: str) -> list[str]:
    """The clouds that a fresh process finds with openstacksdk."""
    code = "import openstack; print(*openstack.config.OpenStackConfig().get_cloud_names())"
    env = {**os.environ, **variables}
    done = subprocess.run([sys.executable, "-c", code], cwd=home, env=env, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("name", ["clouds.yml", "clouds.json"])
def test_the_persons_clouds_are_not_hidden_by_ours(keeper: Keeper, tmp_path: Path, name: str) -> None:
    clouds = tmp_path / "config/openstack" / name
    clouds.parent.mkdir(parents=True)
    clouds.write_text('{"clouds": {"work": {"auth": {"auth_url": "https://work.example"}}}}')
    access.write_access(SPEC, keeper)
    assert seen_by_openstacksdk(tmp_path) == ["work", "arbaro-lab"]
    access.forget_access("arbaro-lab")
    assert seen_by_openstacksdk(tmp_path) == ["work"]


def test_the_file_that_the_person_chose_is_written(
    keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = tmp_path / "mine.yaml"
    chosen.write_text(OTHERS)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(chosen))
    access.write_access(SPEC, keeper)
    assert seen_by_openstacksdk(tmp_path) == ["work", "arbaro-lab"]
    # The password too: openstacksdk looks for it in the usual places, not beside the chosen file.
    code = (
        "import openstack; print(openstack.config.OpenStackConfig().get_one('arbaro-lab').config['auth']['password'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "s3cret"
