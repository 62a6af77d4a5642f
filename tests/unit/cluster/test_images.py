# SPDX-License-Identifier: Apache-2.0
"""An image's key is made of all that goes into it, and of nothing else."""

from pathlib import Path

import pytest

from arbaro.cluster import agents, images, keys, machine_parts
from arbaro.cluster.machine import Machine
from arbaro.releases import load_release

MACHINE = Machine(2, 24000, 20000, "qemu", "")


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of ansible/, images/ and plugins/ that may be changed."""
    import shutil

    for name in ("ansible", "images", "plugins", "services/machines"):
        shutil.copytree(images.files_dir() / name, tmp_path / name, symlinks=True)
    for module in (images, keys, agents, machine_parts):
        monkeypatch.setattr(module, "files_dir", lambda: tmp_path)
    monkeypatch.setattr(images.aptsources, "machine_sources", lambda suite: [])
    monkeypatch.setattr(images.aptsources, "machine_apt_options", list)
    return tmp_path


def names(driver: str = "linuxbridge", *, machines: bool = False) -> dict[str, str]:
    one = images.HostImages(load_release("zed"), driver, MACHINE, machines)
    return {"base": one.base, **{role: one.name(role) for role in one.roles}}


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("ansible/roles/keystone/templates/keystone.conf.j2", {"controller"}),
        ("ansible/roles/nova_compute/tasks/main.yml", {"compute"}),
        ("ansible/roles/neutron_linuxbridge/tasks/main.yml", {"compute"}),
        ("ansible/roles/common/tasks/main.yml", {"controller", "compute"}),
        ("ansible/roles/wsgi/templates/uwsgi.ini.j2", {"controller", "compute"}),
        ("ansible/library/mariadb_database.py", {"controller", "compute"}),
        ("ansible/releases/zed.yml", {"controller", "compute"}),
        ("images/hosts/base/packages", {"base", "controller", "compute"}),
        ("plugins/nova/arbaro_nova/scheduler/request.py", {"controller"}),
        ("ansible/playbooks/restart-agent.yml", set()),
        ("images/guests/tiny/build", set()),
    ],
)
def test_a_change_rebuilds_what_it_must_and_nothing_else(copy: Path, file: str, changes: set[str]) -> None:
    before = names()
    (copy / file).write_text((copy / file).read_text() + "\n# changed\n")
    assert {role for role, name in names().items() if name != before[role]} == changes


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("ansible/roles/tor/tasks/main.yml", {"tor"}),
        ("ansible/roles/neutron_l2isolate/tasks/main.yml", {"compute"}),
        ("ansible/roles/frr/templates/base.j2", {"controller", "compute", "tor"}),
        ("images/agents/l2isolate/packages", {"compute"}),
        ("plugins/l2isolate/arbaro_l2isolate/planner.py", {"controller", "compute"}),
    ],
)
def test_a_fabric_has_an_image_for_its_switches(copy: Path, file: str, changes: set[str]) -> None:
    before = names("l2isolate")
    (copy / file).write_text((copy / file).read_text() + "\n# changed\n")
    assert {role for role, name in names("l2isolate").items() if name != before[role]} == changes


def test_machines_need_another_controller_and_a_rack_and_nothing_else(copy: Path) -> None:
    plain, machines = names("l2isolate"), names("l2isolate", machines=True)
    assert {role for role, name in machines.items() if name != plain.get(role)} == {"controller", "rack"}


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("services/machines/arbaro_machines/worker.py", {"controller"}),
        ("images/agents/deploy/root/etc/deploy/write", {"controller"}),
        ("services/machines/constraints.txt", {"controller", "rack"}),
        ("ansible/roles/machines/tasks/main.yml", {"controller"}),
        ("ansible/roles/nova_compute_machines/tasks/main.yml", {"controller"}),
        ("ansible/roles/nova_serialproxy/tasks/main.yml", {"controller"}),
        ("ansible/roles/machines_emulated/tasks/main.yml", {"rack"}),
        ("ansible/roles/libvirt/tasks/main.yml", {"compute", "rack"}),
    ],
)
def test_a_cloud_without_machines_keeps_its_images_when_they_change(copy: Path, file: str, changes: set[str]) -> None:
    plain, machines = names(), names(machines=True)
    (copy / file).write_text((copy / file).read_text() + "\n# changed\n")
    assert {role for role, name in names(machines=True).items() if name != machines[role]} == changes
    assert {role for role, name in names().items() if name != plain[role]} == changes & {"compute"}


def test_the_size_of_the_machine_is_part_of_the_key(copy: Path) -> None:
    big = images.HostImages(load_release("zed"), "linuxbridge", Machine(32, 64000, 60000, "kvm", ""))
    assert big.name("compute") != names()["compute"]


def test_roles_are_read_from_site_yml() -> None:
    import yaml

    site = yaml.safe_load((images.files_dir() / "ansible/playbooks/site.yml").read_text())
    assert images.roles_of(site, "compute", "linuxbridge") == [
        "common",
        "libvirt",
        "nova_compute",
        "neutron_linuxbridge",
    ]


def test_cleaning_after_builds_touches_no_clouds_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(images.shell, "succeeds", lambda argv, **_: asked.append(argv[-1]) or False)
    images._builds_are_left()
    assert asked == [f"arbaro-build-{role}" for role in ("controller", "compute", "tor", "rack")] + ["arbaro-build"]
