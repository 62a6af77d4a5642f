# SPDX-License-Identifier: Apache-2.0
"""Secrets are new for each cloud, private on disk, and a compute gets no database's password."""

import base64
import hashlib
import json
import stat
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from arbaro.cluster import identity
from arbaro.cluster.identity import Keeper, new_identity, part_for, rabbitmq_hash, write_private
from arbaro.hosts import COMPUTE, TOR, Host

ADDRESSES = {"public_address": "198.18.0.10", "guest_pool": "198.18.1.0/24", "guest_router": "198.18.0.4"}


def test_no_value_stands_twice() -> None:
    one, two = new_identity(ADDRESSES), new_identity(ADDRESSES)
    values = [value for identity in (one, two) for key, value in identity.items() if key not in ADDRESSES]
    assert len(set(values)) == len(values)


def test_a_compute_opens_no_database() -> None:
    part = part_for(COMPUTE, new_identity(ADDRESSES))
    assert not [key for key in part if "database" in key or "admin" in key or "cookie" in key]
    assert part["nova_rabbitmq_password"]
    # Nothing on a compute logs in to keystone as neutron, whose user may administer nova.
    assert [key for key in part if key.endswith("_service_password")] == ["nova_service_password"]


def test_a_switch_gets_no_secret() -> None:
    assert part_for(TOR, new_identity(ADDRESSES)) == ADDRESSES


def test_the_hash_is_rabbitmqs() -> None:
    raw = base64.b64decode(rabbitmq_hash("pass"))
    assert raw[4:] == hashlib.sha256(raw[:4] + b"pass").digest()


def test_private_files_are_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, "new")
    assert file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_what_was_drawn_stays_but_for_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "clouds_dir", lambda: tmp_path)
    monkeypatch.setattr(Keeper, "_make_key", lambda *_: None)
    monkeypatch.setattr(Keeper, "_certify", lambda *_: None)
    keeper = Keeper("lab")
    keeper.prepare(ADDRESSES, [])
    drawn = keeper.identity()
    keeper.prepare(ADDRESSES | {"public_address": "198.18.2.10"}, [])
    assert keeper.identity() == drawn | {"public_address": "198.18.2.10"}
    assert json.loads(keeper.identity_file(COMPUTE).read_text())["public_address"] == "198.18.2.10"
    files = keeper.host_secrets(Host("tor1", IPv4Address("198.18.2.2"), frozenset({TOR})))
    assert json.loads(files["/etc/arbaro/identity.new.json"][1])["host_address"] == "198.18.2.2"
