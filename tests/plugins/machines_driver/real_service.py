# SPDX-License-Identifier: Apache-2.0
"""The real services/machines for the driver's tests: `PYTHON real_service.py DIRECTORY MACHINES`, with a Python that has it.

Its API, its worker and sushy-tools' Redfish emulator, as in tests/machines; the hardware is made up. Also made up: keystone (a
table of tokens) and glance (each image's id is this one image). The last machine's BMC password is wrong.
"""

import json
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "services" / "machines")]

import uvicorn  # noqa: E402
from arbaro_machines.api.app import create_agent_app, create_app  # noqa: E402
from arbaro_machines.api.context import Service  # noqa: E402
from arbaro_machines.command import _glance  # noqa: E402
from arbaro_machines.database.models import Machine  # noqa: E402
from arbaro_machines.glance import Glance  # noqa: E402
from arbaro_machines.sealing import Seal  # noqa: E402
from arbaro_machines.settings import load_settings  # noqa: E402
from sqlalchemy import update  # noqa: E402
from tests.machines.cloud import disk  # noqa: E402
from tests.machines.parts import TokenTable  # noqa: E402
from tests.machines.site import Site  # noqa: E402


class AnyImage(Glance):
    """Glance, but that each image's id is this one image."""

    def __init__(self, glance: Glance, image_id: str):
        self._api, self._image_id = glance._api, image_id

    def describe(self, image_id: str, token: str):
        """Say what the image is."""
        return super().describe(self._image_id, token)


def main(directory: Path, machines: int) -> None:
    """Serve until the standard input ends."""
    import os

    site = Site(directory, machines)
    site.start("emulator", "worker")
    os.environ["ARBARO_MACHINES_CONFIG"] = str(directory / "machines.toml")
    settings = load_settings()
    image = site.cloud.add(disk(b"a disk of 1 MiB", 2**20))
    glance = AnyImage(_glance(settings), image["id"])
    service = Service(settings, site.store, Seal.from_file(settings.key_file), TokenTable(), glance)
    for application, port in ((create_app(service), settings.port), (create_agent_app(service), settings.agent_port)):
        config = uvicorn.Config(application, host="127.0.0.1", port=port, log_level="error", proxy_headers=False)
        threading.Thread(target=uvicorn.Server(config).run, daemon=True).start()
    for number in range(machines):
        bad = {"bmc": {"password": "forgotten"}} if number == machines - 1 else {}
        while True:
            try:
                site.enrol(number, **bad)
                break
            except OSError:
                pass  # not listening yet
    with site.store.writing() as session:
        properties = {"disk_gb": 8, "cpu_arch": "x86_64"}
        session.execute(update(Machine).values(state="available", written=False, properties=properties))
    print(json.dumps({"url": site.api}), flush=True)
    sys.stdin.read()
    site.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
