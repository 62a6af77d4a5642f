# SPDX-License-Identifier: Apache-2.0
"""A whole cloud yields no finding; each thing that is wrong yields one that says what to type."""

from arbaro.cluster.providers import HostState
from arbaro.cluster.status import Evidence, Service, Unit, findings, parse_units

WHOLE = Evidence(
    "lab",
    [HostState("controller", "running", "")],
    ["controller"],
    [Unit("controller", "neutron-server", "active")],
    {"nova": "up"},
    [Service("nova-compute", "compute1", "up")],
    [("nova-compute", "compute1")],
)


def test_a_whole_cloud_is_silent() -> None:
    assert findings(WHOLE) == []


def test_everything_that_is_wrong_is_named() -> None:
    broken = Evidence(
        "lab",
        [HostState("controller", "exited", "")],
        ["controller", "compute1"],
        [Unit("controller", "neutron-server", "failed")],
        {"nova": "Connection refused"},
        [Service("nova-compute", "compute1", "down")],
        [("nova-compute", "compute1"), ("x", "compute1")],
    )
    said = [f"{finding.saw} | {finding.run}" for finding in findings(broken)]
    assert said == [
        "the host is exited | arbaro start lab",
        "the host is missing | arbaro up lab",
        "neutron-server is failed | arbaro logs lab controller neutron-server",
        "the API does not answer: Connection refused | arbaro logs lab controller",
        "nova-compute is down | arbaro logs lab compute1",
        "x is not reporting yet | arbaro logs lab compute1",
    ]


def test_systemds_answer_is_read() -> None:
    text = "Id=a.service\nActiveState=active\n\nId=b.service\nActiveState=failed\n"
    assert list(parse_units("h", text)) == [Unit("h", "a", "active"), Unit("h", "b", "failed")]
