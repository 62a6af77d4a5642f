# SPDX-License-Identifier: Apache-2.0
"""Which states a machine can be in, and every legal move between them."""

from collections.abc import Mapping
from typing import Final

ENROLLED: Final = "enrolled"
INSPECTING: Final = "inspecting"
INSPECT_FAILED: Final = "inspect-failed"
INSPECTED: Final = "inspected"
CLEANING: Final = "cleaning"
CLEAN_FAILED: Final = "clean-failed"
AVAILABLE: Final = "available"
RESERVED: Final = "reserved"
DEPLOYING: Final = "deploying"
DEPLOY_FAILED: Final = "deploy-failed"
ACTIVE: Final = "active"
RESCUING: Final = "rescuing"
RESCUED: Final = "rescued"
UNRESCUING: Final = "unrescuing"
RESCUE_FAILED: Final = "rescue-failed"

#: State → verb → the state that the verb leads to at once.
MOVES: Final[Mapping[str, Mapping[str, str]]] = {
    ENROLLED: {"inspect": INSPECTING},
    INSPECTING: {},
    INSPECT_FAILED: {"inspect": INSPECTING},
    INSPECTED: {"inspect": INSPECTING, "provide": CLEANING},
    CLEANING: {},
    CLEAN_FAILED: {"inspect": INSPECTING, "provide": CLEANING},
    AVAILABLE: {"inspect": INSPECTING, "reserve": RESERVED},
    RESERVED: {"deploy": DEPLOYING, "release": CLEANING},
    DEPLOYING: {"release": CLEANING},
    DEPLOY_FAILED: {"deploy": DEPLOYING, "release": CLEANING},
    ACTIVE: {"deploy": DEPLOYING, "rescue": RESCUING, "release": CLEANING},
    RESCUING: {"release": CLEANING},
    RESCUED: {"unrescue": UNRESCUING, "release": CLEANING},
    UNRESCUING: {"release": CLEANING},
    RESCUE_FAILED: {"rescue": RESCUING, "unrescue": UNRESCUING, "release": CLEANING},
}

#: State in which a task works → where it ends when it succeeds, and when it fails.
ENDS: Final[Mapping[str, tuple[str, str]]] = {
    INSPECTING: (INSPECTED, INSPECT_FAILED),
    CLEANING: (AVAILABLE, CLEAN_FAILED),
    DEPLOYING: (ACTIVE, DEPLOY_FAILED),
    RESCUING: (RESCUED, RESCUE_FAILED),
    UNRESCUING: (ACTIVE, RESCUE_FAILED),
}

#: States in which the machine belongs to a project.
HELD: Final = frozenset({RESERVED, DEPLOYING, DEPLOY_FAILED, ACTIVE, RESCUING, RESCUED, UNRESCUING, RESCUE_FAILED})
#: States in which nobody holds it and nothing works on it: it may be deleted.
DELETABLE: Final = frozenset({ENROLLED, INSPECT_FAILED, INSPECTED, CLEAN_FAILED, AVAILABLE})
#: States in which its holder may switch it on and off.
SWITCHABLE: Final = frozenset({ACTIVE, RESCUED})
#: Verbs that a machine in maintenance refuses.
REFUSED_IN_MAINTENANCE: Final = frozenset({"reserve", "deploy"})
#: Verbs that only operators have.
OPERATORS_VERBS: Final = frozenset({"inspect", "provide", "delete"})


def legal_verbs(state: str, *, operator: bool, busy: bool, maintenance: bool) -> list[str]:
    """List what may be asked of a machine in this state; `busy` means that a task works on it."""
    verbs = set(MOVES[state])
    if state in DELETABLE and not busy:
        verbs.add("delete")
    if not busy and state not in ENDS and (operator or state in SWITCHABLE):
        verbs.add("power")
    if busy and state not in ENDS:
        # A power task is short; whatever else is wanted waits for it, but giving the machine back never has to wait.
        verbs &= {"release"}
    if maintenance:
        verbs -= REFUSED_IN_MAINTENANCE
    return sorted(verbs if operator else verbs - OPERATORS_VERBS)


def states_where(verb: str) -> list[str]:
    """List the states in which the verb is legal."""
    if verb == "power":
        return sorted(SWITCHABLE)
    return sorted(state for state, verbs in MOVES.items() if verb in verbs)
