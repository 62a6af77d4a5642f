# SPDX-License-Identifier: Apache-2.0
"""The real placement API of Debian, on a port of the loopback, with a database of SQLite. Keystone is what stands in."""

import threading
import wsgiref.simple_server

from oslo_config import cfg
from placement import conf, db_api, deploy


class QuietHandler(wsgiref.simple_server.WSGIRequestHandler):
    """Does not print each request."""

    def log_message(self, *_):
        """Say nothing."""


def start(database):
    """Serve placement in a thread; returns the server, whose server_port is free for this purpose."""
    settings = cfg.ConfigOpts()
    conf.register_opts(settings)
    settings.set_override("connection", database, group="placement_database")
    settings.set_override("sync_on_startup", True, group="placement_database")
    settings.set_override("auth_strategy", "noauth2", group="api")
    settings([], default_config_files=[])
    db_api.configure(settings)
    app = deploy.loadapp(settings)
    server = wsgiref.simple_server.make_server("127.0.0.1", 0, app, handler_class=QuietHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
