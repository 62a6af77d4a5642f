# SPDX-License-Identifier: Apache-2.0
"""Host images: baked once by the very roles that configure any other host, under a key of all that went in.

base (mmdebstrap) → controller and compute (base + playbook image.yml). A cloud starts from them within seconds,
because packages, schemas and configuration are there; docs/decisions/0003-baked-images.md.
"""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import yaml

from arbaro import shell
from arbaro.checks import Finding, wait_until_silent
from arbaro.cluster import aptsources, machine_parts, playbooks
from arbaro.cluster.agents import AgentImage, agents_dir
from arbaro.cluster.drivers import NETWORK_DRIVERS
from arbaro.cluster.identity import ADDRESSES, RACK_ADDRESSES, Keeper
from arbaro.cluster.keys import digest, key_of
from arbaro.cluster.machine import Machine, look_at_machine
from arbaro.cluster.providers.podman import Podman, system_container_flags
from arbaro.cluster.spec import choose_subnets
from arbaro.errors import ArbaroError, CommandError
from arbaro.hosts import COMPUTE, CONTROLLER, MACHINES, RACK, TOR, Host
from arbaro.releases import Release
from arbaro.settings import cache_dir, files_dir, load_settings
from arbaro.steps import Note, Step

LABEL = "arbaro.image"
BUILD_NETWORK = "arbaro-build"
#: Where builds keep what they need only for a while, if there is room in memory; MiB that an image takes there.
MEMORY_SCRATCH, IMAGE_SIZE = Path("/dev/shm/arbaro-build"), 2000
#: Roles that others include, and the one that ends each image.
HELPING_ROLES = ("catalog", "wsgi", "frr", "python_plugin", "personalise")
#: What stands for a cloud's and a host's addresses until they have some; strings that stand nowhere else.
BAKED_ADDRESSES = {name: f"{name.replace('_', '-')}.arbaro.invalid" for name in sorted(ADDRESSES | RACK_ADDRESSES)}
BAKED_HOST_ADDRESS = "host-address.arbaro.invalid"
#: What is brought to hosts of a role because of physical machines, by the variables that name it.
PARTS = {CONTROLLER: ("machines_bundle", "machines_ramdisk"), RACK: ("machines_emulated_bundle",)}

#: So few machines need not be spared: nova looks at them often.
LOOK_INTERVAL = {"nova_compute_machines_look_interval": 10}


@dataclass(frozen=True)
class HostImages:
    """The images for one release on one machine; each name ends with the key of everything that went into it."""

    release: Release
    network: str
    machine: Machine
    #: With what clouds with physical machines have beside: more on the controller, and a host for emulated ones.
    machines: bool = False

    @property
    def base(self) -> str:
        """The bare Debian that all roles start from."""
        sources = [str(source) for source in aptsources.machine_sources(self.release.suite)]
        return _name("base", [*sources, *aptsources.machine_apt_options(), digest([files_dir() / "images/hosts/base"])])

    def name(self, role: str) -> str:
        """The image of the hosts with this role."""
        ansible = files_dir() / "ansible"
        playbooks_dir = ansible / "playbooks"
        paths = [
            ansible / "releases" / f"{self.release.name}.yml",
            ansible / "library",
            playbooks_dir / "image.yml",
            playbooks_dir / "tasks",
            playbooks_dir / "templates",
            *(ansible / "roles" / name for name in [*self._roles(role), *HELPING_ROLES]),
            *(sorted((files_dir() / "plugins").glob("*/arbaro_*")) if role == CONTROLLER else []),
        ]
        variables = self.variables | (self.agent_variables if role == COMPUTE else {})
        variables |= {name: part.path.name for name, part in self.parts.items() if name in PARTS.get(role, ())}
        variables |= LOOK_INTERVAL if role == CONTROLLER and self.machines else {}
        return _name(role, [self.base, json.dumps(variables, sort_keys=True), digest(paths)])

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that there is an image for."""
        fabric = (TOR,) if NETWORK_DRIVERS[self.network].tors else ()
        return (CONTROLLER, COMPUTE, *fabric, *((RACK,) if self.machines else ()))

    @property
    def agents(self) -> list[AgentImage]:
        """The images of the agents that the computes run in containers."""
        return [AgentImage(name, self.release.suite) for name in NETWORK_DRIVERS[self.network].agents]

    def steps(self, *beside: Step) -> list[Step | list[Step]]:
        """How the images come to be: the base and the agents' first, then the others side by side.

        The steps `beside` have nothing to do with them, and are done while there is time.
        """
        return [
            [
                Step("Build the base image", lambda: not exists(self.base), self._build_base, 55),
                *(agent.step() for agent in self.agents if not exists(self.name(COMPUTE))),
                *beside,
                *(part.step() for part in self.parts.values()),
            ],
            Step("Make a network for building", self._network_is_missing, _create_build_network),
            [self._bake_step(role) for role in self.roles],
        ]

    def _bake_step(self, role: str) -> Step:
        expected = {CONTROLLER: 330, COMPUTE: 240, TOR: 60, RACK: 120}[role]
        return Step(
            f"Bake the {role} image", lambda: not exists(self.name(role)), lambda note: self._bake(role, note), expected
        )

    def _roles(self, role: str) -> list[str]:
        books = [files_dir() / "ansible/playbooks" / name for name in ("site.yml", "machines.yml")]
        plays = [play for book in books for play in yaml.safe_load(book.read_text())]
        groups = [role, *([MACHINES] if role == CONTROLLER and self.machines else [])]
        return [name for group in groups for name in roles_of(plays, group, self.network)]

    def _network_is_missing(self) -> bool:
        unbuilt = [role for role in self.roles if not exists(self.name(role))]
        return bool(unbuilt) and not shell.succeeds(["podman", "network", "exists", BUILD_NETWORK])

    @property
    def variables(self) -> dict[str, Any]:
        """The variables that the images depend on."""
        return playbooks.machine_variables(self.release.name, self.network, self.machine)

    @property
    def agent_variables(self) -> dict[str, str]:
        """The variables that name the agents' images; only the computes' image depends on them."""
        return {f"{agent.agent}_agent_image": agent.name for agent in self.agents}

    @property
    def parts(self) -> dict[str, machine_parts.Part]:
        """What is brought to hosts because of physical machines, by the variable that names it."""
        if not self.machines:
            return {}
        return {
            "machines_bundle": machine_parts.service(),
            "machines_ramdisk": machine_parts.ramdisk(self.release.suite),
            "machines_emulated_bundle": machine_parts.emulator(),
        }

    @property
    def machines_variables(self) -> dict[str, Any]:
        """The variables that say where those are on this machine, and how often nova looks at the machines."""
        return {name: str(part.path) for name, part in self.parts.items()} | LOOK_INTERVAL

    def _build_base(self, note: Note) -> None:
        with _scratch() as scratch:
            sources, options, tarball = (scratch / name for name in ("sources.list", "90machine", "base.tar"))
            sources.write_text("".join(f"{source}\n" for source in aptsources.machine_sources(self.release.suite)))
            options.write_text("".join(f"{line}\n" for line in aptsources.machine_apt_options()))
            try:
                recipe = files_dir() / "images/hosts/base/build"
                shell.run([recipe, tarball, sources, options, self.release.suite], timeout=900, on_line=note)
            except CommandError as error:
                error.what = f"mmdebstrap could not build a Debian {self.release.suite}."
                error.hint = "See that `apt-get update` works here (mirror, proxy), then run the same command again."
                raise
            note("importing")
            command: list[str | Path] = ["podman", "import", "--change", f"LABEL {LABEL}=base", tarball, self.base]
            shell.run(command, env={"TMPDIR": str(scratch)}, timeout=300)

    def _bake(self, role: str, note: Note) -> None:
        """Start a host from the base, let Ansible make it a controller or a compute, and keep that as an image."""
        container = _build_container(role)
        shell.run(
            [
                "podman",
                "create",
                "--replace",
                *system_container_flags(),
                "--name",
                container,
                "--hostname",
                role,
                "--network",
                BUILD_NETWORK,
                self.base,
                "/sbin/init",
            ],
            timeout=120,
        )
        shell.run(["podman", "start", container], to_its_end=True)
        form = f'{{{{(index .NetworkSettings.Networks "{BUILD_NETWORK}").IPAddress}}}}'
        address = IPv4Address(shell.run(["podman", "inspect", "--format", form, container]).strip())
        second = [MACHINES] if role == CONTROLLER and self.machines else []
        host = Host(role, address, frozenset({role, *second}))
        keeper = Keeper(f".image-{role}")
        keeper.forget()
        keeper.prepare(BAKED_ADDRESSES, [host])
        variables = {
            **self.variables,
            **self.agent_variables,
            **self.machines_variables,
            **BAKED_ADDRESSES,
            "host_address": BAKED_HOST_ADDRESS,
            "bake_roles": self._roles(role),
            "agent_images_dir": str(agents_dir()),
        }
        try:
            # The host is up already, but its sshd only reads its keys when it starts.
            Podman().lay_files(container, keeper.host_keys(host))
            wait_until_silent(lambda: _boots(container), what="Boot of the build host", timeout=60)
            shell.run(["podman", "exec", container, "systemctl", "restart", "ssh"])
            playbooks.run_playbook("image", playbooks.inventory([host], variables, keeper), note)
            note("shutting down")
            shell.run(["podman", "stop", "--time", "60", container], timeout=120)
            note("keeping it as an image")
            command = ["podman", "commit", "--quiet", "--change", f"LABEL {LABEL}={role}", container, self.name(role)]
            with _scratch() as scratch:
                shell.run(command, env={"TMPDIR": str(scratch)}, timeout=600)
        finally:
            keeper.forget()


def _boots(container: str) -> list[Finding]:
    state = shell.run(["podman", "exec", container, "systemctl", "is-system-running"], check=False).strip()
    return [] if state in ("running", "degraded") else [Finding(container, f"systemd is {state or 'starting'}")]


def roles_of(site: Iterable[dict[str, Any]], group: str, network: str) -> list[str]:
    """Read from site.yml which roles the hosts of a group get, in order."""
    plays = [play for play in site if play.get("hosts") == group]
    included = "ansible.builtin.include_role"
    names = [name for play in plays for name in play["roles"]]
    names += [task[included]["name"] for play in plays for task in play.get("tasks", []) if included in task]
    return [name.replace("{{ network_driver }}", network) for name in names]


def exists(image: str) -> bool:
    """Say whether podman has this image."""
    return shell.succeeds(["podman", "image", "exists", image])


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


def clean_after_builds() -> Step:
    """The step that takes away what building, be it a killed one, has left behind."""
    return Step("Remove what building left behind", _builds_are_left, lambda _: _remove_builds(), 10)


def _builds_are_left() -> bool:
    """Say whether a build, be it a killed one, has left its host or its network behind."""
    return (
        bool(_builds())
        or shell.succeeds(["podman", "network", "exists", BUILD_NETWORK])
        or any(place.exists() for place in _scratches())
    )


def _remove_builds() -> None:
    """Remove the hosts, the network and the scratch files of builds."""
    for place in _scratches():
        shutil.rmtree(place, ignore_errors=True)
    if names := _builds():
        shell.run(["podman", "rm", "--force", "--time", "0", *names], timeout=300, to_its_end=True)
    if shell.succeeds(["podman", "network", "exists", BUILD_NETWORK]):
        shell.run(["podman", "network", "rm", BUILD_NETWORK])


def _builds() -> list[str]:
    # By their exact names: a label would be inherited by the image, and by every host of every cloud made from it.
    names = (_build_container(role) for role in (CONTROLLER, COMPUTE, TOR, RACK))
    return [name for name in names if shell.succeeds(["podman", "container", "exists", name])]


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A directory for what a build needs only for a while; in memory if there is plenty of it."""
    memory, disk = _scratches()
    room = min(shutil.disk_usage(memory.parent).free // 2**20, look_at_machine().free_memory)
    place = memory if room > 3 * IMAGE_SIZE else disk
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


def _build_container(role: str) -> str:
    return f"{BUILD_NETWORK}-{role}"


def _create_build_network(_: Note) -> None:
    subnet, _unused = choose_subnets(load_settings().underlay, Podman().taken_networks())
    shell.run(["podman", "network", "create", "--disable-dns", "--subnet", str(subnet), BUILD_NETWORK])


def _name(role: str, parts: Iterable[str]) -> str:
    return f"localhost/arbaro/{role}:{key_of(parts)}"
