# SPDX-License-Identifier: Apache-2.0
"""The provider that stands in for real hosts in unit tests keeps the contract that all of them keep."""

from ipaddress import IPv4Network

import pytest
from tests.fakes.hosts import InMemory
from tests.providers.contract import Contract, Lab

from arbaro.cluster.spec import CloudSpec

SPEC = CloudSpec("lab", "zed", 2, "l2isolate", IPv4Network("198.18.0.0/24"), IPv4Network("198.18.1.0/24"), 1)


class TestInMemory(Contract):
    @pytest.fixture
    def lab(self) -> Lab:
        provider = InMemory()
        return Lab(provider, SPEC, "image", lambda host, path: provider.read("lab", host, path))
