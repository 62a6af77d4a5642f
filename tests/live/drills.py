# SPDX-License-Identifier: Apache-2.0
"""Something is broken on purpose: what breaks it, what mends it, what is to be seen meanwhile, and one way to go through that."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Drill:
    """One thing that can break; `breaks` and `mends` are lines for the shell of the host.

    Without `mends` it is to heal by itself. `expects` are words that a person is told while it is broken.
    """

    name: str
    breaks: str
    mends: str = ""
    expects: str = ""


@contextlib.contextmanager
def broken(drill: Drill, on: Callable[[str], object]) -> Iterator[None]:
    """Break it, let the block look at what is broken, and mend it whatever was seen; `on` runs a line on the host."""
    on(drill.breaks)
    try:
        yield
    finally:
        if drill.mends:
            on(drill.mends)
