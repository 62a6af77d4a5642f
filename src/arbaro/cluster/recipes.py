# SPDX-License-Identifier: Apache-2.0
"""What goes into a host image: the roles and all files that they bring, variables, the names of the secrets.

All of it is in the image's key. Files are only read here.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from arbaro.cluster import identity
from arbaro.cluster.buildkey import copy_files, digest, key_of
from arbaro.settings import files_dir

#: In ansible/, but not read while an image is baked. What else is there goes in, be it new.
NOT_READ = frozenset({"README.md", "galaxy.yml", "inventory.example.yml"})
#: These are chosen from, one by one.
CHOSEN_FROM = frozenset({"roles", "playbooks", "releases"})
#: The playbooks whose plays say which roles a group of hosts gets.
SITE = ("site.yml", "machines.yml")
#: The roles that each bake ends with.
LAST_ROLES = ("personalise",)
#: It brings plug-ins to a host; which ones, only a running play knows.
PLUGIN_ROLE = "python_plugin"
#: What stands for a cloud's and a host's addresses until they have some; strings that stand nowhere else.
BAKED_ADDRESSES = {
    name: f"{name.replace('_', '-')}.arbaro.invalid" for name in sorted(identity.ADDRESSES | identity.RACK_ADDRESSES)
}


@dataclass(frozen=True)
class Recipe:
    """How one host image is made: which host is started from its parent, and what Ansible then does to it.

    `role` decides the host's name and its secrets. The host is in `groups`, which have the `roles`. `places` are
    variables too: paths on this machine, whose last parts have the key of what is there.
    """

    image: str
    parent: str
    role: str
    groups: frozenset[str]
    playbook: str
    release: str
    roles: tuple[str, ...]
    variables: Mapping[str, Any]
    places: Mapping[str, Path]
    expected: float

    @cached_property
    def name(self) -> str:
        """The image's name with the key of everything that goes in."""
        names = {name: place.name for name, place in self.places.items()}
        plays = [play for book in SITE for play in self._plays(book)]
        secrets = sorted(identity.part_for(self.role, identity.new_identity(BAKED_ADDRESSES)))
        facts = [self.role, sorted(self.groups), self.roles, dict(self.variables), names, plays, secrets]
        return image_name(self.image, [self.parent, json.dumps(facts, sort_keys=True), digest(self.files)])

    @property
    def files(self) -> list[Path]:
        """All files that are read, and the directories of which all are; of SITE only the plays of its groups go in."""
        ansible = files_dir() / "ansible"
        roles = with_included([*self.roles, *LAST_ROLES])
        listed = sorted(path for path in ansible.iterdir() if path.name not in NOT_READ | CHOSEN_FROM)
        shared = sorted(path for path in (ansible / "playbooks").iterdir() if path.is_dir())
        plugins = [file for name in _plugins() for file in plugin_files(name)] if PLUGIN_ROLE in roles else []
        patches = files_dir() / "patches" / self.release
        return [
            *listed,
            *shared,
            ansible / "playbooks" / self.playbook,
            ansible / "releases" / f"{self.release}.yml",
            *(ansible / "roles" / name for name in roles),
            *plugins,
            *([patches] if patches.is_dir() else []),
        ]

    def lay(self, tree: Path) -> None:
        """Copy what is read while the image is baked, and nothing else, to the same places below `tree`."""
        copy_files(self.files, tree)
        for book in SITE:
            if plays := self._plays(book):
                (tree / "ansible/playbooks" / book).write_text(json.dumps(plays))

    def _plays(self, book: str) -> list[dict[str, Any]]:
        """The plays of the host's groups, also those that are imported from other playbooks."""

        def is_ours(play: dict[str, Any]) -> bool:
            imported = play.get("ansible.builtin.import_playbook")
            return bool(self._plays(imported)) if imported else play.get("hosts") in self.groups

        return [play for play in plays_of([book]) if is_ours(play)]


def image_name(image: str, parts: Iterable[str]) -> str:
    """Name an image by the key of what goes into it."""
    return f"localhost/arbaro/{image}:{key_of(parts)}"


def plays_of(books: Iterable[str]) -> list[dict[str, Any]]:
    """Read the plays of these playbooks."""
    playbooks = files_dir() / "ansible/playbooks"
    return [play for book in books for play in _load((playbooks / book).read_text())]


def roles_of(plays: Iterable[dict[str, Any]], group: str, driver: str) -> list[str]:
    """Read which roles the hosts of a group get, in order."""
    own = [play for play in plays if play.get("hosts") == group]
    included = "ansible.builtin.include_role"
    names = [name for play in own for name in play["roles"]]
    names += [task[included]["name"] for play in own for task in play.get("tasks", []) if included in task]
    return [name.replace("{{ network_driver }}", driver) for name in names]


def with_included(roles: Iterable[str]) -> list[str]:
    """These roles and all that they include, and what those include."""
    found: dict[str, None] = {}
    waiting = list(roles)
    while waiting:
        role = waiting.pop(0)
        if role not in found:
            found[role] = None
            waiting += _included(role)
    return list(found)


def plugin_files(plugin: str) -> list[Path]:
    """What a plug-in's wheel is made of, and what makes it."""
    directory = files_dir() / "plugins" / plugin
    return [files_dir() / "plugins/wheel", directory / "pyproject.toml", *sorted(directory.glob("arbaro_*"))]


def _plugins() -> list[str]:
    return sorted(path.parent.name for path in (files_dir() / "plugins").glob("*/pyproject.toml"))


def _included(role: str) -> Iterator[str]:
    """The roles that a role's tasks and handlers include."""
    for file in sorted((files_dir() / "ansible/roles" / role).glob("*/*.yml")):
        text = file.read_text()
        # Most files include nothing, and need not be parsed.
        for task in _tasks(_load(text)) if "_role:" in text else ():
            for how in ("include_role", "import_role"):
                if included := task.get(f"ansible.builtin.{how}"):
                    yield included["name"]


def _load(text: str) -> Any:
    # With libyaml, where PyYAML was built with it, it takes an eighth of the time.
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _tasks(found: Any) -> Iterator[dict[str, Any]]:
    """All tasks in a document, those in blocks too."""
    for task in found if isinstance(found, list) else ():
        if isinstance(task, dict):
            yield task
            for block in ("block", "rescue", "always"):
                yield from _tasks(task.get(block))
