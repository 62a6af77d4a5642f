# SPDX-License-Identifier: Apache-2.0
"""The two ports of the real process: which paths each has, and that no header changes who asks, or which port was asked."""

from typing import Any

import pytest
import requests

from ..site import Site

pytestmark = pytest.mark.emulator
LIES = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9", "Forwarded": "for=203.0.113.9"}


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()}, timeout=30)


def test_each_port_has_its_own_paths(site: Site) -> None:
    (site.directory / "ramdisk/vmlinuz").write_bytes(b"kernel")
    file, machines = "/v1/agent/files/vmlinuz", "/v1/machines"
    assert get(site.agent + file).content == b"kernel"
    assert get(site.agent + machines, X_Auth_Token="operator").status_code == 404
    assert get(f"{site.agent}/v1/openapi.json").status_code == 404
    assert get(site.api + machines, X_Auth_Token="operator").status_code == 200
    assert "/v1/agent" not in get(f"{site.api}/v1/openapi.json").text
    for path in (file, "/v1/agent/boot.ipxe?mac=52:54:00:00:00:01", "/v1/agent/plan", "/metrics"):
        assert get(site.api + path).status_code == 404
        assert get(site.api + path, Host=site.agent.removeprefix("http://")).status_code == 404
    assert get(f"{site.agent}/metrics").status_code == 200


def test_headers_do_not_say_who_asks(site: Site) -> None:
    (site.directory / "ramdisk/vmlinuz").write_bytes(b"kernel")
    # Believed, these would come from where nobody may ask: and so would a lie in the other direction be.
    assert get(f"{site.agent}/v1/agent/files/vmlinuz", **LIES).content == b"kernel"


@pytest.mark.parametrize("method", ["virtual-media", "network"])
def test_whoever_asks_all_the_time_gets_no_token_but_the_ramdisk(
    site: Site, number: int, image: dict[str, Any], method: str
) -> None:
    """On the API's port at any moment of a whole deployment, by the very MAC."""
    name = site.held(number, boot={"method": method, "firmware": "uefi"})
    site.alice.call("POST", f"/v1/machines/{name}/deploy", {"image": image}, status=202)
    seen = set()
    while (machine := site.show(name))["state"] == "deploying":
        answer = get(f"{site.api}/v1/agent/boot.ipxe?mac=52:54:00:00:00:{number:02x}")
        seen.add(answer.status_code)
        assert "token" not in answer.text
    assert (machine["state"], seen) == ("active", {404})
