# SPDX-License-Identifier: Apache-2.0
"""The hands that bake host images, with podman on this machine: a host is started, configured, stopped and kept."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from arbaro import shell
from arbaro.checks import Finding, wait_until_silent
from arbaro.cluster import playbooks, this_machine
from arbaro.cluster.built import write_apt_files
from arbaro.cluster.identity import Keeper, write_private
from arbaro.cluster.providers.podman import Podman, system_container_flags
from arbaro.cluster.recipes import BAKED_ADDRESSES, Recipe
from arbaro.cluster.spec import choose_subnets
from arbaro.errors import ArbaroError, CommandError
from arbaro.hosts import Host
from arbaro.settings import cache_dir, files_dir, load_settings
from arbaro.steps import Note, Step

LABEL = "arbaro.image"
BUILD_NETWORK = "arbaro-build"
#: Where builds keep what they need only for a while, if there is room in memory; MiB that an image takes there.
MEMORY_SCRATCH, IMAGE_SIZE = Path("/dev/shm/arbaro-build"), 2000
BAKED_HOST_ADDRESS = "host-address.arbaro.invalid"
#: The identity that a baked host has until its first boot in a cloud.
IDENTITY = Path("etc/arbaro/identity.json")


def exists(image: str) -> bool:
    """Say whether it was baked on this machine."""
    return Podman().has_image(image)


def build_base(name: str, suite: str, note: Note) -> None:
    """Build the bare Debian that all roles start from."""
    with _scratch() as scratch:
        sources, options = write_apt_files(scratch, suite)
        tarball = scratch / "base.tar"
        try:
            recipe = files_dir() / "images/hosts/base/build"
            shell.run([recipe, tarball, sources, options, suite], timeout=900, on_line=note)
        except CommandError as error:
            error.what = f"mmdebstrap could not build a Debian {suite}."
            error.hint = "See that `apt-get update` works here (mirror, proxy), then run the same command again."
            raise
        note("importing")
        command: list[str | Path] = ["podman", "import", "--change", f"LABEL {LABEL}=base", tarball, name]
        shell.run(command, env={"TMPDIR": str(scratch)}, timeout=300)


def bake(recipe: Recipe, note: Note) -> None:
    """Start a host from the parent image, let Ansible make it what the recipe says, and keep that as an image."""
    container = _build_container(recipe.image)
    host = Host(recipe.role, _start(recipe, container), recipe.groups)
    keeper = Keeper(f".image-{recipe.image}")
    keeper.forget()
    try:
        _take_identity(container, keeper)
        keeper.prepare(BAKED_ADDRESSES, [host])
        Podman().lay_files(container, keeper.host_keys(host))
        wait_until_silent(lambda: _boots(container), what="Boot of the build host", timeout=60)
        shell.run(["podman", "exec", container, "systemctl", "start", "ssh"])
        _configure(recipe, host, keeper, note)
        _keep(recipe, container, note)
    finally:
        keeper.forget()


def _start(recipe: Recipe, container: str) -> IPv4Address:
    """Start the host without any service: its parent's must not work yet, sshd needs keys. Returns its address."""
    shell.run(
        [
            "podman",
            "create",
            "--replace",
            *system_container_flags(),
            "--name",
            container,
            "--hostname",
            recipe.role,
            "--network",
            BUILD_NETWORK,
            recipe.parent,
            "/sbin/init",
            "--unit=basic.target",
        ],
        timeout=120,
    )
    shell.run(["podman", "start", container], to_its_end=True)
    form = f'{{{{(index .NetworkSettings.Networks "{BUILD_NETWORK}").IPAddress}}}}'
    return IPv4Address(shell.run(["podman", "inspect", "--format", form, container]).strip())


def _take_identity(container: str, keeper: Keeper) -> None:
    """Go on with the throw-away identity of the parent, if it has one: its databases open to no other."""
    root = Path(shell.run(["podman", "mount", container]).strip())
    try:
        if (root / IDENTITY).exists():
            keeper.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(keeper.identity_file(), (root / IDENTITY).read_text())
    finally:
        shell.run(["podman", "umount", container])


def _configure(recipe: Recipe, host: Host, keeper: Keeper, note: Note) -> None:
    variables = {
        **recipe.variables,
        **{name: str(place) for name, place in recipe.places.items()},
        **BAKED_ADDRESSES,
        "host_address": BAKED_HOST_ADDRESS,
        "bake_roles": list(recipe.roles),
    }
    book = recipe.playbook.removesuffix(".yml")
    with tempfile.TemporaryDirectory() as tree:
        recipe.lay(Path(tree))
        inventory = playbooks.inventory([host], variables, keeper, keeper.reach)
        playbooks.run_playbook(book, inventory, note, files=Path(tree))


def _keep(recipe: Recipe, container: str, note: Note) -> None:
    note("shutting down")
    shell.run(["podman", "stop", "--time", "60", container], timeout=120)
    note("keeping it as an image")
    change = ["--change", f"LABEL {LABEL}={recipe.image}"]
    with _scratch() as scratch:
        command = ["podman", "commit", "--quiet", *change, container, recipe.name]
        shell.run(command, env={"TMPDIR": str(scratch)}, timeout=600)


def _boots(container: str) -> list[Finding]:
    state = shell.run(["podman", "exec", container, "systemctl", "is-system-running"], check=False).strip()
    return [] if state in ("running", "degraded") else [Finding(container, f"systemd is {state or 'starting'}")]


def list_images() -> list[dict[str, Any]]:
    """List our host images: name, size, age, and whether a container uses it."""
    found = json.loads(shell.run(["podman", "images", "--filter", f"label={LABEL}", "--format", "json"]) or "[]")
    return [
        {
            "name": (image.get("Names") or [image["Id"][:12]])[0].removeprefix("localhost/"),
            "id": image["Id"][:12],
            "size_mib": image["Size"] // 2**20,
            "created": image["CreatedAt"],
            "in_use": image["Containers"] > 0,
        }
        for image in found
    ]


def prune_images(keep: Iterable[str], *, dry_run: bool = False) -> list[str]:
    """Remove our images that no container uses and that are not in `keep`; returns their names."""
    wanted = {name.removeprefix("localhost/") for name in keep}
    removed = []
    for image in list_images():
        if (
            not image["in_use"]
            and image["name"] not in wanted
            and (dry_run or shell.succeeds(["podman", "rmi", image["id"]]))
        ):
            removed.append(str(image["name"]))
    return removed


def make_build_network() -> Step:
    """The step that makes the network on which hosts are baked."""
    return Step(
        "Make a network for building",
        lambda: not shell.succeeds(["podman", "network", "exists", BUILD_NETWORK]),
        _create_build_network,
    )


def clean_after_builds(images: Iterable[str]) -> Step:
    """The step that removes what builds of these images left behind, also killed ones."""
    containers = [_build_container(image) for image in images]
    return Step(
        "Remove what building left behind", lambda: _is_left(containers), lambda _: _remove_builds(containers), 10
    )


def _is_left(containers: Iterable[str]) -> bool:
    """Say whether a build has left its host, its network or its scratch files behind."""
    return (
        bool(_found(containers))
        or shell.succeeds(["podman", "network", "exists", BUILD_NETWORK])
        or any(place.exists() for place in _scratches())
    )


def _remove_builds(containers: Iterable[str]) -> None:
    for place in _scratches():
        shutil.rmtree(place, ignore_errors=True)
    if names := _found(containers):
        shell.run(["podman", "rm", "--force", "--time", "0", *names], timeout=300, to_its_end=True)
    if shell.succeeds(["podman", "network", "exists", BUILD_NETWORK]):
        shell.run(["podman", "network", "rm", BUILD_NETWORK])


def _found(containers: Iterable[str]) -> list[str]:
    # By their exact names: a label would be inherited by the image, and by every host of every cloud made from it.
    return [name for name in containers if shell.succeeds(["podman", "container", "exists", name])]


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A directory for what a build needs only for a while; in memory if there is plenty of it."""
    memory, disk = _scratches()
    free = min(shutil.disk_usage(memory.parent).free // 2**20, this_machine.look().free_memory)
    place = memory if free > 3 * IMAGE_SIZE else disk
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Anybody may make a directory in /dev/shm; only one of our own is to be trusted.
    if place.lstat().st_uid != os.geteuid():
        raise ArbaroError(f"{place} belongs to somebody else.", hint=f"rm -r {place}")
    try:
        with tempfile.TemporaryDirectory(dir=place) as scratch:
            yield Path(scratch)
    finally:
        # The other image's build may still need it.
        with contextlib.suppress(OSError):
            place.rmdir()


def _scratches() -> tuple[Path, Path]:
    return MEMORY_SCRATCH, cache_dir() / "build"


def _build_container(image: str) -> str:
    return f"{BUILD_NETWORK}-{image}"


def _create_build_network(_: Note) -> None:
    subnet, _unused = choose_subnets(load_settings().underlay, Podman().taken_networks())
    shell.run(["podman", "network", "create", "--disable-dns", "--subnet", str(subnet), BUILD_NETWORK])
