# SPDX-License-Identifier: Apache-2.0
"""An image's key is made of all that goes into it, and of nothing else."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from arbaro.cluster import agents, baking, buildkey, guests, identity, images, machine_parts, recipes
from arbaro.cluster.guests import Guest
from arbaro.cluster.providers import HostKind
from arbaro.hosts import COMPUTE, CONTROLLER, MACHINES, Host
from arbaro.releases import load_release

KIND = HostKind(2, "qemu", "", in_container=True)
CONTROLLERS = {"controller", "controller-machines"}
ALL = {"base", "controller", "compute", "tor", "rack", "controller-machines"}


@pytest.fixture(autouse=True)
def _no_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buildkey.aptsources, "machine_sources", lambda suite: [])
    monkeypatch.setattr(buildkey.aptsources, "machine_apt_options", list)


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of ansible/, images/, plugins/ and the machine service that may be changed."""
    import shutil

    for name in ("ansible", "images", "plugins", "services/machines"):
        shutil.copytree(images.files_dir() / name, tmp_path / name, symlinks=True)
    for module in (images, buildkey, recipes, agents, guests, machine_parts):
        monkeypatch.setattr(module, "files_dir", lambda: tmp_path)
    return tmp_path


def host_images(driver: str = "l2isolate", *, machines: bool = True) -> images.HostImages:
    return images.HostImages(load_release("zed"), driver, KIND, machines)


def names(driver: str = "l2isolate", *, machines: bool = True) -> dict[str, str]:
    one = host_images(driver, machines=machines)
    return {"base": one.base, **{name: recipe.name for name, recipe in one.recipes.items()}}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name, key in after.items() if key != before[name]}


@pytest.fixture(scope="module")
def covered() -> dict[str, set[Path]]:
    """The files that are in each image's key, also by way of its parent and of what is brought to it."""
    root = images.files_dir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buildkey.aptsources, "machine_sources", lambda suite: [])
        patch.setattr(buildkey.aptsources, "machine_apt_options", list)
        one = host_images()
        base = set(buildkey.files_of([root / "images/hosts/base"]))
        files = {image: base | set(buildkey.files_of(recipe.files)) for image, recipe in one.recipes.items()}
        files["controller-machines"] |= files["controller"]
        brought = {**one.agents, **one.parts}
        for image, recipe in one.recipes.items():
            for name in {*recipe.variables, *recipe.places} & set(brought):
                files[image] |= set(buildkey.files_of(brought[name].files))
    return {"base": base, **files}


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("ansible/roles/keystone/templates/keystone.conf.j2", CONTROLLERS),
        ("ansible/roles/nova_compute/tasks/main.yml", {"compute"}),
        ("ansible/roles/neutron_l2isolate/tasks/main.yml", {"compute"}),
        ("ansible/roles/neutron_linuxbridge/tasks/main.yml", set()),
        ("ansible/roles/common/tasks/main.yml", ALL - {"base"}),
        ("ansible/roles/personalise/files/personalise", ALL - {"base"}),
        ("ansible/roles/libvirt/tasks/main.yml", {"compute", "rack"}),
        ("ansible/roles/tor/tasks/main.yml", {"tor"}),
        # What is included by others only.
        ("ansible/roles/wsgi/templates/uwsgi.ini.j2", CONTROLLERS),
        ("ansible/roles/catalog/tasks/main.yml", CONTROLLERS),
        ("ansible/roles/frr/templates/base.j2", {"compute", "tor"}),
        ("ansible/roles/python_plugin/tasks/main.yml", CONTROLLERS),
        ("ansible/library/mariadb_database.py", ALL - {"base"}),
        ("ansible/ansible.cfg", ALL - {"base"}),
        ("ansible/releases/zed.yml", ALL - {"base"}),
        ("ansible/playbooks/image.yml", ALL - {"base"}),
        ("ansible/playbooks/tasks/bake-end.yml", ALL - {"base"}),
        ("ansible/playbooks/layer.yml", {"controller-machines"}),
        ("images/hosts/base/packages", ALL),
        ("images/agents/l2isolate/packages", {"compute"}),
        # Of a plug-in the package, the entry points, and what makes the wheel.
        ("plugins/nova/arbaro_nova/scheduler/request.py", CONTROLLERS),
        ("plugins/nova/pyproject.toml", CONTROLLERS),
        ("plugins/l2isolate/arbaro_l2isolate/planner.py", CONTROLLERS | {"compute"}),
        ("plugins/l2isolate/pyproject.toml", CONTROLLERS | {"compute"}),
        ("plugins/wheel", CONTROLLERS | {"compute"}),
        # Physical machines.
        ("services/machines/arbaro_machines/worker.py", {"controller-machines"}),
        ("services/machines/pyproject.toml", {"controller-machines"}),
        ("services/machines/constraints.txt", {"controller-machines", "rack"}),
        ("services/machines/bundle", {"controller-machines", "rack"}),
        ("images/agents/deploy/root/etc/deploy/write", {"controller-machines"}),
        ("ansible/roles/machines/tasks/main.yml", {"controller-machines"}),
        ("ansible/roles/nova_compute_machines/tasks/main.yml", {"controller-machines"}),
        ("ansible/roles/nova_serialproxy/tasks/main.yml", {"controller-machines"}),
        ("ansible/roles/machines_emulated/tasks/main.yml", {"rack"}),
        # What no image has.
        ("ansible/playbooks/restart-agent.yml", set()),
        ("ansible/README.md", set()),
        ("plugins/l2isolate/README.md", set()),
        ("images/guests/debian-12/build", set()),
    ],
)
def test_a_file_is_in_the_keys_of_all_images_that_it_goes_into(
    covered: dict[str, set[Path]], file: str, changes: set[str]
) -> None:
    path = images.files_dir() / file
    assert path.exists()
    assert {image for image, files in covered.items() if path in files} == changes


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("images/hosts/base/packages", ALL),
        ("ansible/roles/keystone/templates/keystone.conf.j2", CONTROLLERS),
        ("images/agents/l2isolate/packages", {"compute"}),
        ("services/machines/constraints.txt", {"controller-machines", "rack"}),
    ],
)
def test_a_change_rebuilds_what_it_must_and_nothing_else(copy: Path, file: str, changes: set[str]) -> None:
    before = names()
    (copy / file).write_text((copy / file).read_text() + "\n# changed\n")
    assert changed(before, names()) == changes


@pytest.mark.parametrize("change", [lambda text: f"{text}\n    - memcached\n", lambda text: f"# said anew\n{text}"])
def test_of_the_site_only_what_is_done_to_a_host_counts(copy: Path, change: Callable[[str], str]) -> None:
    """The last play of machines.yml is the rack's."""
    before = names()
    book = copy / "ansible/playbooks/machines.yml"
    book.write_text(change(book.read_text()))
    assert changed(before, names()) == ({"rack"} if "memcached" in change("") else set())


def test_a_new_file_of_ansibles_counts_without_being_named(copy: Path) -> None:
    before = names()
    (copy / "ansible/more.yml").write_text("{}")
    assert changed(before, names()) == ALL - {"base"}


def test_a_patch_of_the_release_counts(copy: Path) -> None:
    before = names()
    for release, changes in (("victoria", set()), ("zed", ALL - {"base"})):
        (copy / "patches" / release).mkdir(parents=True)
        (copy / "patches" / release / "0001-x.patch").write_text("")
        assert changed(before, names()) == changes


@pytest.mark.parametrize(("role", "changes"), [(CONTROLLER, CONTROLLERS), ("compute", {"compute"}), ("rack", {"rack"})])
def test_another_secret_of_a_role_rebuilds_its_image(
    role: str, changes: set[str], copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image without it would find no value for what is in its files, and no service would start."""
    part_for, before = identity.part_for, names()
    more = {"one_more_password": "drawn"}
    monkeypatch.setattr(
        recipes.identity, "part_for", lambda of, all_: part_for(of, all_) | (more if of == role else {})
    )
    assert changed(before, names()) == changes


def test_a_script_that_is_no_longer_executable_counts(copy: Path) -> None:
    before = names()
    (copy / "plugins/wheel").chmod(0o644)
    assert changed(before, names()) == CONTROLLERS | {"compute"}


def test_clouds_with_machines_share_all_images_with_those_without() -> None:
    plain, machines = names(machines=False), names()
    assert changed(plain, {name: machines[name] for name in plain}) == set()
    assert set(machines) - set(plain) == {"rack", "controller-machines"}
    one = host_images()
    assert one.recipes["controller-machines"].parent == machines["controller"]
    plain_host, other = (Host("controller", None, frozenset(roles)) for roles in ({CONTROLLER}, {CONTROLLER, MACHINES}))
    assert (one.name(plain_host), one.name(other)) == (machines["controller"], machines["controller-machines"])


@pytest.mark.parametrize("image", ["compute", "controller", "controller-machines"])
def test_ansible_finds_all_that_it_reads_in_what_the_key_covers(image: str, tmp_path: Path) -> None:
    """The copy that a bake works in has nothing else; templates and files are only read by a real one."""
    recipe = host_images().recipes[image]
    recipe.lay(tmp_path)
    groups = "".join(f"[{group}]\n{recipe.role}\n" for group in recipe.groups)
    (tmp_path / "hosts").write_text(groups)
    variables = {"arbaro_release": "zed", "network_driver": "l2isolate", "bake_roles": []}
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            *("-i", tmp_path / "hosts", "--list-tasks"),
            *(word for name, value in variables.items() for word in ("-e", f"{name}={value}")),
            tmp_path / "ansible/playbooks" / recipe.playbook,
        ],
        env={"ANSIBLE_CONFIG": str(tmp_path / "ansible/ansible.cfg"), "PATH": "/usr/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for role in recipe.roles:
        # A role that is included is named, not read, before the play runs.
        assert f"{role} :" in done.stdout or role == "neutron_l2isolate"


@pytest.mark.parametrize("plugin", ["nova", "l2isolate"])
def test_a_wheel_is_made_of_what_the_key_covers(plugin: str, tmp_path: Path) -> None:
    files = recipes.plugin_files(plugin)
    buildkey.copy_files(files, tmp_path)
    wheels = [
        subprocess.run(
            [root / "plugins/wheel", root / "plugins" / plugin, tmp_path / f"out{number}"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for number, root in enumerate((recipes.files_dir(), tmp_path))
    ]
    assert Path(wheels[0]).read_bytes() == Path(wheels[1]).read_bytes()


@pytest.mark.parametrize(
    "built", [*(guest.built for guest in map(Guest, guests.EXTRA_PACKAGES)), machine_parts.ramdisk("bookworm")]
)
def test_a_recipe_finds_its_own_files_in_what_the_key_covers(built: buildkey, tmp_path: Path) -> None:
    """Each path below the recipe's own directory that its scripts name is there."""
    import re

    buildkey.copy_files(built.files, tmp_path)
    for script in (
        path for path in tmp_path.rglob("*") if path.is_file() and "$here" in path.read_text(errors="ignore")
    ):
        for named in re.findall(r"\$here/([\w./-]*\w)", script.read_text()):
            assert (script.parent / named).exists(), f"{script.name} reads {named}"


def test_the_size_of_the_machine_is_part_of_the_key(copy: Path) -> None:
    big = images.HostImages(load_release("zed"), "linuxbridge", HostKind(32, "kvm", "", in_container=True))
    assert big.recipes[COMPUTE].name != names("linuxbridge")[COMPUTE]


def test_roles_are_read_from_site_yml() -> None:
    assert recipes.roles_of(recipes.plays_of(recipes.SITE), "compute", "linuxbridge") == [
        "common",
        "libvirt",
        "nova_compute",
        "neutron_linuxbridge",
    ]


def test_cleaning_after_builds_touches_no_clouds_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(baking.shell, "succeeds", lambda argv, **_: asked.append(argv[-1]) or False)
    monkeypatch.setattr(baking, "_scratches", lambda: ())
    images.clean_after_builds().needed()
    assert asked == [f"arbaro-build-{image}" for image in images.IMAGES] + ["arbaro-build"]
