# SPDX-License-Identifier: Apache-2.0
"""The first server of a cloud: made by the real client, it ran the script and is reached from this machine."""

import re
import sys
import time
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arbaro import shell
from arbaro.checks import Finding, wait_until_silent
from arbaro.cluster.checks.guests import broken_link, commands
from arbaro.cluster.ground import FLAVOR, KEYPAIR, Ground
from arbaro.cluster.guest_console import host_keys
from arbaro.cluster.identity import write_private
from arbaro.errors import ArbaroError, CommandError, WaitTimeout
from arbaro.evidence import Evidence, Seen
from arbaro.reach import Reach
from arbaro.settings import openstack_command
from arbaro.steps import Note

SERVER = "first-vm"
#: Where the guest keeps what the script printed, and the guest's own line that ends it (images/guests/README.md).
SCRIPT_LOG = "/var/log/user-script.log"
SCRIPT_DONE = re.compile(r"arbaro: [\d.]+ user script done \(exit \d+\)\s*\Z")

DEFAULT_SCRIPT = """#!/bin/sh
echo "Hello from $(hostname), the first server of your own cloud."
echo "Kernel $(uname -r), up for $(cut -d' ' -f1 /proc/uptime) seconds."
"""


@dataclass(frozen=True)
class FirstServer:
    """The first server of a cloud."""

    ground: Ground
    script: Path | None = None

    def server_is_missing(self) -> bool:
        """Say whether there is no first server that is up; one in ERROR does not count."""
        server = self._server()
        return server is None or server.status != "ACTIVE"

    def has_another_script(self) -> bool:
        """Say whether the server was made with another script than the one that is asked for now."""
        if self.script is None:
            return False
        return bool(self._server().user_data != b64encode(self.script.read_bytes()).decode())

    def create_server(self, note: Note) -> None:
        """Create the server with the real client, and wait until nova calls it ACTIVE."""
        server = self._server()
        if server and server.status == "SHUTOFF":
            note("starting it again")
            self._compute.start_server(server)
        if server and server.status == "ERROR":
            note("removing the one that did not work")
            self._compute.delete_server(server, force=False)
            self._compute.wait_for_delete(server, wait=120)
            server = None
        if server is None:
            note("openstack server create")
            self._create()
        wait_until_silent(
            self._active,
            what=f"{SERVER} becoming ACTIVE",
            timeout=300,
            note=note,
            interval=1,
            hint=f"arbaro status {self.ground.spec.name}, then arbaro logs {self.ground.spec.name}",
        )

    def is_unreached(self) -> bool:
        """Say whether the server does not show the script's output by SSH right now."""
        try:
            return self._reached() != []
        except ArbaroError:
            return True

    def reach(self, note: Note) -> None:
        """Wait until the server answers ping and SSH and its script has ended; say which link of the chain broke."""
        try:
            wait_until_silent(
                self._reached, what=f"Reaching {SERVER} and its script", timeout=180, note=note, interval=1
            )
        except WaitTimeout as error:
            if broken := broken_link(self._evidence()):
                error.why, error.hint = f"{broken}\n{error.why}", broken.run
            raise

    def output(self) -> str:
        """What the script printed, read by SSH from the guest; its own lines only, not the guest's around them."""
        return "".join(line for line in self._script_log().splitlines(True) if not line.startswith("arbaro: "))

    def _script_has_ended(self) -> bool:
        return script_has_ended(self._script_log())

    def _script_log(self) -> str:
        reach = self._reach()
        self._pin_host_key(reach.address)
        return reach.run(["cat", SCRIPT_LOG], timeout=15)

    def address(self) -> str:
        """The server's address. Raises ArbaroError when it has none."""
        server = self._server()
        found = [entry["addr"] for entries in (server.addresses if server else {}).values() for entry in entries]
        if not found:
            raise ArbaroError(f"{SERVER} has no address.", hint=f"{self.client()} server show {SERVER}")
        return str(found[0])

    def _reach(self) -> Reach:
        """How the server is reached, with nothing of the person's own."""
        address, key = self.address(), self.ground.keeper.key
        return Reach(SERVER, address, "root", key=key, known_hosts=self._known_guests, shared=False)

    def client(self) -> str:
        """The openstack client, as a person can type it here for this cloud."""
        command = openstack_command(with_machines=bool(self.ground.spec.machines))
        return f"{command} --os-cloud {self.ground.spec.cloud_name}"

    def ssh_line(self) -> str:
        """The shortest line that a person can type to get into the server."""
        key, known = self.ground.keeper.key, self._known_guests
        return f"ssh -i {key} -o UserKnownHostsFile={known} root@{self.address()}"

    def console_url(self) -> str:
        """The noVNC page of the server's console; it holds a token that ends after ten minutes."""
        server = self._server()
        console = self._compute.create_console(server, console_type="novnc")
        return str(console["url"])

    @property
    def _compute(self) -> Any:
        return self.ground.connection.compute

    @property
    def _known_guests(self) -> Path:
        return self.ground.keeper.directory / "known_guests"

    def _server(self) -> Any:
        found = self._compute.find_server(SERVER)
        return self._compute.get_server(found) if found else None

    def _create(self) -> None:
        # Ids, because another project may have a network, a group or a shared image of the same name.
        image = ["--image", self.ground.image_id(), "--flavor", FLAVOR, "--key-name", KEYPAIR]
        network = ["--network", self.ground.network_id(), "--security-group", self.ground.security_group_id()]
        script = ["--user-data", str(self._script_file())]
        # Only the id is asked for: all that is printed goes to the log, and nova prints a password too.
        answer = ["-f", "value", "-c", "id"]
        client = str(Path(sys.executable).with_name("openstack"))
        cloud = ["--os-cloud", self.ground.spec.cloud_name]
        shell.run([client, *cloud, "server", "create", *image, *network, *script, *answer, SERVER], timeout=120)

    def _script_file(self) -> Path:
        if self.script:
            return self.script
        path = self.ground.keeper.directory / "first-script.sh"
        write_private(path, DEFAULT_SCRIPT)
        return path

    def _active(self) -> list[Finding]:
        server = self._server()
        if server is None:
            return [Finding("nova", f"no server {SERVER}")]
        if server.status == "ERROR":
            fault, name = server.fault or {}, self.ground.spec.name
            raise ArbaroError(
                f"{SERVER} ended in ERROR: {fault.get('message', 'nova gives no reason')}",
                hint=f"arbaro status {name}, then arbaro logs {name} controller nova-scheduler",
            )
        if server.status != "ACTIVE":
            return [Finding("nova", f"{SERVER} is {server.status}, {server.task_state or 'no task'}")]
        return []

    def _ping(self) -> bool:
        return shell.succeeds(["ping", "-c", "1", "-W", "1", self.address()])

    def _reached(self) -> list[Finding]:
        if not self._ping():
            return [Finding(SERVER, "does not answer ping")]
        try:
            if self._script_has_ended():
                return []
        except CommandError as error:
            return [Finding(SERVER, error.why.splitlines()[-1] if error.why else "no SSH")]
        return [Finding(SERVER, "the script has not ended yet")]

    def _evidence(self) -> Evidence:
        """How far the server came, by its console, ping and SSH."""
        spec, at = self.ground.spec, time.time()
        facts = {"console": self._console(), "ping": self._ping(), "login": not self.is_unreached()}
        run = commands(spec.name, spec.driver, self._server().compute_host, self.client(), SERVER)
        seen = {what: Seen(value, at) for what, value in facts.items()}
        return Evidence(spec.name, {SERVER: seen}, {SERVER: {"commands": run}})

    def _console(self) -> str:
        """What the server has printed; nothing as long as nova has no console of it."""
        from openstack.exceptions import SDKException

        try:
            return str(self._compute.get_server_console_output(self._server())["output"])
        except SDKException:
            return ""

    def _pin_host_key(self, address: str) -> None:
        """Take the guest's host key from its console, which nova hands out, not from whoever answers on the network.

        Each boot of a tiny guest has a new one.
        """
        keys = host_keys(self._console())
        if keys:
            write_private(self._known_guests, "".join(f"{address} {key}\n" for key in keys))


def script_has_ended(log: str) -> bool:
    """Say whether the guest's own word is the last one; the script may have printed the same before."""
    return SCRIPT_DONE.search(log) is not None
