# SPDX-License-Identifier: Apache-2.0
"""Over and over: `up` killed at random moments, gone on with, taken away (make soak)."""

import random

import pytest

from .conftest import Tool
from .second import kill_up_after, look_around

ROUNDS = 5


@pytest.mark.soak
def test_up_survives_kills_at_random_moments(tool: Tool) -> None:
    tool.arbaro("images", "build")
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    moments = random.Random(seed)
    for _ in range(ROUNDS):
        before = look_around(tool)
        for _ in range(3):
            kill_up_after(moments.uniform(0.5, 70), "second")
        assert "Hello from first-vm" in tool.arbaro("up", "second", "--computes", "1")
        tool.arbaro("down", "second")
        assert look_around(tool) == before
