# SPDX-License-Identifier: Apache-2.0
"""Which cables are missing is read from each host's own interfaces."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from arbaro.cluster.providers import cables
from arbaro.cluster.spec import CloudSpec

SPEC = CloudSpec("lab", "zed", 1, "l2isolate", IPv4Network("198.18.0.0/24"), IPv4Network("198.18.1.0/24"))
HEAD = "Inter-|   Receive  |  Transmit\n face |bytes    packets |bytes    packets\n"


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ({"tor1": "peer port1", "tor2": "peer port1"}, []),
        ({"tor1": "peer port1", "tor2": "peer"}, ["tor2"]),
        ({"tor1": "eth0", "tor2": "peer port1"}, ["tor1", "tor1"]),
        ({}, ["tor1", "tor1", "tor2"]),
    ],
)
def test_missing(there: dict[str, str], missing: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [HEAD + "".join(f"{name}: 1 2 3\n" for name in names.split()) for names in there.values()]
    monkeypatch.setattr(Path, "read_text", lambda path: tables[int(path.parts[2])])
    found = cables.missing(SPEC, {host: pid for pid, host in enumerate(there)})
    assert sorted(cable.one[0] for cable in found) == missing


def test_interfaces_are_read_from_the_kernels_table() -> None:
    assert cables.interfaces(f"{HEAD}    lo:  0 0\n  eth0: 12 1\n") == {"lo", "eth0"}
