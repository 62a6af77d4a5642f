# SPDX-License-Identifier: Apache-2.0
"""The kind of an environment, guessed from its name: how careful to be with it."""

import re

DEVELOPMENT, TEST, PRODUCTION = KINDS = ("development", "test", "production")
#: Whole words of a name, nothing shorter: `qatar-1` has no `qa` in it, and `contest` no `test`.
_WORDS = {
    PRODUCTION: {"prod", "production", "prd", "live"},
    TEST: {"test", "tests", "testing", "tst", "qa", "uat", "staging", "stage", "stg"},
    DEVELOPMENT: {"dev", "devel", "develop", "development", "devstack", "lab", "sandbox", "playground", "play"},
}
#: The personal clouds of `arbaro up` are for playing.
_PERSONAL = "arbaro-"


def guess_kind(name: str) -> str:
    """The kind that a name speaks of, the most careful one first. A name that says nothing is production."""
    words = set(re.findall(r"[^\W\d_]+", name.lower()))
    for kind in (PRODUCTION, TEST, DEVELOPMENT):
        if words & _WORDS[kind]:
            return kind
    return DEVELOPMENT if name.startswith(_PERSONAL) else PRODUCTION
