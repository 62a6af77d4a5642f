# SPDX-License-Identifier: Apache-2.0
"""The shared cloud's emulated physical machines as tests use them: servers on machines, what these say, and what their BMCs do."""

import itertools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from arbaro.cluster.rack import FLAVOR, IMAGE, NETWORK, Rack

from .conftest import ROOT, Tool

PRIVATE = Path.home() / f".local/share/arbaro/clouds/{Tool.name}"


#: $1 is the port, $2 for how long each answer is awaited. Without -T, of which tiny's wget dies.
ASKS_ALL = """
patience=$2
ask() {{
    timeout $patience wget -q -O - --header 'X-Machine-Token: t.t' --header 'X-Forwarded-For: 127.0.0.1' "$@" 2>&1 | head -c 3000
}}
until [ -e /tmp/enough ]; do
    for mac in {macs}; do ask "http://{service}:$1/v1/agent/boot.ipxe?mac=$mac"; done
    for path in plan config-drive image t.t/deploy.iso; do ask "http://{service}:$1/v1/agent/$path"; done
    ask --post-data phase=done "http://{service}:$1/v1/agent/word"
    for path in metrics v1/machines v1/events v1/stock v1/openapi.json v1/agent/; do ask "http://{service}:$1/$path"; done
    echo "asked all of $1"
    sleep 0.3
done"""


def wait_for(what: str, look: Callable[[], object], seconds: float) -> float:
    """Look until it is so (True), and return the seconds it took; says the last thing seen if it never is."""
    began = time.monotonic()
    while (seen := look()) is not True:
        assert time.monotonic() < began + seconds, f"waited {seconds:.0f} s for {what}; last: {seen}"
        time.sleep(0.5)
    return time.monotonic() - began


@dataclass(frozen=True)
class Metal:
    """The cloud."""

    tool: Tool
    rack: Rack

    def openstack(self, *words: str) -> Any:
        """Run the real client as admin, and read its JSON."""
        return self.tool.openstack(*words)

    def do(self, *words: str, code: int | None = 0) -> str:
        """Run the real client as admin, where it prints nothing that is JSON."""
        return self.tool.do(*words, code=code)

    def on(self, host: str, command: str, code: int | None = 0) -> str:
        """Run a shell's line on a host of the cloud."""
        return self.tool.on(host, command, code=code, timeout=120)

    def machine(self, name: str) -> dict[str, Any]:
        """Look at a machine."""
        return self.rack.machines()[name]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the machine service, as admin."""
        return self.rack.ask(method, path, body)

    def change(self, machine_id: str, **fields: Any) -> None:
        """Change what the service knows of a machine, whatever its revision."""
        session, spec = self.rack.ground.connection.session, self.rack.spec
        url = f"http://{spec.public_address}:8780/v1/machines/{machine_id}"
        session.request(url, "PATCH", json=fields, headers={"If-Match": "*"})

    def events(self, machine_id: str, since: str) -> list[dict[str, Any]]:
        """List what happened to a machine since then, the oldest first."""
        return list(reversed(self.ask("GET", f"/v1/events?machine_id={machine_id}&since={since}&limit=1000")["events"]))

    def all_free(self, seconds: float = 300) -> float:
        """Wait until all machines are in the stock and nova offers them; returns the seconds it took."""
        names = self.rack.spec.machine_names

        def look() -> object:
            states = {name: self.machine(name)["state"] for name in names}
            return (set(states.values()) == {"available"} and not self.rack.unoffered()) or states

        return wait_for("all machines to be free", look, seconds)

    def console(self, machine: str) -> str:
        """Read what a machine said on its serial console."""
        return self.on("rack", f"cat /var/lib/rack/consoles/{machine}").replace("\r", "")

    def create(self, server: str, script: Path, *more: str, image: str = IMAGE) -> None:
        """Ask for a server on a machine, by the command of the mission."""
        base = ["--image", image, "--flavor", FLAVOR, "--network", NETWORK, "--key-name", "arbaro"]
        # As another user in words of its own comes first.
        user = [word for word in more if word.startswith("--os-")]
        rest = [word for word in more if word not in user]
        self.openstack(*user, "server", "create", *base, "--user-data", str(script), *rest, server)

    def operator(self, place: Path, commands: str) -> str:
        """Type commands in a shell where the openstack client has its plug-in for machines, put into `place`."""
        plugin = place / "plugin"
        if not plugin.exists():
            pip = [str(ROOT / ".venv/bin/pip"), "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
            self.tool.run([*pip, "--target", str(plugin), str(ROOT / "services/machines")])
        env = [f"PYTHONPATH={plugin}", f"PATH={ROOT}/.venv/bin:{os.environ['PATH']}", f"OS_CLOUD=arbaro-{Tool.name}"]
        return self.tool.run(["env", *env, "bash", "-euo", "pipefail", "-c", commands], timeout=900)

    def server(self, name: str) -> Any:
        """Look at a server, of whatever project."""
        (found,) = self.openstack("server", "list", "--all-projects", "--name", f"^{name}$")
        return self.openstack("server", "show", found["ID"])

    def machine_of(self, server: Any) -> str:
        """Say which machine a server is on, by its name."""
        node = server["OS-EXT-SRV-ATTR:hypervisor_hostname"]
        return next(name for name, machine in self.rack.machines().items() if machine["id"] == node)

    def built(self, name: str, seconds: float = 300) -> Any:
        """Wait until a server is ACTIVE, and return it; ERROR is not waited out."""
        last: list[Any] = []

        def look() -> object:
            last[:] = [self.server(name)]
            assert last[0]["status"] != "ERROR", last[0]["fault"]
            return last[0]["status"] == "ACTIVE" or (last[0]["status"], self.rack.machines())

        wait_for(f"{name} to be ACTIVE", look, seconds)
        return last[0]

    def ssh(self, address: str, command: str, code: int | None = 0, user: str = "root") -> str:
        """Run a command in a server; its host key is new with each boot, so nobody compares it here."""
        options = ["-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"]
        # One that is switched off meanwhile says no more good-bye.
        options += ["-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=3"]
        words = ["ssh", "-F", "none", "-i", str(PRIVATE / "id_ed25519"), *options, "-o", "ConnectTimeout=3"]
        return self.tool.run([*words, f"{user}@{address}", command], code=code, timeout=60)

    def address(self, name: str) -> str:
        """The address of a server."""
        found: str = next(iter(self.server(name)["addresses"].values()))[0]
        return found

    def script_log(self, server: Any, wanted: str, seconds: float = 120) -> str:
        """Read by SSH what the user's script printed, as soon as it has said what is wanted."""
        address = next(iter(server["addresses"].values()))[0]
        last = [""]

        def look() -> object:
            last[0] = self.ssh(address, "cat /var/log/user-script.log", code=None)
            return wanted in last[0] or last[0] or self.last_words(server)

        wait_for(f"{wanted!r} by SSH from {address}", look, seconds)
        return last[0]

    def last_words(self, server: Any) -> str:
        """What a server, or its machine, has said last."""
        machines = {found["id"]: name for name, found in self.rack.machines().items()}
        name = machines.get(server["OS-EXT-SRV-ATTR:hypervisor_hostname"])
        text = self.console(name) if name else self.do("console", "log", "show", server["id"], code=None)
        return text[-800:]

    def booted_anew(self, address: str, before: str = "", seconds: float = 90) -> str:
        """Wait by SSH until a server runs that has started since; returns what tells this start from any other."""
        last = [""]

        def look() -> object:
            last[0] = self.ssh(address, "cat /proc/sys/kernel/random/boot_id", code=None).strip()
            return last[0] not in ("", before) or last[0]

        wait_for(f"{address} to have started anew", look, seconds)
        return last[0]

    def is_blank(self, machine: str) -> bool:
        """Say whether a machine's disk holds nothing but zeros, as its next owner could read it."""
        compare = "truncate --size 4G /var/tmp/blank && qemu-img compare -U -q -f raw -F raw /var/tmp/blank"
        return "same" in self.on("rack", f"{compare} /var/lib/rack/disks/{machine}.raw && echo same || echo other")


@dataclass(frozen=True)
class Stranger:
    """A server that asks the machine service for everything, over and over, on both of its ports."""

    metal: Metal
    address: str

    def begin(self, macs: list[str]) -> None:
        """Ask from now on."""
        service = str(self.metal.rack.spec.public_address)
        script = ASKS_ALL.format(service=service, macs=" ".join(macs))
        # What is sent to the second is dropped, so that nothing is gained by patience.
        ask = "setsid sh /tmp/ask {0} {1} >/tmp/learnt-{0} 2>&1 </dev/null &"
        start = ask.format(8780, 4) + ask.format(8781, 1)
        self.metal.ssh(self.address, f"cat >/tmp/ask <<'ASK'\n{script}\nASK\nrm -f /tmp/enough\n{start}")

    def asks_all_again(self) -> None:
        """Wait until everything was asked from now on; where packets are dropped, each question takes a second."""
        count = "cat /tmp/learnt-8780 | grep -c '^asked all'; cat /tmp/learnt-8781 | grep -c '^asked all'"
        # The first turn that ends may have begun before.
        wanted = [int(turns) + 2 for turns in self.metal.ssh(self.address, count, code=None).split()]

        def look() -> bool:
            seen = self.metal.ssh(self.address, count, code=None).split()
            return all(int(turns) >= least for turns, least in zip(seen, wanted, strict=True))

        wait_for("the stranger to have asked everything", look, 240)

    def end(self) -> dict[int, str]:
        """Ask no more; returns what was learnt on which port."""
        self.metal.ssh(self.address, "touch /tmp/enough; sleep 3")
        return {port: self.metal.ssh(self.address, f"cat /tmp/learnt-{port}") for port in (8780, 8781)}


def phases(events: list[dict[str, Any]], began: datetime, ended: float) -> str:
    """Tabulate when each step of a deployment began and how long it took; `ended` is seconds after `began`."""
    seen = [("asked for", 0.0)]
    for event in events:
        at = (datetime.fromisoformat(event["at"].replace("Z", "+00:00")) - began).total_seconds()
        if event["type"] in ("step", "state"):
            seen.append((event["text"], at))
    pairs = itertools.pairwise([*seen, ("", ended)])
    return "\n".join(f"{start:6.1f} s {end - start:6.1f} s  {what}" for (what, start), (_, end) in pairs)
