# SPDX-License-Identifier: Apache-2.0
"""`openstack machine quota show`, `set` and `unset`."""

import argparse
import re
from typing import Any

from keystoneauth1.adapter import Adapter
from osc_lib.command import command
from osc_lib.exceptions import CommandError

from arbaro_machines.client.machines import as_columns

Columns = tuple[tuple[str, ...], tuple[Any, ...]]


class ShowQuota(command.ShowOne):
    """Show how many machines a project may hold, and holds"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the project."""
        parser = super().get_parser(prog_name)
        parser.add_argument("project", nargs="?", help="name or id (default: your own)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        """Show it."""
        manager = self.app.client_manager
        project = project_id(manager, parsed_args.project) if parsed_args.project else manager.session.get_project_id()
        return as_columns(manager.physical_machine.call("GET", f"/quotas/{project}"))


class SetQuota(command.Command):
    """Set how many machines a project may hold (-1: any number)"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add project and number."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--machines", type=int, required=True, help="at most so many; -1 for any number")
        parser.add_argument("project", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Set it."""
        manager = self.app.client_manager
        path = f"/quotas/{project_id(manager, parsed_args.project)}"
        manager.physical_machine.call("PUT", path, {"machines": parsed_args.machines})


class UnsetQuota(command.Command):
    """Let the service's default count for a project again"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the project."""
        parser = super().get_parser(prog_name)
        parser.add_argument("project", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Unset it."""
        manager = self.app.client_manager
        manager.physical_machine.call("DELETE", f"/quotas/{project_id(manager, parsed_args.project)}")


def project_id(manager: Any, project: str) -> str:
    """Find a project's id by its name; the service knows ids only."""
    if re.fullmatch(r"[0-9a-f]{32}", project):
        return project
    keystone = Adapter(manager.session, service_type="identity", region_name=manager.region_name)
    answer = keystone.get("/v3/projects", params={"name": project}, raise_exc=False)
    found = answer.json()["projects"] if answer.status_code == 200 else []
    if len(found) != 1:
        raise CommandError(f"{len(found)} projects are called {project!r}: give the id (openstack project list).")
    return str(found[0]["id"])
