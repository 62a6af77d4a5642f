# SPDX-License-Identifier: Apache-2.0
"""Runs on a host, by its own Python: logs in to keystone as the services there do, and tells how keystone answered.

It prints one line of JSON: a list of {file, section, user, answer}; the answer is an HTTP status, or why there is
none. A password is read, sent to keystone and printed nowhere.
"""

from __future__ import annotations

import configparser
import json
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

SECONDS = 6


def logins(patterns: list[str]) -> list[dict[str, str]]:
    """Read the logins of all files: sections with a user, a password and keystone's address."""
    found = []
    for path in sorted({path for pattern in patterns for path in Path("/").glob(pattern.lstrip("/"))}):
        config = configparser.RawConfigParser(strict=False, allow_no_value=True)
        try:
            config.read_string(path.read_text())
        except (OSError, configparser.Error, UnicodeDecodeError):
            continue
        for section in config.sections():
            one = dict(config.items(section))
            if one.get("password") and one.get("username") and one.get("auth_url"):
                found.append({**one, "file": str(path), "section": section})
    return found


def answer(one: dict[str, str]) -> int | str:
    """Log in, and say what keystone answered."""
    user = {
        "name": one["username"],
        "password": one["password"],
        "domain": {"name": one.get("user_domain_name") or "Default"},
    }
    project = {
        "name": one.get("project_name") or "service",
        "domain": {"name": one.get("project_domain_name") or "Default"},
    }
    wish = {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": {"project": project}}
    base = one["auth_url"].rstrip("/")
    base = base if base.endswith("/v3") else base + "/v3"
    request = urllib.request.Request(
        base + "/auth/tokens", json.dumps({"auth": wish}).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return str(getattr(error, "reason", None) or error.strerror or type(error).__name__)
    except ValueError:
        return "its auth_url cannot be read"


def main(patterns: list[str]) -> None:
    """Log in once for each distinct user, password and address."""
    groups: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for one in logins(patterns):
        groups.setdefault((one["username"], one["password"], one["auth_url"]), []).append(one)
    answers: dict[tuple[str, str, str], int | str] = {}
    threads = [
        threading.Thread(target=lambda key=key, one=group[0]: answers.__setitem__(key, answer(one)), daemon=True)
        for key, group in groups.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS + 1)
    told = [
        {
            "file": one["file"],
            "section": one["section"],
            "user": one["username"],
            "answer": answers.get(key, "no answer in time"),
        }
        for key, group in groups.items()
        for one in group
    ]
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
