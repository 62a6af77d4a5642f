# SPDX-License-Identifier: Apache-2.0
"""A check is a pure function of evidence that yields findings; a healthy system yields none.

The cluster waits on checks, `status` reports them; later the doctor, the fleet and the upgrade use the same ones.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from arbaro.errors import WaitTimeout
from arbaro.runs import current_run


@dataclass(frozen=True)
class Finding:
    """What was seen, what it means, and what to type."""

    where: str
    saw: str
    means: str = ""
    run: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.saw}" + (f" ({self.means})" if self.means else "")


def wait_until_silent(
    look: Callable[[], Iterable[Finding]],
    *,
    what: str,
    timeout: float,
    interval: float = 0.5,
    hint: str = "",
    note: Callable[[str], None] = lambda _: None,
) -> None:
    """Look again every `interval` seconds until there is no finding.

    `note` is told what is still missing, as it changes. Raises WaitTimeout with the last findings, and
    KeyboardInterrupt after Ctrl-C, on any thread.
    """
    deadline = time.monotonic() + timeout
    while findings := list(look()):
        if time.monotonic() >= deadline:
            raise WaitTimeout(
                f"{what} did not happen within {timeout:.0f} s.",
                why="\n".join(f"Last seen: {finding}" for finding in findings[:8]),
                hint=hint or next((finding.run for finding in findings if finding.run), ""),
            )
        note(f"{findings[0]}" + (f" and {len(findings) - 1} more" if len(findings) > 1 else ""))
        current_run().sleep(interval)
