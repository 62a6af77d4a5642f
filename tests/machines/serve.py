# SPDX-License-Identifier: Apache-2.0
"""The real API in a process of its own, with the table of tokens instead of keystone."""

import sys

from arbaro_machines.api.app import create_agent_app, create_app
from arbaro_machines.api.context import Service
from arbaro_machines.command import _glance
from arbaro_machines.database.store import Store
from arbaro_machines.sealing import Seal
from arbaro_machines.serve import serve
from arbaro_machines.settings import load_settings

from .parts import TokenTable

if __name__ == "__main__":
    settings = load_settings()
    seal = Seal.from_file(settings.key_file)
    service = Service(settings, Store(settings.database), seal, TokenTable(), _glance(settings))
    ports = {settings.port: create_app(service), settings.agent_port: create_agent_app(service)}
    serve({(settings.listen, port): application for port, application in ports.items()})
    sys.exit(0)
