# SPDX-License-Identifier: Apache-2.0
"""Access rules of application credentials: a credential may be limited to methods and paths of a service."""

import re
from collections.abc import Mapping

#: In a rule's path: ** is anything, * or {name} one segment.
WILDCARD = re.compile(r"\*\*|\*|\{[^/}]*\}")


def allows(rule: Mapping[str, str], service: str, method: str, path: str) -> bool:
    """Say whether the rule lets this request through."""
    if rule["service"] != service or rule["method"].upper() != method.upper():
        return False
    pattern, end = "", 0
    for wildcard in WILDCARD.finditer(rule["path"]):
        pattern += re.escape(rule["path"][end : wildcard.start()])
        pattern += ".*" if wildcard.group() == "**" else "[^/]+"
        end = wildcard.end()
    return re.fullmatch(pattern + re.escape(rule["path"][end:]), path) is not None
