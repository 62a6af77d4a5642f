# SPDX-License-Identifier: Apache-2.0
"""Ansible itself reads inventories of any form, as a program; plain files only once."""

import json
from pathlib import Path

import pytest

from arbaro import ansible_inventory, shell
from arbaro.ansible_inventory import read_inventory
from arbaro.errors import ArbaroError
from arbaro.runs import Run, current_run

SCRIPT = """#!/bin/sh
echo '{"_meta": {"hostvars": {"dyn1": {"ansible_host": "10.9.0.1"}}}, "edge": {"hosts": ["dyn1"]}}'
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with an inventory in three forms."""
    monkeypatch.setattr(ansible_inventory, "cache_dir", lambda: tmp_path / "cache")
    root = tmp_path / "inventory"
    (root / "group_vars").mkdir(parents=True)
    (root / "hosts.ini").write_text("[rack_a]\nhv[01:20].example\n\n[compute:children]\nrack_a\n")
    (root / "more.yml").write_text("controller: {hosts: {ctl1: {ansible_port: 2222}}}\n")
    (root / "group_vars/compute.yml").write_text(
        "ansible_host: '{{ inventory_hostname_short }}.oob'\nansible_user: ops\nansible_become: true\nansible_password: hunter2\n"
    )
    return root


def test_a_directory_is_read_once_and_again_when_it_changes(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Run().entered(), current_run().log_to(tmp_path / "log"):
        inventory = read_inventory(place)
    assert len(inventory.select("compute:!hv0*")) == 11
    assert inventory.hosts["hv03.example"].roles == {"rack_a", "compute"}
    reach = inventory.reach("hv03.example")
    assert (reach.address, reach.user, reach.sudo) == ("hv03.oob", "ops", True)
    assert inventory.reach("ctl1").port == 2222
    kept = "".join(file.read_text() for file in (tmp_path / "cache").rglob("*.json"))
    assert "hv03" in kept
    assert "hunter2" not in kept + (tmp_path / "log").read_text()
    with monkeypatch.context() as patch:
        patch.setattr(shell, "run", None)
        assert read_inventory(place).hosts == inventory.hosts
    (place / "hosts.ini").write_text("[rack_a]\nhv99\n")
    assert "hv99" in read_inventory(place).hosts


def test_a_script_is_asked_each_time(place: Path, tmp_path: Path) -> None:
    (place / "edge").write_text(SCRIPT)
    (place / "edge").chmod(0o755)
    inventory = read_inventory(place)
    assert inventory.reach("dyn1").address == "10.9.0.1"
    assert len(inventory.hosts) == 22
    assert not list(tmp_path.glob("cache/**/*.json"))


def test_what_cannot_be_read_is_no_empty_inventory(place: Path) -> None:
    (place / "hosts.ini").write_text("[compute\nhv1\n")
    with pytest.raises(ArbaroError, match="cannot read the inventory") as caught:
        read_inventory(place / "hosts.ini")
    assert "hosts.ini" in caught.value.why
    with pytest.raises(ArbaroError, match="cannot read the inventory"):
        read_inventory(place / "nosuch")


def test_our_own_form_is_read_too(place: Path) -> None:
    own = {"all": {"children": {"compute": {"hosts": {"compute1": {"ansible_host": "198.18.0.11"}}}}}}
    (place.parent / "own.json").write_text(json.dumps(own))
    assert read_inventory(place.parent / "own.json").reach("compute1").address == "198.18.0.11"
