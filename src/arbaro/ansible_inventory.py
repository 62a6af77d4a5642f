# SPDX-License-Identifier: Apache-2.0
"""Reads any inventory that Ansible reads (ini, YAML, directories, scripts, plug-ins).

Ansible itself does it, as a program, which takes seconds for 10,000 hosts. So what it says of plain files is kept under
a key of their content; a script or a plug-in is asked each time. Kept are names, groups and the ways to hosts, no other
variable and no password.
"""

import hashlib
import json
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from arbaro import shell
from arbaro.errors import ArbaroError, CommandError
from arbaro.hosts import Host
from arbaro.inventory import Inventory
from arbaro.reach import Reach
from arbaro.settings import cache_dir

#: The variables that say how a host is reached.
WAY = (
    *("ansible_connection", "ansible_host", "ansible_ssh_host", "ansible_port", "ansible_ssh_port"),
    *("ansible_user", "ansible_ssh_user", "ansible_private_key_file", "ansible_ssh_private_key_file"),
    *("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"),
    *("ansible_host_key_checking", "ansible_ssh_host_key_checking"),
    *("ansible_become", "ansible_become_method"),
)
SSH = ("ssh", "smart", "ansible.builtin.ssh", "paramiko", "paramiko_ssh", "ansible.builtin.paramiko_ssh")
LOCAL = ("local", "ansible.builtin.local")
#: Where Ansible looks for its configuration, after $ANSIBLE_CONFIG.
CONFIGURATIONS = ("ansible.cfg", "~/.ansible.cfg", "/etc/ansible/ansible.cfg")
VARIABLES = ("group_vars", "host_vars")
#: Seconds. 10,000 hosts took 10 (ini) and 30 (YAML) on a quiet machine with two cores, and many minutes on a busy one.
PATIENCE = 1800
KEPT = 20

Digest = dict[str, dict[str, Any]]


def read_inventory(*sources: str | Path) -> Inventory:
    """Read an inventory from what one would give to `ansible -i`. Raises ArbaroError when one cannot be read."""
    places = [str(source) for source in sources]
    key = content_key(places)
    found = _kept(key) if key else None
    if found is None:
        found = digest(ask_ansible(places))
        if key:
            _keep(key, found)
    hosts = [Host(name, None, frozenset(entry["groups"])) for name, entry in found.items()]
    return Inventory.of(hosts, lambda host: reach_of(host.name, found[host.name]["way"]))


def ask_ansible(sources: Sequence[str]) -> dict[str, Any]:
    """What `ansible-inventory --list` says of these sources."""
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "--list"]
    # Otherwise a source that cannot be read is an empty inventory and a warning.
    env = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1", "ANSIBLE_INVENTORY_UNPARSED_FAILED": "1"}
    words = [word for source in sources for word in ("-i", source)]
    try:
        return dict(json.loads(shell.run([*command, *words], env=env, timeout=PATIENCE, secret=True)))
    except CommandError as error:
        raise ArbaroError(
            f"Ansible cannot read the inventory {', '.join(sources)}.",
            why=error.why,
            hint=f"ansible-inventory --list {shlex.join(words)}",
        ) from error


def digest(listing: Mapping[str, Any]) -> Digest:
    """Take out of Ansible's answer what counts here: for each host its groups, with their parents, and its way."""
    variables = listing.get("_meta", {}).get("hostvars", {})
    groups = {name: group for name, group in listing.items() if name != "_meta"}
    parents: dict[str, list[str]] = {}
    for name, group in groups.items():
        for child in group.get("children", ()):
            parents.setdefault(child, []).append(name)
    members: dict[str, set[str]] = {name: set() for name in variables}
    for name, group in groups.items():
        above = _above(name, parents) - {"all", "ungrouped"}
        for host in group.get("hosts", ()):
            members.setdefault(host, set()).update(above)
    return {
        host: {"groups": sorted(found), "way": way_of(host, variables.get(host, {}), found)}
        for host, found in members.items()
    }


def _above(group: str, parents: Mapping[str, Iterable[str]]) -> set[str]:
    """A group with all that it is in."""
    found, waiting = set[str](), [group]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += parents.get(name, ())
    return found


def way_of(host: str, variables: Mapping[str, Any], groups: Iterable[str]) -> dict[str, Any]:
    """The variables that say how a host is reached, with their templates filled in."""
    way = {name: variables[name] for name in WAY if name in variables}
    if not any(isinstance(value, str) and "{" in value for value in way.values()):
        return way
    known = {
        **variables,
        "inventory_hostname": host,
        "inventory_hostname_short": host.split(".")[0],
        "group_names": sorted(groups),
    }
    return {name: _filled(value, known) if isinstance(value, str) else value for name, value in way.items()}


def _filled(text: str, variables: Mapping[str, Any]) -> Any:
    """Fill in a template; where that needs Ansible itself, the reason stands in its place (`reach_of` raises it)."""
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(undefined=StrictUndefined)
    try:
        # A variable's value may be a template too.
        for _ in range(8):
            if "{{" not in text and "{%" not in text:
                break
            text = environment.from_string(text).render(variables)
    except TemplateError as error:
        return {"unknown": f"{text} ({error})"}
    return text


def reach_of(name: str, way: Mapping[str, Any]) -> Reach:
    """How a host is reached, by its variables. Raises ArbaroError when that is not by SSH, or cannot be told."""
    for variable, value in way.items():
        if isinstance(value, Mapping):
            why = value.get("unknown", "It is encrypted.")
            raise ArbaroError(f"How {name} is reached cannot be told: {variable} needs Ansible itself.", why=str(why))

    def first(*names: str) -> str:
        return next((str(way[one]) for one in names if way.get(one) not in (None, "")), "")

    sudo = _is_true(first("ansible_become")) and first("ansible_become_method") in ("", "sudo", "ansible.builtin.sudo")
    connection = first("ansible_connection") or "ssh"
    if connection in LOCAL:
        return Reach(name, "", is_here=True, sudo=sudo)
    if connection not in SSH:
        raise ArbaroError(f"{name} is reached by Ansible's connection {connection!r}, not by SSH.")
    port, key = (
        first("ansible_port", "ansible_ssh_port"),
        first("ansible_ssh_private_key_file", "ansible_private_key_file"),
    )
    arguments = [word for one in WAY if one.endswith("_args") for word in shlex.split(first(one))]
    trusting = first("ansible_ssh_host_key_checking", "ansible_host_key_checking")
    if trusting and not _is_true(trusting):
        arguments += ["-o", "StrictHostKeyChecking=no"]
    return Reach(
        name,
        first("ansible_host", "ansible_ssh_host") or name,
        first("ansible_user", "ansible_ssh_user"),
        int(port) if port else None,
        Path(key).expanduser() if key else None,
        arguments=tuple(arguments),
        sudo=sudo,
    )


def _is_true(text: str) -> bool:
    return text.lower() in ("true", "yes", "y", "on", "1")


def content_key(sources: Sequence[str]) -> str | None:
    """A hash of all that Ansible reads of these sources; None where a script or a plug-in has the last word."""
    content = hashlib.sha256(json.dumps([sources, version("ansible-core"), _settings(), str(Path.cwd())]).encode())
    for source in sources:
        path = Path(source).expanduser()
        if not path.exists():
            return None
        for file in _files(path):
            if _has_the_last_word(file):
                return None
            content.update(f"{file}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    for name in (os.environ.get("ANSIBLE_CONFIG", ""), *CONFIGURATIONS):
        file = Path(name).expanduser()
        content.update(file.read_bytes() if name and file.is_file() else b"\0")
    return content.hexdigest()[:24]


def _settings() -> list[str]:
    return sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith("ANSIBLE_"))


def _files(source: Path) -> Iterator[Path]:
    places = [source] if source.is_dir() else [source, *(source.parent / name for name in VARIABLES)]
    for place in places:
        yield from [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.is_file())


def _has_the_last_word(file: Path) -> bool:
    if set(VARIABLES) & set(file.parts):
        return False
    named = file.suffix in (".yml", ".yaml") and re.search(rb"^plugin\s*:", file.read_bytes(), re.MULTILINE)
    return os.access(file, os.X_OK) or bool(named)


def _kept(key: str) -> Digest | None:
    try:
        found = json.loads((_directory() / f"{key}.json").read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _keep(key: str, found: Digest) -> None:
    """Keep an answer, readable by its owner only, and drop the oldest ones."""
    _directory().mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile("w", dir=_directory(), delete=False) as draft:
        json.dump(found, draft)
    Path(draft.name).replace(_directory() / f"{key}.json")
    for old in sorted(_directory().glob("*.json"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        old.unlink(missing_ok=True)


def _directory() -> Path:
    return cache_dir() / "inventories"
