# SPDX-License-Identifier: Apache-2.0
"""`openstack machine list`, `show`, `create`, `set`, `delete`."""

import argparse
from pathlib import Path
from typing import Any

from osc_lib.command import command

from arbaro_machines.client.api import MachinesApi
from arbaro_machines.client.interfaces import read_interfaces

COLUMNS = ("name", "state", "power", "maintenance", "resource_class", "model", "room", "rack", "server_id", "fault")
FILTERS = (
    "resource-class",
    "model",
    "room",
    "rack",
    "project-id",
    "server-id",
    "reservation-id",
    "group",
    "mac",
    "fault",
)


class ListMachine(command.Lister):
    """List machines"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--state", action="append", help="only those in this state (may be repeated)")
        for name in FILTERS:
            parser.add_argument(f"--{name}", help=f"only those with this {name}")
        parser.add_argument("--maintenance", action="store_const", const="true", help="only those in maintenance")
        parser.add_argument("--limit", type=int, help="not more than so many")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """List them."""
        query = {name.replace("-", "_"): getattr(parsed_args, name.replace("-", "_")) for name in FILTERS}
        query |= {"state": parsed_args.state, "maintenance": parsed_args.maintenance}
        api = self.app.client_manager.physical_machine
        return COLUMNS, [_row(one) for one in api.pages("/machines", "machines", query, parsed_args.limit)]


def _row(machine: dict[str, Any]) -> tuple[Any, ...]:
    flat = machine | {
        "maintenance": (machine["maintenance"] or {}).get("reason", ""),
        "server_id": (machine["holder"] or {}).get("server_id") or "",
        "fault": (machine["fault"] or {}).get("code", ""),
    }
    return tuple(flat[column] for column in COLUMNS)


def name_machine(parser: argparse.ArgumentParser, *, nargs: str | None = None) -> None:
    """Add the argument that says which machine, or which."""
    parser.add_argument("machine", nargs=nargs, help="name or id")


class EachMachine(command.Command):
    """Something that is asked of one machine after the other."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the machines."""
        parser = super().get_parser(prog_name)
        name_machine(parser, nargs="+")
        return parser

    def ask(self, api: MachinesApi, machine: str, parsed_args: argparse.Namespace) -> Any:
        """Ask it of one."""
        raise NotImplementedError

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Ask it of all."""
        for machine in parsed_args.machine:
            self.ask(self.app.client_manager.physical_machine, machine, parsed_args)


def as_columns(machine: dict[str, Any]) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """A machine in the form that the client prints."""
    return tuple(machine), tuple(machine.values())


class ShowMachine(command.ShowOne):
    """Show a machine"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the machine."""
        parser = super().get_parser(prog_name)
        name_machine(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Show it."""
        return as_columns(self.app.client_manager.physical_machine.show(parsed_args.machine))


def add_fields(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the options that describe a machine."""
    for name in ("resource-class", "model", "room", "rack"):
        parser.add_argument(f"--{name}", required=required)
    parser.add_argument("--bmc-address", required=required, help="https://ADDRESS of its BMC")
    parser.add_argument("--bmc-system", required=required, help="path in Redfish, as /redfish/v1/Systems/1")
    parser.add_argument("--bmc-username")
    parser.add_argument("--bmc-password-file", type=Path, help="file with the BMC's password (never on a command line)")
    parser.add_argument("--bmc-insecure", action="store_true", help="do not verify the BMC's certificate")
    parser.add_argument("--boot-method", choices=("virtual-media", "network", "http"))
    parser.add_argument("--firmware", choices=("bios", "uefi"))
    parser.add_argument(
        "--interface", action="append", metavar="MAC[,NAME]", help="the first one boots (may be repeated)"
    )
    parser.add_argument("--console-url", help="as tcp://HOST:PORT")


def body_of(parsed_args: argparse.Namespace) -> dict[str, Any]:
    """What was typed, in the form of the API; what was not typed is not there."""
    body = {name: getattr(parsed_args, name) for name in ("resource_class", "model", "room", "rack", "console_url")}
    secret = parsed_args.bmc_password_file
    bmc = {
        "address": parsed_args.bmc_address,
        "system": parsed_args.bmc_system,
        "username": parsed_args.bmc_username,
        "password": secret.read_text().strip() if secret else None,
        "verify_tls": False if parsed_args.bmc_insecure else None,
    }
    boot = {"method": parsed_args.boot_method, "firmware": parsed_args.firmware}
    body |= {"bmc": _given(bmc), "boot": _given(boot), "interfaces": read_interfaces(parsed_args.interface or [])}
    return {name: value for name, value in body.items() if value not in (None, {}, [])}


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


class CreateMachine(command.ShowOne):
    """Enrol one machine"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the fields."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name")
        add_fields(parser, required=True)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Enrol it."""
        body = {"name": parsed_args.name} | body_of(parsed_args)
        return as_columns(self.app.client_manager.physical_machine.call("POST", "/machines", body))


class SetMachine(command.Command):
    """Change what is known of a machine"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the fields."""
        parser = super().get_parser(prog_name)
        name_machine(parser)
        parser.add_argument("--name", help="new name")
        add_fields(parser, required=False)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it, as it is now: a change by somebody else meanwhile refuses ours."""
        api = self.app.client_manager.physical_machine
        body = body_of(parsed_args) | ({"name": parsed_args.name} if parsed_args.name else {})
        shown = api.show(parsed_args.machine)
        if "boot" in body:
            body["boot"] = shown["boot"] | body["boot"]
        api.call("PATCH", f"/machines/{shown['id']}", body, **{"If-Match": f'"{shown["revision"]}"'})


class DeleteMachine(EachMachine):
    """Forget machines (their events stay)"""

    def ask(self, api: MachinesApi, machine: str, parsed_args: argparse.Namespace) -> None:
        """Forget it, as it is now."""
        api.call("DELETE", f"/machines/{machine}", **{"If-Match": "*"})
