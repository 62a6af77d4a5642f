# SPDX-License-Identifier: Apache-2.0
"""A cloud that is only half there is not made worse: the next step is named instead."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest
from tests.fakes.hosts import InMemory

from arbaro.cluster import identity, lifecycle
from arbaro.cluster.cloud import Cloud
from arbaro.cluster.spec import CloudSpec
from arbaro.errors import ArbaroError
from arbaro.steps import flatten

SPEC = CloudSpec("lab", "zed", 1, "linuxbridge", IPv4Network("198.18.0.0/24"), IPv4Network("198.18.1.0/24"))


def hosts(**states: str) -> InMemory:
    """A provider that has these hosts of the cloud."""
    provider = InMemory()
    for part in provider.ground(SPEC):
        part.apply(lambda _: None)
    for name, state in states.items():
        host = next(host for host in SPEC.hosts if host.name == name)
        provider.create_host(SPEC, host, "", {})
        provider._set(SPEC.name, name, state)
    return provider


@pytest.mark.parametrize("states", [{}, {"controller": "exited"}, {"controller": "exited", "compute1": "created"}])
def test_start_makes_no_hosts(states: dict[str, str]) -> None:
    with pytest.raises(ArbaroError, match="not whole") as caught:
        lifecycle.start(Cloud(SPEC, hosts(**states)))
    assert caught.value.hint == "arbaro up lab"


def test_no_new_secrets_are_drawn_for_hosts_that_have_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "clouds_dir", lambda: tmp_path)
    draw = flatten(lifecycle.up(Cloud(SPEC, hosts(controller="running"))))[0]
    assert draw.needed()
    with pytest.raises(ArbaroError, match="secrets of the cloud lab are not in"):
        draw.apply(lambda _: None)
    assert list(tmp_path.iterdir()) == []
