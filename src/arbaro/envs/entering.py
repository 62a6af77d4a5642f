# SPDX-License-Identifier: Apache-2.0
"""Entering an environment: which way, with what a person must type first, and the credential for it."""

import sys
from collections.abc import Callable

from arbaro.envs import guard, switch
from arbaro.envs.environment import Environment, refuse_faulty
from arbaro.envs.kinds import PRODUCTION
from arbaro.envs.switch import PLAIN, SESSION, WRITE, Place
from arbaro.errors import ArbaroError


def enter(environment: Environment, mode: str | None, project: str, ask: Callable[[str], str]) -> Place:
    """The place that a person wants to be in. Raises ArbaroError if they may not, or if it could not be made safe."""
    refuse_faulty(environment)
    mode = mode or switch.default_mode(environment)
    if mode == WRITE or (mode == PLAIN and environment.kind == PRODUCTION):
        _let_type(environment, ask)
    if mode == PLAIN and environment.secret in ("keyring", "asked"):
        mode = SESSION
    if mode == PLAIN:
        return switch.plain(environment, project)
    # Writing is asked for each time, and ends each time.
    kept = None if mode == WRITE else switch.kept(environment, mode, project)
    return kept or guard.take(environment, mode, project)


def enter_without_asking(environment: Environment, mode: str | None) -> Place:
    """The same for many at once, where nobody can be asked for each."""
    if mode == WRITE or (mode == PLAIN and environment.kind == PRODUCTION):
        raise ArbaroError(
            f"{environment.name} is not written to in a crowd.", hint=f"arbaro env exec {environment.name} --write -- …"
        )
    mode = mode or switch.default_mode(environment)
    if environment.secret == "asked" and not switch.kept(environment, SESSION if mode == PLAIN else mode):
        raise ArbaroError(f"{environment.name} asks for its password.", hint=f"arbaro env use {environment.name}, once")
    return enter(environment, mode, "", _nobody)


def _nobody(what: str) -> str:
    raise ArbaroError(f"Nobody can be asked for {what} here.")


def _let_type(environment: Environment, ask: Callable[[str], str]) -> None:
    if not sys.stdin.isatty():
        raise switch.terminal_needed(environment)
    wanted = switch.must_be_typed(environment)
    switch.refuse_unless_typed(
        environment, ask(f"{environment.name} is {environment.kind}. Type {wanted} to write there")
    )
