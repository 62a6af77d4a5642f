# SPDX-License-Identifier: Apache-2.0
"""`openstack machine inspect`, `provide`, `reserve`, `deploy`, `power`, `rescue`, `release`, `maintenance …`."""

import argparse
import base64
import getpass
import json
from pathlib import Path
from typing import Any

from osc_lib.command import command
from osc_lib.exceptions import CommandError

from arbaro_machines.client.api import MachinesApi
from arbaro_machines.client.machines import EachMachine, as_columns, name_machine

Columns = tuple[tuple[str, ...], tuple[Any, ...]]


class _Verb(EachMachine):
    """A verb on one or more machines that can be waited for."""

    verb = ""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the machines, and whether to wait."""
        parser = command.Command.get_parser(self, prog_name)
        self.before_machines(parser)
        name_machine(parser, nargs="+")
        parser.add_argument("--wait", action="store_true", help="until it is done, or failed")
        return parser

    def before_machines(self, parser: argparse.ArgumentParser) -> None:
        """Add what is typed before the machines."""

    def body(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """What the verb says beside the machine."""
        return {}

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Ask all of them first, then wait for all of them."""
        api = self.app.client_manager.physical_machine
        body = self.body(parsed_args)
        asked = [api.call("POST", f"/machines/{machine}/{self.verb}", body)["id"] for machine in parsed_args.machine]
        for machine in asked if parsed_args.wait else ():
            api.wait(machine)


class InspectMachine(_Verb):
    """Look at machines by their BMCs and fill in what they have"""

    verb = "inspect"


class ProvideMachine(_Verb):
    """Clean machines and put them into the stock"""

    verb = "provide"


class UnrescueMachine(_Verb):
    """Start machines from their own disks again"""

    verb = "unrescue"


class ReleaseMachine(EachMachine):
    """Give machines back: they are wiped, and then free for others"""

    def ask(self, api: MachinesApi, machine: str, parsed_args: argparse.Namespace) -> None:
        """Give it back; whether it comes clean is the operators' concern, so there is nothing to wait for."""
        api.call("POST", f"/machines/{machine}/release")


class PowerMachine(_Verb):
    """Switch machines"""

    verb = "power"

    def before_machines(self, parser: argparse.ArgumentParser) -> None:
        """Add the target."""
        parser.add_argument("target", choices=("on", "off", "soft-off", "reboot", "soft-reboot"))

    def body(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """The target."""
        return {"target": parsed_args.target}


class RescueMachine(_Verb):
    """Start a system in memory that root can log in to by SSH"""

    verb = "rescue"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add who may log in."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--public-key", type=Path, action="append", metavar="FILE", help="may log in (may be repeated)"
        )
        parser.add_argument("--password", action="store_true", help="ask for a password on the terminal")
        return parser

    def body(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Keys and password."""
        keys = [path.read_text().strip() for path in parsed_args.public_key or ()]
        return {"public_keys": keys} | ({"password": getpass.getpass()} if parsed_args.password else {})


class DeployMachine(command.ShowOne):
    """Write an image to a machine's disk and start it"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image and what goes with it."""
        parser = super().get_parser(prog_name)
        name_machine(parser)
        parser.add_argument("--image", required=True, help="glance's id, or a URL (with --checksum and --image-format)")
        parser.add_argument("--checksum", help="sha256:… or sha512:…")
        parser.add_argument("--image-format", choices=("raw", "qcow2", "raw.zst"), default="qcow2")
        parser.add_argument("--user-data", type=Path, help="script or cloud-config for the first boot")
        parser.add_argument("--public-key", type=Path, help="may log in")
        parser.add_argument("--hostname")
        parser.add_argument("--wait", action="store_true", help="until it is done, or failed")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        """Deploy."""
        api = self.app.client_manager.physical_machine
        machine = api.show(parsed_args.machine)
        body = {"image": _image(parsed_args), "config_drive": {"files": _files(parsed_args, machine)}}
        shown = api.call("POST", f"/machines/{machine['id']}/deploy", body)
        return as_columns(api.wait(machine["id"]) if parsed_args.wait else shown)


def _image(parsed_args: argparse.Namespace) -> dict[str, Any]:
    if "://" not in parsed_args.image:
        return {"id": parsed_args.image}
    if not parsed_args.checksum:
        raise CommandError("--image URL wants --checksum: what is written must be what you mean.")
    return {"url": parsed_args.image, "format": parsed_args.image_format, "checksum": parsed_args.checksum}


def _files(parsed_args: argparse.Namespace, machine: dict[str, Any]) -> dict[str, str]:
    name = parsed_args.hostname or machine["name"]
    # The id is new for each deployment: cloud-init runs the script once for each id.
    data = {"uuid": f"{machine['id']}-{machine['revision']}", "name": name, "hostname": name}
    if parsed_args.public_key:
        data["public_keys"] = {"mykey": parsed_args.public_key.read_text().strip()}
    files = {"openstack/latest/meta_data.json": json.dumps(data).encode()}
    if parsed_args.user_data:
        files["openstack/latest/user_data"] = parsed_args.user_data.read_bytes()
    return {path: base64.b64encode(content).decode() for path, content in files.items()}


class ReserveMachines(command.Lister):
    """Reserve machines of a kind, all or none"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add what is wanted."""
        parser = super().get_parser(prog_name)
        parser.add_argument("resource_class", metavar="resource-class")
        parser.add_argument("--count", type=int, default=1)
        for name in ("model", "room", "rack", "group", "project-id", "reservation-id"):
            parser.add_argument(f"--{name}")
        parser.add_argument("--spread", choices=("rack", "room"), help="one in each")
        parser.add_argument("--best-effort", action="store_true", help="as evenly spread as the stock allows")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Reserve."""
        names = ("resource_class", "count", "model", "room", "rack", "group", "project_id", "reservation_id", "spread")
        body = {name: getattr(parsed_args, name) for name in names if getattr(parsed_args, name) is not None}
        if parsed_args.best_effort:
            body["spread_policy"] = "best-effort"
        made = self.app.client_manager.physical_machine.call("POST", "/reservations", body)
        columns = ("name", "id", "room", "rack")
        return columns, [tuple(one[column] for column in columns) for one in made["machines"]]


class SetMaintenance(EachMachine):
    """Take machines out of use: nobody gets them, nothing is deployed on them"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the reason."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--reason", required=True)
        return parser

    def ask(self, api: MachinesApi, machine: str, parsed_args: argparse.Namespace) -> None:
        """Set it."""
        api.call("PUT", f"/machines/{machine}/maintenance", {"reason": parsed_args.reason})


class UnsetMaintenance(EachMachine):
    """Take machines into use again"""

    def ask(self, api: MachinesApi, machine: str, parsed_args: argparse.Namespace) -> None:
        """Unset it."""
        api.call("DELETE", f"/machines/{machine}/maintenance")


class ShowConsole(command.ShowOne):
    """Show where a machine's console is"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the machine."""
        parser = super().get_parser(prog_name)
        name_machine(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        """Show it."""
        return as_columns(
            self.app.client_manager.physical_machine.call("GET", f"/machines/{parsed_args.machine}/console")
        )
