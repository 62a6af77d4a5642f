# SPDX-License-Identifier: Apache-2.0
"""Every drill on the real cloud: it is proved, the user sees its symptom, and afterwards everything is as it was.

`DRILLS="B02 R05" make live-soak` tries these only, `SEED=7` with this seed.
"""

import os
import time
from collections.abc import Callable

import pytest

from arbaro.cli.options import reached_directly
from arbaro.cluster.cloud import Cloud
from arbaro.drills import probes, running, state
from arbaro.drills.catalogue import Drill, load_drills, parts_of

from .conftest import Tool

CHOSEN = os.environ.get("DRILLS", "").split() or sorted(load_drills())
SEED = int(os.environ.get("SEED", "1"))
#: Seconds until a fault shows, and until it is forgotten: routes, agents' reports, placement's inventory.
SHOWS, FORGOTTEN = 90, 180


def wait(look: Callable[[], object], seconds: float) -> object:
    """Look again until it is true, or time is up; returns what was seen last."""
    deadline = time.monotonic() + seconds
    while not (seen := look()) and time.monotonic() < deadline:
        time.sleep(3)
    return seen


def seen(cloud: Cloud, drill: Drill, values: dict[str, str]) -> list[str]:
    """What the user of each part of a drill sees."""
    told = (probes.look(cloud, part.symptom, values) for part in parts_of(drill))
    return [text for text in told if text]


@pytest.mark.soak
@pytest.mark.parametrize("name", CHOSEN)
def test_a_drill_breaks_and_is_put_back(cloud: Tool, name: str) -> None:
    drill, real = load_drills()[name], reached_directly(cloud.cloud)
    with running.broken(real, drill, SEED) as values:
        shown = wait(lambda: seen(real, drill, values), SHOWS)
        print(f"\n{name} on {values['COMPUTE']}: {shown}")
        assert shown, "the user sees nothing of it"
    assert running.wait_until_well(real) == []
    assert state.load(real.keeper.directory) is None
    left: list[str] = []

    def gone() -> bool:
        left[:] = seen(real, drill, values)
        return not left

    # The server batch1 and the aggregate are gone with their drills, and so is what their users wanted.
    if not {part.symptom for part in parts_of(drill)} & {"script-ran", "server-in-aggregate"}:
        assert wait(gone, FORGOTTEN), left
