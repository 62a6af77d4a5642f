# SPDX-License-Identifier: Apache-2.0
"""What is sent to glance; real: keystoneauth. A whole glance is in tests/live/test_machines.py."""

import pytest
from arbaro_machines.errors import Refusal
from arbaro_machines.glance import Glance
from keystoneauth1.session import Session
from keystoneauth1.token_endpoint import Token


def test_bytes_are_asked_for_where_glance_is_with_the_services_own_token() -> None:
    glance = Glance(Session(auth=Token("http://192.0.2.1:9292", "our-token")), None)
    assert glance.url("7") == "http://192.0.2.1:9292/v2/images/7/file"
    assert glance.headers() == {"X-Auth-Token": "our-token"}


def test_silent_glance_is_not_taken_for_keystone() -> None:
    glance = Glance(Session(auth=Token("http://127.0.0.1:1", "our-token")), None)
    with pytest.raises(Refusal) as refused:
        glance.describe("7", "their-token")
    assert (refused.value.code, refused.value.status) == ("no-glance", 503)
