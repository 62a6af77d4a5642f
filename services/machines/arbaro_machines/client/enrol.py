# SPDX-License-Identifier: Apache-2.0
"""`openstack machine enrol FILE`: many machines out of a CSV or YAML file, all or none."""

import argparse
import csv
import io
from pathlib import Path
from typing import Any

import yaml
from osc_lib.command import command
from osc_lib.exceptions import CommandError

from arbaro_machines.client.interfaces import read_interfaces

#: The service takes so many in one call.
AT_ONCE = 1000
NUMBERS = frozenset({"cpus", "memory_mb", "disk_gb"})


class EnrolMachines(command.Lister):
    """Enrol machines that a CSV or YAML file lists"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the file."""
        parser = super().get_parser(prog_name)
        parser.add_argument("file", type=Path, help="*.csv, or *.yaml with a list of machines")
        parser.add_argument("--dry-run", action="store_true", help="only read the file and show what would be enrolled")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Enrol, 1,000 at a time: all or none of each thousand."""
        machines = read_machines(parsed_args.file)
        if not parsed_args.dry_run:
            api = self.app.client_manager.physical_machine
            for start in range(0, len(machines), AT_ONCE):
                api.call("POST", "/machines/bulk", {"machines": machines[start : start + AT_ONCE]})
        columns = ("name", "resource_class", "model", "room", "rack")
        return columns, [tuple(one.get(column, "") for column in columns) for one in machines]


def read_machines(path: Path) -> list[dict[str, Any]]:
    """Read the file. In CSV the API's fields have dots (bmc.address, properties.cpus), interfaces is MAC[,NAME] ….

    Passwords stand in files beside it (bmc.password_file), or in the file itself if nobody else can read it.
    """
    text = path.read_text()
    rows = list(csv.DictReader(io.StringIO(text))) if path.suffix == ".csv" else yaml.safe_load(text)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise CommandError(f"{path}: a list of machines is expected.")
    if any("bmc.password" in row or "password" in (row.get("bmc") or {}) for row in rows):
        _refuse_open_file(path)
    return [_machine(row, path) for row in rows]


def _refuse_open_file(path: Path) -> None:
    if path.stat().st_mode & 0o077:
        raise CommandError(f"{path} has passwords in it and others can read it: chmod 600 {path}")


def _machine(row: dict[str, Any], path: Path) -> dict[str, Any]:
    machine: dict[str, Any] = {}
    for name, value in row.items():
        if value in (None, ""):
            continue
        section, _, field = name.rpartition(".")
        place = machine.setdefault(section, {}) if section else machine
        place[field] = _value(field, value)
    bmc = machine.get("bmc", {})
    if secret := bmc.pop("password_file", None):
        bmc["password"] = (path.parent / secret).read_text().strip()
    return machine


def _value(field: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if field in NUMBERS:
        return int(value)
    if field == "verify_tls":
        return value.lower() in ("true", "yes", "1")
    if field == "interfaces":
        return read_interfaces(value.split())
    return value
