# SPDX-License-Identifier: Apache-2.0
"""`arbaro-machines`: the service's processes, its schema, and its keys."""

import argparse
import logging
import signal
import sys

from arbaro_machines.database.store import Store, migrate
from arbaro_machines.glance import Glance
from arbaro_machines.images import ImageCache
from arbaro_machines.sealing import Seal, new_key
from arbaro_machines.settings import Settings, load_settings

VERBS = {
    "api": "serve the API",
    "worker": "work on tasks; run as many as you like, on as many hosts as you like",
    "migrate": "bring the database's schema to its present form",
    "key": "print a new key for the key file",
}


def main() -> None:
    """Run one of the verbs."""
    parser = argparse.ArgumentParser(prog="arbaro-machines", description="Physical machines as a service beside nova.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, text in VERBS.items():
        verbs.add_parser(verb, help=text)
    verb = parser.parse_args().verb
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)
    if verb == "key":
        sys.stdout.write(new_key() + "\n")
        return
    settings = load_settings()
    {"api": _api, "worker": _work, "migrate": lambda one: migrate(one.database)}[verb](settings)


def _glance(settings: Settings) -> Glance | None:
    from arbaro_machines.api.keystone import open_session

    if settings.keystone is None:
        return None
    return Glance(open_session(settings.keystone), settings.keystone.region_name)


def _api(settings: Settings) -> None:
    from arbaro_machines.api.app import create_agent_app, create_app
    from arbaro_machines.api.context import Service
    from arbaro_machines.api.keystone import KeystoneIdentity, open_session
    from arbaro_machines.serve import serve

    if settings.keystone is None:
        sys.exit("arbaro-machines: the settings have no section [keystone]; nobody could log in.")
    if not settings.agent_networks:
        sys.exit(
            "arbaro-machines: the settings have no agent_networks; no ramdisk could reach the service.\n"
            'Name the networks of ramdisks and BMCs in machines.toml: agent_networks = ["10.0.7.0/24"]'
        )
    identity = KeystoneIdentity(settings.keystone, open_session(settings.keystone))
    service = Service(
        settings, Store(settings.database), Seal.from_file(settings.key_file), identity, _glance(settings)
    )
    serve(
        {
            (settings.listen, settings.port): create_app(service),
            (settings.listen, settings.agent_port): create_agent_app(service),
        }
    )


def _work(settings: Settings) -> None:
    from arbaro_machines.worker import Worker

    images = ImageCache(settings, _glance(settings))
    images.prune()  # what an earlier worker was killed over
    worker = Worker(settings, Store(settings.database), Seal.from_file(settings.key_file), images)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    worker.run()


if __name__ == "__main__":
    main()
