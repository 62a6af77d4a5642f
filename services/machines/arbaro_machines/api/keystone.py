# SPDX-License-Identifier: Apache-2.0
"""Who asks: keystone judges each token, and its answer is believed for a minute.

keystonemiddleware is WSGI and brings a dozen oslo libraries; what is needed of it is one call (decision 14).
"""

import hashlib
import threading
import time
from datetime import datetime
from typing import Any, Protocol

from keystoneauth1 import exceptions as problems
from keystoneauth1.adapter import Adapter
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from arbaro_machines.api import access_rules
from arbaro_machines.caller import Caller
from arbaro_machines.errors import Refusal
from arbaro_machines.settings import Keystone

SERVICE_TYPE = "physical-machine"


class Identity(Protocol):
    """Whoever knows what a token is worth."""

    def caller(self, token: str, method: str, path: str) -> Caller:
        """Who has this token; refuses a bad one, and one that may not do this method on this path."""
        ...


def open_session(settings: Keystone) -> Session:
    """Log in as the service itself."""
    auth = v3.Password(
        auth_url=settings.auth_url,
        username=settings.username,
        password=settings.password_file.read_text().strip(),
        project_name=settings.project_name,
        user_domain_name=settings.user_domain_name,
        project_domain_name=settings.project_domain_name,
    )
    return Session(auth=auth, verify=str(settings.cacert) if settings.cacert else True, timeout=20)


class KeystoneIdentity:
    """Keystone, with a short memory."""

    def __init__(self, settings: Keystone, session: Session) -> None:
        self._settings = settings
        self._keystone = Adapter(session, service_type="identity", endpoint_override=settings.auth_url)
        self._known: dict[bytes, tuple[float, dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def caller(self, token: str, method: str, path: str) -> Caller:
        """Who has this token."""
        body = self._look_up(token)
        if (rules := body.get("application_credential", {}).get("access_rules")) is not None and not any(
            access_rules.allows(rule, SERVICE_TYPE, method, path) for rule in rules
        ):
            raise Refusal("forbidden", f"This application credential's access rules do not allow {method} {path}.")
        return self._caller(body)

    def _look_up(self, token: str) -> dict[str, Any]:
        # Tokens are not kept, not even in memory: their hashes do.
        key = hashlib.sha256(token.encode()).digest()
        until, body = self._known.get(key, (0.0, {}))
        if time.time() < until:
            return body
        body = self._ask(token)
        expires = datetime.fromisoformat(body["expires_at"].replace("Z", "+00:00")).timestamp()
        with self._lock:
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[key] = (min(expires, time.time() + self._settings.token_cache), body)
        return body

    def _ask(self, token: str) -> dict[str, Any]:
        headers = {"X-Subject-Token": token, "OpenStack-Identity-Access-Rules": "1.0"}
        try:
            answer = self._keystone.get("/auth/tokens?nocatalog", headers=headers)
        except (problems.NotFound, problems.BadRequest) as error:
            raise Refusal(
                "no-token", "Keystone does not know this token, or it has expired.", "Get a new one."
            ) from error
        except problems.ClientException as error:
            raise Refusal("no-identity", f"Keystone cannot judge tokens now: {error}", "Try again soon.") from error
        token_body: dict[str, Any] = answer.json()["token"]
        return token_body

    def _caller(self, body: dict[str, Any]) -> Caller:
        roles = {role["name"].lower() for role in body.get("roles", [])}
        project = body.get("project", {}).get("id")
        operator = bool(roles & self._settings.operator_roles)
        member = operator or (project is not None and self._settings.member_role in roles)
        reader = member or (project is not None and self._settings.reader_role in roles)
        return Caller(body["user"]["id"], body["user"]["name"], project, reader, member, operator)
