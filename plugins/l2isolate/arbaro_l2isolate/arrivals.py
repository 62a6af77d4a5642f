# SPDX-License-Identifier: Apache-2.0
"""Servers on their way here by live migration: who is expected, and who has come.

Neutron makes a port active here only after libvirt has told nova that the migration is over, and nova neutron: a
second or two in which the guest runs here and its route leads elsewhere. But QEMU announces a guest on its tap when
all of it has come (net/announce.c in QEMU), just before libvirt lets it run, and sends nothing before. So the first
frame on a tap that has never had one is the arrival. Who the guest is (MAC, addresses), and that nova sends it here, is
what neutron has told the firewall, which fences a tap before its port is active.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from arbaro_l2isolate.planner import WantedTap

# How long a guest's first frame counts for more than neutron's word: nova and neutron on a busy cloud take seconds.
HOLD_SECONDS = 60


class Arrivals:
    """State: the taps that are expected, and those that have come and are not active yet, with their time's end."""

    def __init__(self, frames_sent: Callable[[Collection[str]], Mapping[str, int]], clock: Callable[[], float]):
        """Take what counts the frames that the guests behind taps have sent, and a clock in seconds."""
        self._frames_sent, self._clock = frames_sent, clock
        self._expected: dict[str, WantedTap] = {}
        self._held_until: dict[str, float] = {}

    def has_come_or_expect(self, tap: WantedTap) -> bool:
        """Say whether the server behind a tap that is not active yet has come; if not, expect it from now on.

        Not where something was sent before it was expected: that is a server which has left, or which was evacuated
        from here while this host was cut off.
        """
        sent = self._frames_sent({tap.name}).get(tap.name)
        if tap.name in self._held_until and sent:
            return True
        # A tap made anew under its old name: its server has not come.
        self._held_until.pop(tap.name, None)
        if tap.name in self._expected or sent == 0:
            self._expected[tap.name] = tap
        return False

    def expects_any(self) -> bool:
        """Say whether it is worth looking."""
        return bool(self._expected)

    def take(self) -> list[WantedTap]:
        """Return those that have come since; they are held from now on."""
        sent = self._frames_sent(self._expected.keys())
        come = [tap for name, tap in self._expected.items() if sent.get(name)]
        for tap in come:
            del self._expected[tap.name]
            self._held_until[tap.name] = self._clock() + HOLD_SECONDS
        return come

    def take_overdue(self) -> list[str]:
        """Return the taps that neutron should have called active by now, and hold them no longer."""
        overdue = [name for name, until in self._held_until.items() if until <= self._clock()]
        self.forget(overdue)
        return overdue

    def forget(self, names: Iterable[str]) -> None:
        """Neither expect nor hold these: neutron has decided, or they have gone."""
        for name in names:
            self._expected.pop(name, None)
            self._held_until.pop(name, None)
