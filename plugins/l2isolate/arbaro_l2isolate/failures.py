# SPDX-License-Identifier: Apache-2.0
"""What may fail for a while: it is tried again, and the log tells the cause once, not each second."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from oslo_log import log

LOG = log.getLogger(__name__)
# oslo.messaging names the message that was not answered, which differs each time.
MESSAGE_ID = re.compile(r"\b[0-9a-f]{32}\b")


class Failures:
    """State: what fails at the moment, and why."""

    def __init__(self):
        self._causes: dict[str, str] = {}

    @contextlib.contextmanager
    def survived(self, deed: str) -> Iterator[None]:
        """Go on after whatever is raised inside; somebody has to try `deed` again. Log a cause when it is new.

        Whatever it is: neutron-server, its broker, the kernel and programs fail in many ways, and an exception would
        end the agent.
        """
        try:
            yield
        except Exception as error:
            cause = MESSAGE_ID.sub("...", f"{type(error).__name__}: {error}")
            if self._causes.get(deed) != cause:
                LOG.exception("%s failed; it is tried again until it works", deed)
            self._causes[deed] = cause
        else:
            if self._causes.pop(deed, None):
                LOG.warning("%s works again", deed)

    def fails(self, deed: str) -> bool:
        """Return whether the last try failed."""
        return deed in self._causes
