# SPDX-License-Identifier: Apache-2.0
"""Stands in for hardware that boots the ramdisk: when the emulator switches a machine on with a CD in its drive, it reads
the CD that the BMC fetched (from the network: it asks for iPXE's script), and talks to the API as the ramdisk does.

What the real ramdisk does on a real (emulated) disk is tried with QEMU (tests/machines/live).
"""

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

AUTH = ("admin", "calvin-1")


class Ramdisk:
    """One boot of the ramdisk."""

    def __init__(self, system: dict[str, Any], bmc: str, api: str, medium: bytes) -> None:
        self.name, self._api = system["name"], api
        self._system = f"{bmc}/redfish/v1/Systems/{system['uuid']}"
        found = re.search(rb"arbaro\.url=(\S+) arbaro\.token=(\S+)", medium)
        assert found, f"no address and token in {medium[:100]!r}"
        self.url, token = found[1].decode(), found[2].decode()
        self._headers = {"X-Machine-Token": token}

    def get(self, url: str) -> bytes:
        return self._insist("GET", url).content

    def plan(self) -> dict[str, str]:
        lines = self.get(f"{self.url}/plan").decode().splitlines()
        return dict(line.partition("=")[::2] for line in lines)

    def say(self, **words: Any) -> None:
        body = "".join(f"{name}={value}\n" for name, value in words.items())
        self._insist("POST", f"{self.url}/word", data=body)

    def step(self) -> str:
        """How far its task is, as an operator sees it."""
        url = f"{self._api}/v1/machines/{self.name}"
        task = requests.get(url, headers={"X-Auth-Token": "operator"}, timeout=10).json()["task"]
        return task["step"] if task else ""

    def _insist(self, method: str, url: str, **more: Any) -> requests.Response:
        """Until the service answers, as the real one does; a minute, for a busy machine starts an API slowly."""
        for left in reversed(range(120)):
            try:
                answer = requests.request(method, url, headers=self._headers, timeout=10, **more)
                answer.raise_for_status()
                return answer
            except requests.ConnectionError:
                if not left:
                    raise
                time.sleep(0.5)
        raise AssertionError

    def power_off(self) -> None:
        url = f"{self._system}/Actions/ComputerSystem.Reset"
        requests.post(url, json={"ResetType": "ForceOff"}, auth=AUTH, timeout=10)


def obey(ramdisk: Ramdisk, disks: dict[str, Any]) -> None:
    """What a good ramdisk does."""
    ramdisk.say(phase="started", disk_bytes=8 * 10**9)
    plan = ramdisk.plan()
    if plan["verb"] == "rescue":
        disks[ramdisk.name]["rescue"] = plan
        ramdisk.say(phase="ready")
        return
    ramdisk.say(phase="writing", done=0, total=100)
    if plan["verb"] == "clean":
        disks[ramdisk.name] = {"wiped": disks.get(ramdisk.name, {}).get("wiped", 0) + 1}
    else:
        image = ramdisk.get(plan["image"])
        assert hashlib.sha256(image).hexdigest() == plan["sha256"]
        drive = ramdisk.get(plan["config_drive"]) if "config_drive" in plan else None
        written = disks.get(ramdisk.name, {}).get("written", 0) + 1
        disks[ramdisk.name] = {"image": image, "drive": drive, "written": written, "wiped": 0}
    ramdisk.say(phase="done")
    ramdisk.power_off()


Behaviour = Callable[[Ramdisk, dict[str, Any]], None]


class Hardware:
    """All machines: how each behaves (`behave`), and what is on its disk (`disks`)."""

    def __init__(self) -> None:
        self.behave: dict[str, Behaviour | None] = {}
        self.disks: dict[str, Any] = {}
        self.boots: dict[str, int] = {}
        #: How each booted the ramdisk last: from what, and in which mode.
        self.booted: dict[str, tuple[str, str]] = {}
        self.api = self.agent = ""
        self._power: dict[str, str] = {}
        self.bmc = ""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def changed(self, system: dict[str, Any]) -> None:
        name, power = system["name"], system["power_state"]
        before, self._power[name] = self._power.get(name, "Off"), power
        if (before, power) != ("Off", "On") or not (medium := self._medium(system)):
            return
        self.boots[name] = self.boots.get(name, 0) + 1
        self.booted[name] = system["boot_device"], system.get("boot_mode", "UEFI")
        behaviour = self.behave.get(name, obey)
        if behaviour is not None:
            ramdisk = Ramdisk(system, self.bmc, self.api, medium)
            threading.Thread(target=self._boot, args=(behaviour, ramdisk), daemon=True).start()

    def _medium(self, system: dict[str, Any]) -> bytes | None:
        """What the firmware finds where it is told to boot from; None is the disk."""
        match system.get("boot_device"):
            case "Cd":
                image = (system.get("boot_image") or {}).get("Cd")
                return Path(image[0]).read_bytes() if image and image[0] else None
            case "Pxe":
                query = {"mac": system["nics"][0]["mac"].upper()}
                script = requests.get(f"{self.agent}/v1/agent/boot.ipxe", query, timeout=10).content
                return script if b"kernel" in script else None
        return None

    def _boot(self, behaviour: Behaviour, ramdisk: Ramdisk) -> None:
        try:
            behaviour(ramdisk, self.disks)
        except requests.RequestException as error:
            print(f"{ramdisk.name}: {error}")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hardware = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                system = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hardware.changed(system)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
