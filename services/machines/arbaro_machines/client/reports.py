# SPDX-License-Identifier: Apache-2.0
"""`openstack machine stock list` and `event list`."""

import argparse
from typing import Any

from osc_lib.command import command

LEVELS = {
    "rack": ("resource_class", "model", "room", "rack"),
    "room": ("resource_class", "model", "room"),
    "resource_class": ("resource_class",),
}
COUNTS = ("total", "free", "held", "busy", "out", "cleaning")


class ListStock(command.Lister):
    """Count machines: how many of which model are free in which room and rack"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the filters."""
        parser = super().get_parser(prog_name)
        for name in ("resource-class", "model", "room"):
            parser.add_argument(f"--{name}")
        parser.add_argument("--by", choices=tuple(LEVELS), default="rack", help="what is told apart (default: rack)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Count."""
        names = ("resource_class", "model", "room", "by")
        query = "&".join(f"{name}={getattr(parsed_args, name)}" for name in names if getattr(parsed_args, name))
        lines = self.app.client_manager.physical_machine.call("GET", f"/stock?{query}")["stock"]
        columns = (*LEVELS[parsed_args.by], *COUNTS)
        return columns, [tuple(line[column] for column in columns) for line in lines]


class ListEvents(command.Lister):
    """List what happened to machines, and who did it; newest first"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("machine", nargs="?", help="name or id")
        for name in ("type", "since", "request-id", "user-id"):
            parser.add_argument(f"--{name}")
        parser.add_argument("--limit", type=int, default=50, help="not more than so many (default: 50)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """List them."""
        api = self.app.client_manager.physical_machine
        query = {name: getattr(parsed_args, name) for name in ("type", "since", "request_id", "user_id")}
        if parsed_args.machine:
            query["machine_id"] = api.show(parsed_args.machine)["id"]
        rows = api.pages("/events", "events", query, parsed_args.limit)
        columns = ("at", "machine", "type", "text", "by", "request_id")
        return columns, [
            (one["at"], one["machine"], one["type"], one["text"], (one["by"] or {}).get("user", ""), one["request_id"])
            for one in rows
        ]
