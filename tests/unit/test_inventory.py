# SPDX-License-Identifier: Apache-2.0
"""Hosts are selected as Ansible's patterns mean it, and reached as an inventory's variables say."""

import json
from pathlib import Path

import pytest

from arbaro import ansible_inventory
from arbaro.ansible_inventory import content_key, digest, reach_of, way_of
from arbaro.errors import ArbaroError
from arbaro.hosts import Host
from arbaro.inventory import Inventory
from arbaro.reach import Reach

NAMES = {
    "ctl1": "controller prod",
    "hv1": "compute prod rack_a",
    "hv2": "compute prod rack_b",
    "hv3.lab": "compute",
    "lone": "",
}
FOREST = Inventory.of(
    [Host(name, None, frozenset(groups.split())) for name, groups in NAMES.items()],
    lambda host: Reach(host.name, host.name),
)


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("all", "ctl1 hv1 hv2 hv3.lab lone"),
        ("compute", "hv1 hv2 hv3.lab"),
        ("compute:!rack_b", "hv1 hv3.lab"),
        ("!compute", "ctl1 lone"),
        ("compute:&prod:!hv1", "hv2"),
        ("rack_*,ctl1", "ctl1 hv1 hv2"),
        ("~hv[12]$", "hv1 hv2"),
        ("hv3.lab", "hv3.lab"),
        ("hv[1-2]", "hv1 hv2"),
        ("ungrouped", "lone"),
        ("hv2, hv1", "hv1 hv2"),
    ],
)
def test_a_pattern_means_what_it_means_to_ansible(pattern: str, meant: str) -> None:
    assert [host.name for host in FOREST.select(pattern)] == meant.split()


@pytest.mark.parametrize("pattern", ["computes", "compute:!rack_z", "compute:&nosuch", "~x.*"])
def test_a_typing_error_is_no_empty_roll(pattern: str) -> None:
    with pytest.raises(ArbaroError, match="No host and no group"):
        FOREST.select(pattern)


def test_groups_hold_those_of_their_children() -> None:
    listing = {
        "_meta": {"hostvars": {"a": {"ansible_host": "10.0.0.1", "ansible_password": "hunter2"}, "b": {}}},
        "all": {"children": ["ungrouped", "prod"]},
        "prod": {"children": ["compute"]},
        "compute": {"hosts": ["a"], "children": ["rack"]},
        "rack": {"hosts": ["b"]},
        "ungrouped": {"hosts": ["c"]},
    }
    found = digest(listing)
    assert {name: entry["groups"] for name, entry in found.items()} == {
        "a": ["compute", "prod"],
        "b": ["compute", "prod", "rack"],
        "c": [],
    }
    assert "hunter2" not in json.dumps(found), "what is kept holds no password"


def test_the_variables_become_a_way() -> None:
    way = {
        "ansible_host": "203.0.113.9",
        "ansible_port": 2222,
        "ansible_user": "ops",
        "ansible_ssh_private_key_file": "~/id",
        "ansible_ssh_common_args": "-o ProxyJump=bastion -o 'SetEnv=A=b c'",
        "ansible_become": "yes",
        "ansible_host_key_checking": False,
    }
    reach = reach_of("a", way)
    assert (reach.address, reach.user, reach.port, reach.sudo) == ("203.0.113.9", "ops", 2222, True)
    assert reach.key == Path.home() / "id"
    assert reach.arguments == ("-o", "ProxyJump=bastion", "-o", "SetEnv=A=b c", "-o", "StrictHostKeyChecking=no")
    assert reach_of("plain.example", {}).address == "plain.example"
    assert reach_of("me", {"ansible_connection": "local"}).is_here


def test_templates_are_filled_in_and_what_needs_ansible_is_said() -> None:
    variables = {
        "ansible_host": "{{ mgmt }}",
        "mgmt": "{{ inventory_hostname_short }}.oob",
        "ansible_user": "{{ 1 | to_uuid }}",
    }
    way = way_of("hv1.example", variables, ["compute"])
    assert way["ansible_host"] == "hv1.oob"
    with pytest.raises(ArbaroError, match=r"ansible_user needs Ansible itself") as caught:
        reach_of("hv1.example", way)
    assert "to_uuid" in caught.value.why


def test_other_ways_than_ssh_are_refused_for_that_host_alone() -> None:
    with pytest.raises(ArbaroError, match="winrm"):
        reach_of("w", {"ansible_connection": "winrm"})
    with pytest.raises(ArbaroError, match="needs Ansible itself"):
        reach_of("v", {"ansible_host": {"__ansible_vault": "$ANSIBLE_VAULT"}})


def test_the_key_is_of_all_that_ansible_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hosts.ini").write_text("a\n")
    (tmp_path / "group_vars").mkdir()
    seen = set[str | None]()

    def changed() -> bool:
        key = content_key([str(tmp_path / "hosts.ini")])
        return bool(key) and not (key in seen or seen.add(key))

    assert changed()
    assert not changed()
    for name in ("hosts.ini", "group_vars/all.yml", "ansible.cfg"):
        (tmp_path / name).write_text("# another\n")
        assert changed(), name
    monkeypatch.setenv("ANSIBLE_INVENTORY_ENABLED", "ini")
    assert changed()


@pytest.mark.parametrize(
    ("name", "text", "mode"), [("live.py", "#!/bin/sh\n", 0o755), ("nb.yml", "plugin: netbox\n", 0o644)]
)
def test_what_a_script_or_a_plug_in_says_is_not_kept(tmp_path: Path, name: str, text: str, mode: int) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / name).chmod(mode)
    assert content_key([str(tmp_path)]) is None
    assert content_key(["a,b,"]) is None


def test_an_answer_that_is_kept_is_private_and_old_ones_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ansible_inventory, "cache_dir", lambda: tmp_path)
    monkeypatch.setattr(ansible_inventory, "KEPT", 2)
    for key in "abc":
        ansible_inventory._keep(key, {"host": {"groups": [], "way": {}}})
    assert ansible_inventory._kept("c") == {"host": {"groups": [], "way": {}}}
    files = list((tmp_path / "inventories").iterdir())
    assert len(files) == 2
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
