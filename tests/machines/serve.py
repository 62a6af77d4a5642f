# SPDX-License-Identifier: Apache-2.0
"""The real API in a process of its own, with the table of tokens instead of keystone."""

import sys

import uvicorn
from arbaro_machines.api.app import create_app
from arbaro_machines.api.context import Service
from arbaro_machines.database.store import Store
from arbaro_machines.sealing import Seal
from arbaro_machines.settings import load_settings

from .parts import TokenTable

if __name__ == "__main__":
    settings = load_settings()
    service = Service(settings, Store(settings.database), Seal.from_file(settings.key_file), TokenTable())
    uvicorn.run(create_app(service), host=settings.listen, port=settings.port, access_log=False, log_level="warning")
    sys.exit(0)
