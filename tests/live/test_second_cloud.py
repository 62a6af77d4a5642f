# SPDX-License-Identifier: Apache-2.0
"""A second cloud beside the first: killed in the middle, gone on with, and taken away without a trace.

Meanwhile it is test_env.py's production; these are the last tests that use it.
"""

import json
import time

from .conftest import Tool
from .second import Second, look_around


def test_killed_then_gone_on_with(cloud: Tool, second: Second) -> None:
    assert "Hello from first-vm" in second.printed
    assert {row["name"] for row in json.loads(cloud.arbaro("ls", "--json"))} >= {cloud.name, second.name}
    assert cloud.findings() == cloud.status(second.name)["findings"] == []


def test_gone_without_a_trace(cloud: Tool, second: Second) -> None:
    began = time.monotonic()
    cloud.arbaro("down", second.name)
    assert time.monotonic() - began < 20
    assert sorted(look_around(cloud) ^ second.before) == []
    assert cloud.findings() == []
