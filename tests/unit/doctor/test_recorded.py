# SPDX-License-Identifier: Apache-2.0
"""What a real cloud looked like when drills had broken it: the doctor's answer to each is what it was on that day.

`recorded.json.xz` holds what `benchmarks/doctor.py` kept of each run: drill → evidence.
"""

import json
import lzma
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from arbaro.doctor.answer import answer
from arbaro.doctor.examine import judged
from arbaro.doctor.subjects import find
from arbaro.evidence import Evidence

RECORDED = json.loads(lzma.decompress((Path(__file__).parent / "recorded.json.xz").read_bytes()))
CAUSES = {
    "B01": "unit-down compute1",
    "B04": "name-changed compute1",
    "B05": "tun-missing compute1",
    "B07": "agent-fails compute1",
    "B08": "unit-down compute1",
    "C01": "keystone-keys controller",
    "C04": "policy-changed controller",
    "C07": "image-file-gone controller",
    "C08": "queue-blocked controller",
    "F09": "foreign-rule compute1",
    "F10": "filter-incomplete compute1",
    "G01": "dhcp-read-only compute1",
    "G08": "unit-down controller",
    "G09": "process-stopped compute1",
    "L05": "guest-paused compute1",
    "L06": "guest-frozen compute1",
    "N01": "disk-full compute1",
    "N02": "process-stopped compute1",
    "N05": "other-firewall compute1",
    "R03": "session-down compute1",
    "R04": "prefix-filtered compute1",
    "R05": "routing-rule tor2",
    "R06": "other-firewall compute1",
    "R08": "way-in-missing this machine",
    "S03": "name-changed compute1",
    "S04": "allocations-orphaned compute1",
}


def test_every_record_has_its_cause() -> None:
    assert set(RECORDED) == set(CAUSES)


@pytest.mark.parametrize("drill", CAUSES)
def test_the_cause_is_told_and_nothing_else(drill: str) -> None:
    kept = dict(RECORDED[drill])
    kept.pop("version")
    examination = judged(TypeAdapter(Evidence).validate_python(kept))
    told = answer(examination, find(examination.evidence, None))
    assert [f"{root.first.check} {root.where}" for root in told.roots] == [CAUSES[drill]]
    assert (told.verdict, told.unknown) == ("broken", [])
    assert told.roots[0].first.run
    assert "broken" in {mark for mark, _ in told.stages()}
