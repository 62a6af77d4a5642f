# SPDX-License-Identifier: Apache-2.0
"""The physical-machine API, called: errors become the service's own sentences."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from keystoneauth1.adapter import Adapter
from keystoneauth1.session import Session
from osc_lib.exceptions import CommandError

SERVICE_TYPE = "physical-machine"
POLL_SECONDS = 2.0


class MachinesApi:
    """Calls, pages and waits."""

    def __init__(self, session: Session, region: str | None, interface: str | None) -> None:
        self._api = Adapter(session, service_type=SERVICE_TYPE, region_name=region, interface=interface)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Call, and give the JSON that came."""
        more = {"json": body} if body is not None or method == "POST" else {}
        if method == "POST" and body is None:
            more = {"json": {}}
        answer = self._api.request(f"/v1{path}", method, headers=headers, raise_exc=False, **more)
        if answer.status_code >= 400:
            raise CommandError(_sentence(answer))
        return answer.json() if answer.content else None

    def pages(
        self, path: str, key: str, query: Mapping[str, Any], limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Go through all pages of a list, or as far as wanted."""
        asked = {name: value for name, value in query.items() if value not in (None, [])}
        found = 0
        while True:
            size = min(1000, (limit or 10**9) - found)
            answer = self._api.get(f"/v1{path}", params=asked | {"limit": size}, raise_exc=False)
            if answer.status_code >= 400:
                raise CommandError(_sentence(answer))
            page = answer.json()
            yield from page[key]
            found += len(page[key])
            following = page["links"]["next"]
            if not following or found >= (limit or 10**9):
                return
            asked["marker"] = following.rsplit("marker=", 1)[1]

    def show(self, machine: str) -> dict[str, Any]:
        """Show a machine."""
        shown: dict[str, Any] = self.call("GET", f"/machines/{machine}")
        return shown

    def wait(self, machine: str) -> dict[str, Any]:
        """Wait until nothing works on the machine any more; a fault ends it as an error."""
        while (shown := self.show(machine))["task"] is not None:
            time.sleep(POLL_SECONDS)
        if shown["fault"]:
            raise CommandError(
                f"{shown['name']} is {shown['state']}: {shown['fault']['cause']}\n{shown['fault']['next_step']}"
            )
        return shown


def _sentence(answer: Any) -> str:
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code} of {answer.url}: is this the physical-machine service?"
    return f"{error['message']} {error.get('next_step', '')}".strip() + f" ({error['code']}, {error['request_id']})"
