# SPDX-License-Identifier: Apache-2.0
"""The ramdisks' port: who is answered, and what a token opens, and when. A stranger learns nothing by any path."""

import base64
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from arbaro_machines.api.networks import is_in, read_networks
from arbaro_machines.bootmedia import IPXE_FROM_DISK, LENGTH, MARKER
from arbaro_machines.database.models import Machine, Task, now
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from ..parts import agent_client_of, client_of, enrolment
from .conftest import BOTH

#: In agent_networks, and not.
RAMDISK, SERVER = "10.0.7.9", "10.0.8.9"
MAC = "52:54:00:00:00:01"
SECRET = b"#!/bin/sh\necho hunter2\n"
CD = b"x" * 1000 + MARKER.ljust(LENGTH, b"=") + b"y" * 5000 + MARKER.ljust(LENGTH, b"=") + b"z" * 77
METHODS = ("virtual-media", "http", "network")


class Boot:
    """A machine that a worker deploys for somebody, at any point of it."""

    def __init__(self, service: Any, people: Any) -> None:
        self.service = service
        body = enrolment("a1", interfaces=[{"mac": MAC, "boot": True}])
        people["operator"].call("POST", "/v1/machines", body, status=201)
        with service.store.writing() as session:
            machine = session.scalar(select(Machine))
            machine.state, machine.project_id = "deploying", "p-db"
            files = {"openstack/latest/user_data": base64.b64encode(SECRET).decode()}
            task = Task(
                id="t1",
                machine_id=machine.id,
                verb="deploy",
                request={"network": []},
                sealed=service.seal.close(files),
                step="switch-on",
                notes={},
                word={},
                by={},
                wake_at=now(),
            )
            session.add(task)
        self.token = service.seal.token("t1")
        (service.settings.ramdisk).mkdir()
        for name, content in {"deploy.iso": CD, "vmlinuz": b"kernel", "initrd": b"initrd"}.items():
            (service.settings.ramdisk / name).write_bytes(content)
        service.settings.image_cache.mkdir()
        (service.settings.image_cache / "i.zst").write_bytes(b"the image")

    def at(self, *, word: dict[str, Any] | None = None, **notes: Any) -> None:
        noted = {"plan": {"image": "u"}, "image_file": "i.zst"} | notes
        with self.service.store.writing() as session:
            session.execute(update(Task).values(notes=noted, word=word or {}))

    def end(self) -> None:
        with self.service.store.writing() as session:
            session.delete(session.get_one(Task, "t1"))

    def by(self, address: str) -> TestClient:
        return agent_client_of(self.service, address)

    def paths(self) -> list[str]:
        return [
            "/v1/agent/plan",
            "/v1/agent/config-drive",
            "/v1/agent/image",
            f"/v1/agent/boot.ipxe?mac={MAC}",
            f"/v1/agent/{self.token}/deploy.iso",
            "/v1/agent/files/vmlinuz",
            "/v1/agent/files/initrd",
            "/metrics",
        ]

    def learnt(self, http: TestClient) -> list[str]:
        """The paths that tell something, asked with the very token."""
        told = []
        for path in self.paths():
            for headers in ({}, {"X-Forwarded-For": RAMDISK, "X-Real-IP": RAMDISK, "Forwarded": f"for={RAMDISK}"}):
                answer = http.get(path, headers=headers | {"X-Machine-Token": self.token})
                secrets = (self.token.encode(), b"hunter2", b"kernel", b"the image", b"arbaro_machines{", b"image=")
                nothing = answer.status_code >= 300 or answer.content == IPXE_FROM_DISK.encode()
                if not nothing or any(secret in answer.content for secret in secrets):
                    told.append(path)
        if http.post("/v1/agent/word", content="phase=done", headers={"X-Machine-Token": self.token}).is_success:
            told.append("word")
        return told

    def script(self, address: str = RAMDISK, mac: str = MAC) -> bool:
        """Ask for the boot script; says whether the token is in what comes."""
        return self.token in self.by(address).get(f"/v1/agent/boot.ipxe?mac={mac}").text


@pytest.fixture
def boot(service, people) -> Boot:
    return Boot(service, people)


@pytest.mark.parametrize("method", METHODS)
def test_a_server_learns_nothing_on_either_port_whatever_boots(boot: Boot, method: str) -> None:
    boot.at(medium=method, booting=True)
    assert boot.learnt(boot.by(SERVER)) == [], "the ramdisks' port"
    assert boot.learnt(client_of(boot.service)) == [], "the API's port"
    assert boot.by(SERVER).get("/v1/agent/plan").json()["error"]["code"] == "forbidden"
    assert client_of(boot.service).get("/v1/agent/plan").status_code == 404
    with boot.service.store.reading() as session:
        assert session.get_one(Task, "t1").word == {}, "nothing was left behind either"


@pytest.mark.parametrize("method", METHODS)
def test_the_ramdisk_is_answered(boot: Boot, method: str) -> None:
    boot.at(medium=method, booting=True)
    media = {"virtual-media": "deploy.iso", "http": "deploy.iso", "network": "boot.ipxe"}
    without = {"virtual-media": "boot.ipxe", "http": "boot.ipxe", "network": "deploy.iso"}[method]
    learnt = boot.learnt(boot.by(RAMDISK))
    assert any(media[method] in path for path in learnt)
    assert not any(without in path for path in learnt)
    assert {"/v1/agent/plan", "/v1/agent/config-drive", "/v1/agent/image", "word"} <= set(learnt)


@pytest.mark.parametrize(
    ("notes", "word", "given"),
    [
        ({"medium": "network", "booting": True}, {}, True),
        ({"medium": "network"}, {}, False),  # it is off still
        ({"medium": "network", "booting": True}, {"phase": "started"}, False),
        ({"medium": "network", "booting": True}, {"fetched": "2026"}, False),
        ({"medium": "virtual-media", "booting": True}, {}, False),
        ({"medium": "http", "booting": True}, {}, False),
        ({}, {}, False),
    ],
)
def test_script_is_for_who_boots_now_and_from_the_network(boot: Boot, notes, word, given: bool) -> None:
    boot.at(word=word, **notes)
    assert boot.script() is given


@BOTH
def test_of_many_who_ask_at_once_one_gets_the_script(boot: Boot) -> None:
    boot.at(medium="network", booting=True)
    http = boot.by(RAMDISK)
    with ThreadPoolExecutor(12) as pool:
        scripts = pool.map(lambda _: http.get(f"/v1/agent/boot.ipxe?mac={MAC}").text, range(24))
        assert sum(boot.token in script for script in scripts) == 1
    assert not boot.script()
    with boot.service.store.reading() as session:
        assert session.get_one(Task, "t1").word["fetched_by"] == RAMDISK


def test_a_guessed_mac_is_answered_like_one_that_does_not_boot(boot: Boot) -> None:
    boot.at()
    known, unknown = (
        boot.by(RAMDISK).get(f"/v1/agent/boot.ipxe?mac={mac}").content for mac in (MAC, "52:54:00:00:00:99")
    )
    assert known == unknown == b"#!ipxe\nexit\n"


@pytest.mark.parametrize("phase", ["done", "failed", "ready"])
def test_token_opens_nothing_when_the_ramdisk_is_done(boot: Boot, phase: str) -> None:
    boot.at(medium="virtual-media", booting=True, word={"phase": phase})
    assert set(boot.learnt(boot.by(RAMDISK))) == {"word", "/v1/agent/files/vmlinuz", "/v1/agent/files/initrd"}


@pytest.mark.parametrize("medium", METHODS)
def test_token_opens_nothing_before_the_start_nor_when_the_disk_boots(boot: Boot, medium: str) -> None:
    """But the CD is there before the start: BMCs fetch it when they are told of it."""
    public = {"/v1/agent/files/vmlinuz", "/v1/agent/files/initrd"}
    boot.at(medium=medium)
    assert {path for path in boot.learnt(boot.by(RAMDISK)) if "deploy.iso" not in path} == public
    boot.at()
    assert set(boot.learnt(boot.by(RAMDISK))) == public


def test_token_dies_with_its_task(boot: Boot) -> None:
    boot.at(medium="virtual-media", booting=True)
    boot.end()
    assert set(boot.learnt(boot.by(RAMDISK))) == {"/v1/agent/files/vmlinuz", "/v1/agent/files/initrd"}


@pytest.mark.parametrize("verb", ["clean", "rescue"])
def test_only_a_deployment_has_a_config_drive(boot: Boot, verb: str) -> None:
    boot.at(medium="virtual-media", booting=True)
    with boot.service.store.writing() as session:
        session.execute(update(Task).values(verb=verb, request={}))
    answer = boot.by(RAMDISK).get("/v1/agent/config-drive", headers={"X-Machine-Token": boot.token})
    assert (answer.status_code, b"hunter2" in answer.content) == (404, False)


def test_metrics_are_for_monitoring_only(boot: Boot) -> None:
    assert boot.by("127.0.0.1").get("/metrics").status_code == 200
    assert boot.by(RAMDISK).get("/metrics").status_code == 403
    assert client_of(boot.service).get("/metrics").status_code == 404
    assert boot.by("127.0.0.1").get("/v1/agent/files/vmlinuz").status_code == 403
    assert boot.by(SERVER).get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.0.7.9", True),
        ("::ffff:10.0.7.9", True),
        ("10.0.8.9", False),
        ("fd00::7", True),
        ("fd00::7%eth0", True),
        ("fd01::7", False),
        ("", False),
        ("testclient", False),
    ],
)
def test_addresses_and_networks(address: str, inside: bool) -> None:
    assert is_in(address, read_networks(["10.0.7.0/24", "fd00::/64"])) is inside


RANGES = [
    ("bytes=0-0", 206, slice(0, 1)),
    ("bytes=5-9", 206, slice(5, 10)),
    ("bytes=990-1310", 206, slice(990, 1311)),  # over a whole marker
    ("bytes=1100-1150", 206, slice(1100, 1151)),  # within one
    ("bytes=1290-", 206, slice(1290, None)),
    ("bytes=-377", 206, slice(-377, None)),
    ("bytes=-999999", 206, slice(0, None)),
    ("bytes=6000-999999", 206, slice(6000, None)),
    (f"bytes={len(CD)}-", 416, None),
    ("bytes=999999-999999", 416, None),
    ("bytes=-0", 416, None),
    ("bytes=9-5", 200, slice(0, None)),
    ("bytes=0-1,5-6", 200, slice(0, None)),
    ("lines=1-2", 200, slice(0, None)),
    ("bytes=", 200, slice(0, None)),
    ("bytes=a-b", 200, slice(0, None)),
]


@pytest.mark.parametrize(("asked", "status", "part"), RANGES)
def test_cd_in_pieces(boot: Boot, asked: str, status: int, part: slice | None) -> None:
    boot.at(medium="virtual-media", booting=True)
    http, path = boot.by(RAMDISK), f"/v1/agent/{boot.token}/deploy.iso"
    whole = http.get(path).content
    assert len(whole) == len(CD)
    assert whole.count(f"arbaro.token={boot.token} ".encode()) == 2
    answer = http.get(path, headers={"Range": asked})
    assert answer.status_code == status
    if part is None:
        assert answer.headers["content-range"] == f"bytes */{len(CD)}"
        return
    assert answer.content == whole[part]
    assert answer.headers["content-length"] == str(len(answer.content))
    if status == 206:
        start, stop, _ = part.indices(len(CD))
        assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(CD)}"


def test_cd_read_in_pieces_of_any_size_is_the_same(boot: Boot) -> None:
    boot.at(medium="http", booting=True)
    http, path = boot.by(RAMDISK), f"/v1/agent/{boot.token}/deploy.iso"
    whole = http.get(path).content
    for size in (7, 299, 301, 2048):
        starts = range(0, len(CD), size)
        pieces = (http.get(path, headers={"Range": f"bytes={at}-{at + size - 1}"}).content for at in starts)
        assert b"".join(itertools.islice(pieces, 40)) == whole[: 40 * size]


def test_cds_head_and_if_range(boot: Boot) -> None:
    boot.at(medium="virtual-media", booting=True)
    http, path = boot.by(RAMDISK), f"/v1/agent/{boot.token}/deploy.iso"
    head = http.head(path, headers={"Range": "bytes=0-9"})
    assert (head.status_code, head.content) == (200, b"")
    assert (head.headers["accept-ranges"], head.headers["content-length"]) == ("bytes", str(len(CD)))
    same = http.get(path, headers={"Range": "bytes=0-9", "If-Range": head.headers["etag"]})
    other = http.get(path, headers={"Range": "bytes=0-9", "If-Range": '"another"'})
    assert (same.status_code, other.status_code, len(other.content)) == (206, 200, len(CD))
    with boot.service.store.writing() as session:
        session.execute(update(Machine).values(boot_method="network"))
    assert http.head(path).status_code == 200, "how this start boots was decided when it began"
