# SPDX-License-Identifier: Apache-2.0
"""Podman keeps the contract of providers, with real system containers of the bare base image."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from arbaro import shell
from arbaro.cluster.cloud import Wish, wanted_cloud
from arbaro.cluster.providers.podman import Podman
from tests.providers.contract import Contract, Lab

from .conftest import Tool

NAME = "contract"


class TestPodman(Contract):
    @pytest.fixture
    def lab(self, tool: Tool) -> Iterator[Lab]:
        provider = Podman()
        cloud = wanted_cloud(Wish(NAME, computes=1), provider)
        if not provider.has_image(cloud.images.base):
            tool.arbaro("images", "build", "hosts")

        def read(host: str, path: str) -> tuple[int, bytes]:
            command = ["podman", "exec", f"arbaro-{NAME}-{host}", "sh", "-c", 'stat -c %a "$1"; cat "$1"', "sh", path]
            mode, _, content = shell.run(command).partition("\n")
            return int(mode, 8), content.encode()

        spec = replace(cloud.spec, machines=0)
        yield Lab(provider, spec, cloud.images.base, read)
        for name in (NAME, f"{NAME}-2"):
            provider.delete_cloud(name)
