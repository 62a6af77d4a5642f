# SPDX-License-Identifier: Apache-2.0
"""A verb acts on the cloud as it is once nobody else changes it, not as it was before."""

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from click.testing import CliRunner

from arbaro import locks, settings
from arbaro.cli import cli, options, power, up
from arbaro.cluster import lifecycle
from arbaro.cluster.cloud import Cloud
from arbaro.cluster.spec import CloudSpec
from arbaro.errors import ArbaroError
from arbaro.steps import Step

SMALL = CloudSpec("lab", "zed", 2, "linuxbridge", IPv4Network("198.18.0.0/24"), IPv4Network("198.18.1.0/24"))


class Growing:
    """A cloud to which another run adds a compute until that run gives its lock back."""

    def find_cloud(self, name: str) -> CloudSpec:
        try:
            with locks.only_one(name):
                return SMALL
        except ArbaroError:
            return replace(SMALL, computes=3)

    def list_clouds(self) -> list[CloudSpec]:
        return [self.find_cloud("lab")]


@pytest.mark.parametrize("verb", ["stop", "start"])
def test_a_verb_reads_the_cloud_under_its_lock(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def plan(cloud: Cloud) -> list[Step]:
        seen.append(cloud.spec.computes)
        return []

    monkeypatch.setattr(locks, "DIRECTORY", tmp_path)
    monkeypatch.setattr(settings, "log_file", lambda *_: tmp_path / "log")
    for module in (options, power, up):
        monkeypatch.setattr(module, "provider", Growing)
    monkeypatch.setattr(lifecycle, verb, plan)
    CliRunner().invoke(cli, [verb, "lab"])
    assert seen == [3]
