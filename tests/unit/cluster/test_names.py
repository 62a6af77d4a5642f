# SPDX-License-Identifier: Apache-2.0
"""Hosts that were there before others came learn the new names, whenever a run that added some was killed."""

import json
from collections.abc import Sequence
from ipaddress import IPv4Network

import pytest

from arbaro.cluster.cloud import Cloud
from arbaro.cluster.names import name_hosts
from arbaro.cluster.providers import HostState
from arbaro.cluster.spec import CloudSpec
from arbaro.hosts import hosts_file
from arbaro.reach import Reach, Unreachable

SPEC = CloudSpec("lab", "zed", 3, "linuxbridge", IPv4Network("198.18.0.0/24"), IPv4Network("198.18.1.0/24"))
OLD, NEW = (hosts_file(hosts) for hosts in (SPEC.hosts[:3], SPEC.hosts))


class Hosts:
    """Hosts with an /etc/hosts each; `refusals` are the logins that sshd is not ready for yet."""

    def __init__(self, files: dict[str, str], *, state: str = "running", refusals: int = 0) -> None:
        self.files, self.state, self.refusals, self.logins = files, state, refusals, 0

    def reach(self, _: CloudSpec, direct: Reach) -> Reach:
        return direct

    def list_hosts(self, _: str) -> list[HostState]:
        return [HostState(name, self.state, "") for name in self.files]

    def run(self, reach: Reach, words: Sequence[str], *, stdin: str = "", timeout: float = 0) -> str:
        self.logins += 1
        if self.logins <= self.refusals:
            raise Unreachable(words, where=reach.name, code=255, output="Connection refused")
        if words[0] == "tee":
            self.files[reach.name] = stdin
        return json.dumps(["/etc/hosts", 0, self.files[reach.name], ""])

    def answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand in for SSH."""
        monkeypatch.setattr(Reach, "run", lambda *words, **options: self.run(*words, **options))


def test_a_new_clouds_hosts_are_born_with_the_names_and_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for hosts in (Hosts({}), Hosts({"controller": ""}, state="created")):
        hosts.answer(monkeypatch)
        assert not name_hosts(Cloud(SPEC, hosts)).needed()
        assert hosts.logins == 0


def test_all_that_lack_a_name_are_told_also_after_a_run_that_was_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = Hosts({"controller": OLD, "compute1": NEW, "compute2": OLD, "compute3": NEW})
    hosts.answer(monkeypatch)
    step = name_hosts(Cloud(SPEC, hosts))
    assert step.needed()
    step.apply(lambda _: None)
    assert set(hosts.files.values()) == {NEW}
    assert not step.needed()


def test_hosts_that_just_start_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = Hosts({"controller": OLD, "compute1": OLD, "compute2": OLD}, state="exited", refusals=10)
    hosts.answer(monkeypatch)
    step = name_hosts(Cloud(SPEC, hosts))
    assert step.needed()
    step.apply(lambda _: None)
    assert set(hosts.files.values()) == {NEW}
