# SPDX-License-Identifier: Apache-2.0
"""What is sent to glance; real: keystoneauth. A whole glance is in tests/live/test_machines.py."""

from collections.abc import Iterator

import pytest
from arbaro_machines.errors import Refusal
from arbaro_machines.glance import Glance
from keystoneauth1.session import Session
from keystoneauth1.token_endpoint import Token

from ..cloud import Cloud


def test_bytes_are_asked_for_where_glance_is_with_the_services_own_token() -> None:
    glance = Glance(Session(auth=Token("http://192.0.2.1:9292", "our-token")), None)
    assert glance.url("7") == "http://192.0.2.1:9292/v2/images/7/file"
    assert glance.headers() == {"X-Auth-Token": "our-token"}


def test_silent_glance_is_not_taken_for_keystone() -> None:
    glance = Glance(Session(auth=Token("http://127.0.0.1:1", "our-token")), None)
    with pytest.raises(Refusal) as refused:
        glance.describe("7", "their-token")
    assert (refused.value.code, refused.value.status) == ("no-glance", 503)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    one = Cloud()
    yield one
    one.stop()


def glance_of(cloud: Cloud) -> Glance:
    return Glance(Session(auth=Token(cloud.url, "our-token")), None)


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"kernel_id": "k", "ramdisk_id": "r"}, "has a kernel of its own"),
        ({"ramdisk_id": "r"}, "has a kernel of its own"),
        ({"disk_format": "ami"}, "is ami"),
        ({"disk_format": "vmdk"}, "is vmdk"),
        ({"status": "queued"}, "is queued"),
    ],
)
def test_image_that_no_machine_can_start_from_is_refused_and_others_named(
    cloud: Cloud, properties: dict[str, str], reason: str
) -> None:
    bad = cloud.add(b"x", name="tiny", **properties)
    cloud.add(b"x", name="tiny-disk")
    cloud.add(b"x", name="other", kernel_id="k")
    with pytest.raises(Refusal) as refused:
        glance_of(cloud).describe(bad["id"], "their-token")
    assert refused.value.code == "bad-request"
    assert f"no machine can start from tiny: it {reason}" in refused.value.message
    assert refused.value.next_step == "These can: tiny-disk."
    assert {token for _, token in cloud.asked} == {"their-token"}, "what the person can see, not what we can"


def test_operators_images_are_looked_at_as_the_service_itself(cloud: Cloud) -> None:
    """Nova's own token need not see its users' private images; and no private image's name is told to them."""
    private = cloud.add(b"x", name="private")
    assert glance_of(cloud).describe(private["id"], None)["name"] == "private"
    bad = cloud.add(b"x", name="tiny", kernel_id="k")
    with pytest.raises(Refusal):
        glance_of(cloud).describe(bad["id"], None)
    assert {token for _, token in cloud.asked} == {"our-token"}
    assert "visibility=public" in cloud.asked[-1][0]


def test_image_that_a_machine_can_start_from(cloud: Cloud) -> None:
    described = glance_of(cloud).describe(cloud.add(b"x", kernel_id=None, disk_format="qcow2")["id"], "their-token")
    assert (described["format"], described["checksum"][:7]) == ("qcow2", "sha512:")
