# SPDX-License-Identifier: Apache-2.0
"""How the openstack client finds us: what osc-lib calls when `openstack machine …` is typed."""

import argparse
from typing import Any

from arbaro_machines.client.api import MachinesApi

DEFAULT_API_VERSION = "1"
API_VERSION_OPTION = "os_physical_machine_api_version"
API_NAME = "physical_machine"
API_VERSIONS = {"1": "arbaro_machines.client.api.MachinesApi"}


def make_client(instance: Any) -> MachinesApi:
    """Make a client with the token and catalog that the openstack client has already."""
    return MachinesApi(instance.session, instance.region_name, instance.interface)


def build_option_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add our one global option."""
    parser.add_argument(
        "--os-physical-machine-api-version",
        metavar="<version>",
        default=DEFAULT_API_VERSION,
        help="Version of the physical-machine API (default: 1)",
    )
    return parser
