# SPDX-License-Identifier: Apache-2.0
"""The doctor on a real cloud: silent where all is well; where it is broken, it names the cause, and its command mends it.

Which drills it knows, and how surely: benchmarks/doctor.py.
"""

import json
import shlex
from pathlib import Path

import pytest

from arbaro.drills.catalogue import find_drill
from arbaro.drills.running import broken, expected, wait_until_well

from .conftest import Tool


def asked(cloud: Tool, *words: str, code: int) -> dict:
    return json.loads(cloud.arbaro("doctor", *words, "--cloud", cloud.name, "--json", code=code))


def test_a_cloud_and_a_server_that_are_well(cloud: Tool, tmp_path: Path) -> None:
    kept = tmp_path / "evidence.json"
    told = asked(cloud, "first-vm", "--bundle", str(kept), code=0)
    assert (told["verdict"], told["roots"], told["subject"]["kind"]) == ("healthy", [], "server")
    again = asked(cloud, "first-vm", "--from-bundle", str(kept), code=0)
    assert again | {"seconds": 0} == told | {"seconds": 0}
    secrets = json.loads((cloud.cloud.keeper.identity_file()).read_text())
    text = kept.read_text()
    assert not [name for name, value in secrets.items() if "password" in name and str(value) in text]
    assert "Traceback" not in cloud.arbaro("doctor", "nobody", "--cloud", cloud.name, code=2)


@pytest.mark.parametrize("name", ["R01", "G02", "B02", "C08"])
def test_it_names_the_cause_and_its_command_mends(cloud: Tool, name: str) -> None:
    drill = find_drill(name)
    with broken(cloud.cloud, drill, 1) as values:
        (cause,) = expected(drill, values)
        told = asked(cloud, code=2)
        (root,) = told["roots"]
        assert (root["code"], root["where"]) == (cause.check, [cause.host])
        arbaro, *command = shlex.split(root["run"])
        assert arbaro == "arbaro"
        cloud.arbaro(*command)
        assert wait_until_well(cloud.cloud) == []
