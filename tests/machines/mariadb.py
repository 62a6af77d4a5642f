# SPDX-License-Identifier: Apache-2.0
"""A MariaDB of our own in a directory, on a socket: real, and gone with the tests."""

import socket as sockets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql

from .site import wait_for


@contextmanager
def running(directory: Path) -> Iterator[Path]:
    """Start it; yields the socket."""
    data, socket = directory / "data", directory / "socket"
    subprocess.run(
        [
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--user=root",
        ],
        check=True,
        capture_output=True,
    )
    options = ["--skip-networking", "--user=root", "--innodb-flush-log-at-trx-commit=2", "--max-connections=300"]
    with (directory / "log").open("wb") as log:
        command = ["mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={socket}", *options]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for("MariaDB", lambda: _connects(socket))
        yield socket
    finally:
        process.terminate()
        process.wait(30)


def _connects(socket: Path) -> bool:
    with sockets.socket(sockets.AF_UNIX) as one:
        return one.connect_ex(str(socket)) == 0


def new_database(socket: Path, name: str) -> str:
    """Make an empty database, with the character set that suits worst; returns its URL."""
    connection = pymysql.connect(unix_socket=str(socket), user="root")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb3")
    connection.close()
    return f"mysql+pymysql://root@localhost/{name}?unix_socket={socket}&charset=utf8mb4"
