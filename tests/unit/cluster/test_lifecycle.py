# SPDX-License-Identifier: Apache-2.0
"""A cloud that is only half there is not made worse: the next step is named instead."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from arbaro.cluster import identity, lifecycle
from arbaro.cluster.cloud import Cloud
from arbaro.cluster.providers import HostState
from arbaro.cluster.spec import CloudSpec
from arbaro.errors import ArbaroError
from arbaro.steps import flatten

SPEC = CloudSpec("lab", "zed", 1, "linuxbridge", IPv4Network("198.18.0.0/24"), IPv4Network("198.18.1.0/24"))


class Hosts:
    """A provider that only knows of hosts."""

    def __init__(self, **states: str) -> None:
        self.states = states

    def list_hosts(self, _: str) -> list[HostState]:
        return [HostState(name, state, "") for name, state in self.states.items()]


@pytest.mark.parametrize("states", [{}, {"controller": "exited"}, {"controller": "exited", "compute1": "created"}])
def test_start_makes_no_hosts(states: dict[str, str]) -> None:
    with pytest.raises(ArbaroError, match="not whole") as caught:
        lifecycle.start(Cloud(SPEC, Hosts(**states)))
    assert caught.value.hint == "arbaro up lab"


def test_no_new_secrets_are_drawn_for_hosts_that_have_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "clouds_dir", lambda: tmp_path)
    draw = flatten(lifecycle.up(Cloud(SPEC, Hosts(controller="running"))))[0]
    assert draw.needed()
    with pytest.raises(ArbaroError, match="secrets of the cloud lab are not in"):
        draw.apply(lambda _: None)
    assert list(tmp_path.iterdir()) == []
