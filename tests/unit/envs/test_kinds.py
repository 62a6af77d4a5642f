# SPDX-License-Identifier: Apache-2.0
"""Kinds are guessed from whole words; what is not sure is production."""

import pytest

from arbaro.envs.kinds import guess_kind


@pytest.mark.parametrize(
    "name",
    ["qatar-1", "latest", "contest", "devon", "attestation", "rc-1", "my-test-prod", "nonprod", "ütest", "Labrador"],
)
def test_production(name: str) -> None:
    assert guess_kind(name) == "production"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("test1", "test"),
        ("kr_QA-2", "test"),
        ("stg.eu", "test"),
        ("dev-test", "test"),
        ("dev1/kr-1", "development"),
        ("arbaro-x", "development"),
    ],
)
def test_others(name: str, kind: str) -> None:
    assert guess_kind(name) == kind
