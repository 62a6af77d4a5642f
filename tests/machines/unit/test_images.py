# SPDX-License-Identifier: Apache-2.0
"""The cache of images: what its entries are, what is refused, and what a full disk or a kill leaves. Real: qemu-img, zstd."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from arbaro_machines import convert, images, qcow2
from arbaro_machines.api.keystone import open_session
from arbaro_machines.faults import Fault
from arbaro_machines.glance import Glance
from arbaro_machines.images import ImageCache, name_of
from arbaro_machines.limits import Limits
from arbaro_machines.settings import Images, Keystone, Settings

from ..cloud import Cloud, disk

MIB = 2**20
DISK = disk(b"a disk", 3 * MIB)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    one = Cloud()
    yield one
    one.stop()


@pytest.fixture
def cache(cloud: Cloud, tmp_path: Path):
    def make(gib: int = 50, **settings: Any) -> ImageCache:
        (tmp_path / "password").write_text("x")
        keystone = Keystone(auth_url=f"{cloud.url}/v3", password_file=tmp_path / "password")
        glance = Glance(open_session(keystone), "here")
        limited = Images(**{"reserve_gib": 0} | settings)
        return ImageCache(Settings(image_cache=tmp_path / "images", image_cache_gib=gib, images=limited), glance)

    return make


def described(cloud: Cloud, content: bytes, **properties: Any) -> dict[str, Any]:
    """An image as the API describes it to the worker."""
    image = cloud.add(content)
    checksum = f"sha512:{hashlib.sha512(content).hexdigest()}"
    return {**image, "format": "raw", "checksum": checksum} | properties


def qemu(*words: str | Path) -> None:
    subprocess.run(["qemu-img", *words], check=True, capture_output=True)


def qcow2_of(content: bytes, tmp_path: Path, *options: str) -> bytes:
    raw, made = tmp_path / "some.raw", tmp_path / "some.qcow2"
    raw.write_bytes(content)
    qemu("convert", "-O", "qcow2", *options, raw, made)
    return made.read_bytes()


def left(tmp_path: Path) -> list[str]:
    return sorted(one.name for one in (tmp_path / "images").iterdir() if not one.name.endswith(".lock"))


def unpacked(tmp_path: Path, made: images.CachedImage) -> bytes:
    path = tmp_path / "images" / made.file
    assert hashlib.sha256(path.read_bytes()).hexdigest() == made.sha256
    return subprocess.run(["zstd", "-dc", path], capture_output=True, check=True).stdout


@pytest.mark.parametrize("format_", ["raw", "qcow2", "raw.zst"])
def test_each_format_becomes_the_disk(cloud: Cloud, cache, tmp_path: Path, format_: str) -> None:
    content = {"raw": lambda: DISK, "qcow2": lambda: qcow2_of(DISK, tmp_path), "raw.zst": lambda: packed(DISK)}[
        format_
    ]()
    made = cache().fetch(described(cloud, content, format=format_), 60)
    assert unpacked(tmp_path, made) == DISK
    assert made.raw_bytes == len(DISK)
    assert left(tmp_path) == sorted([made.file, made.file.replace(".zst", ".json")])


def packed(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-c", "-q"], input=content, capture_output=True, check=True).stdout


def test_same_bytes_taken_for_something_else_are_another_entry(cloud: Cloud, cache, tmp_path: Path) -> None:
    """Else whoever has a qcow2 written as it is first would spoil it for everybody who comes later."""
    content = disk(b"", 4 * MIB)
    as_qcow2 = qcow2_of(content, tmp_path).ljust(4 * MIB, b"\0")
    # A file that is both: QEMU's header, and a signature where firmware looks for it (qcow2's header ends before).
    both = as_qcow2[:510] + b"\x55\xaa" + as_qcow2[512:]
    one = cache()
    raw = one.fetch(described(cloud, both), 60)
    proper = one.fetch(described(cloud, both, format="qcow2"), 60)
    assert raw.file != proper.file
    assert unpacked(tmp_path, raw) == both
    assert unpacked(tmp_path, proper) == content


def test_name_has_all_that_makes_the_entry() -> None:
    base = {"checksum": "sha256:" + "0" * 64, "format": "raw"}
    others = [base | {"format": "raw.zst"}, base | {"format": "qcow2"}, base | {"checksum": "sha512:" + "0" * 64}]
    assert len({name_of(one) for one in [base, *others]}) == 4
    assert name_of(base) == name_of(base | {"id": "another", "name": "n", "min_disk_gb": 3, "url": "u"})


def patiently(one: ImageCache, image: dict[str, Any]) -> Any:
    """Ask until the image is there, as the worker does."""
    deadline = time.monotonic() + 60
    while (made := one.fetch(image, 60)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return made


def test_wanted_by_many_at_once_it_is_fetched_once(cloud: Cloud, cache) -> None:
    image = described(cloud, DISK)
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: patiently(cache(), image), range(6)))
    assert len({one.sha256 for one in made}) == 1
    assert sum(path.endswith("/file") for path, _ in cloud.asked) == 1
    assert cloud.asked[-1] == (f"/v2/images/{image['id']}/file", "own"), "with the service's own token"


def fails(one: ImageCache, image: dict[str, Any], tmp_path: Path, seconds: float = 60) -> Fault:
    with pytest.raises(Fault) as fault:
        one.fetch(image, seconds)
    assert left(tmp_path) == [], "nothing half made is left"
    return fault.value


def test_other_bytes_than_promised(cloud: Cloud, cache, tmp_path: Path) -> None:
    wrong = described(cloud, DISK, checksum="sha256:" + "0" * 64)
    assert fails(cache(), wrong, tmp_path).code == "checksum-wrong"


@pytest.mark.parametrize("content", [b"", b"short", bytes(MIB), b"\x7fELF".ljust(MIB)])
@pytest.mark.parametrize("format_", ["raw", "raw.zst"])
def test_what_no_machine_could_start_from(cloud: Cloud, cache, tmp_path: Path, content: bytes, format_: str) -> None:
    sent = packed(content) if format_ == "raw.zst" else content
    fault = fails(cache(), described(cloud, sent, format=format_), tmp_path)
    assert (fault.code, "no partition table" in fault.cause) == ("image-unusable", True)


@pytest.mark.parametrize("format_", ["qcow2", "raw.zst"])
def test_what_is_not_of_its_format(cloud: Cloud, cache, tmp_path: Path, format_: str) -> None:
    assert fails(cache(), described(cloud, DISK, format=format_), tmp_path).code == "image-unusable"


VMDK = b'# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 99 FLAT "/etc/shadow" 0\n'


@pytest.mark.parametrize("format_", ["raw", "qcow2", "raw.zst"])
def test_descriptors_that_name_other_files_are_never_followed(
    cloud: Cloud, cache, tmp_path: Path, format_: str
) -> None:
    """QEMU's tool would read the other file, if it were to find out by itself what it is given."""
    fault = fails(cache(), described(cloud, VMDK.ljust(64 * 1024, b"\n"), format=format_), tmp_path)
    assert fault.code == "image-unusable"


def refused(content: bytes, tmp_path: Path) -> str:
    (tmp_path / "suspect").write_bytes(content)
    with pytest.raises(Fault) as fault:
        qcow2.virtual_size(tmp_path / "suspect")
    return fault.value.cause


def test_qcow2_that_is_not_all_of_its_disk(tmp_path: Path) -> None:
    base, made = tmp_path / "base.raw", tmp_path / "made"
    base.write_bytes(DISK)
    qemu("create", "-f", "qcow2", "-b", base, "-F", "raw", made)
    assert "another file" in refused(made.read_bytes(), tmp_path)
    qemu("create", "-f", "qcow2", "-o", f"data_file={tmp_path}/data,data_file_raw=on", made, "1M")
    assert "another file" in refused(made.read_bytes(), tmp_path)
    # Not LUKS: QEMU measures its own speed for that, and gives up at times on a machine whose clock is coarse.
    secret = ["--object", "secret,id=s,data=x", "-o", "encrypt.format=aes,encrypt.key-secret=s"]
    qemu("create", *secret, "-f", "qcow2", made, "1M")
    assert "encrypted" in refused(made.read_bytes(), tmp_path)
    plain = qcow2_of(DISK, tmp_path)
    assert "encrypted" in refused(plain[:35] + b"\x02" + plain[36:], tmp_path)  # 2 is LUKS.
    assert "damaged" in refused(plain[:79] + b"\x02" + plain[80:], tmp_path)
    assert "version 9" in refused(plain[:4] + bytes([0, 0, 0, 9]) + plain[8:], tmp_path)
    for broken in (b"", plain[:40], b"QFI\xfb", b"\0" * 200):
        assert "no qcow2" in refused(broken, tmp_path)


@pytest.mark.parametrize("options", [(), ("-o", "compat=0.10"), ("-c",), ("-o", "extended_l2=on")])
def test_whole_qcow2_of_every_kind(cloud: Cloud, cache, tmp_path: Path, options: tuple[str, ...]) -> None:
    content = qcow2_of(DISK, tmp_path, *options)
    assert unpacked(tmp_path, cache().fetch(described(cloud, content, format="qcow2"), 60)) == DISK


def test_limits_of_size(cloud: Cloud, cache, tmp_path: Path) -> None:
    small = cache(max_gib=1 / 1024)
    assert "max_gib" in fails(small, described(cloud, DISK), tmp_path).cause
    qemu("create", "-f", "qcow2", tmp_path / "huge", "8T")
    huge = described(cloud, (tmp_path / "huge").read_bytes(), format="qcow2")
    assert "max_virtual_gib" in fails(cache(), huge, tmp_path).cause
    bomb = described(cloud, packed(disk(b"", 64 * MIB)), format="raw.zst")
    assert "max_virtual_gib" in fails(cache(max_virtual_gib=16 / 1024), bomb, tmp_path).cause


def test_full_disk_costs_this_image_only(cloud: Cloud, cache, tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free / 2**30
    fault = fails(cache(reserve_gib=free + 100), described(cloud, DISK), tmp_path)
    assert (fault.code, "are to stay free" in fault.cause) == ("no-room", True)


def test_time_ends_a_conversion_and_all_that_it_started(tmp_path: Path) -> None:
    """A tool that hangs, with a child of its own that holds on to its output."""
    hangs = ["sh", "-c", f"sleep 300 & echo $! >{tmp_path}/child; wait"]
    began = time.monotonic()
    with pytest.raises(Fault, match="longer than it may"):
        convert._run(hangs, Limits(tmp_path, 0, 10**9, 10**9, time.monotonic() + 1))
    assert time.monotonic() - began < 30
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 20
    while (state := _state(child)) not in ("", "Z"):
        assert time.monotonic() < deadline, f"{child} is still there: {state}"
        time.sleep(0.1)


def _state(process: int) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_one_that_another_fetches_is_not_waited_for(cloud: Cloud, cache, tmp_path: Path) -> None:
    image = described(cloud, DISK)
    (tmp_path / "images").mkdir()
    with (tmp_path / f"images/.{name_of(image)}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert cache().fetch(image, 60) is None, "it is not waited for"
    assert cache().fetch(image, 60).raw_bytes == len(DISK)


def old(tmp_path: Path, *names: str) -> None:
    for name in names:
        os.utime(tmp_path / "images" / f"{name}.json", (1, 1))


def entry(cache_: ImageCache, cloud: Cloud, number: int) -> str:
    made = cache_.fetch(described(cloud, disk(b"%d" % number, MIB) + os.urandom(MIB)), 60)
    return made.file.removesuffix(".zst")


def test_oldest_goes_when_there_is_no_room_but_not_one_in_use(cloud: Cloud, cache, tmp_path: Path) -> None:
    one = cache()
    first, second, third = (entry(one, cloud, number) for number in range(3))
    old(tmp_path, first, second)
    cache(gib=0).prune()
    assert left(tmp_path) == sorted([f"{third}.json", f"{third}.zst"])


def test_two_may_prune_at_once(cloud: Cloud, cache, tmp_path: Path) -> None:
    one = cache()
    for _ in range(3):
        names = [entry(one, cloud, number) for number in range(4)]
        old(tmp_path, *names)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: cache(gib=0).prune(), range(8)))
        assert left(tmp_path) == []


def test_a_file_that_goes_while_it_is_looked_at(cloud: Cloud, cache, tmp_path: Path) -> None:
    name = entry(cache(), cloud, 1)
    (tmp_path / "images" / f"{name}.zst").unlink()
    cache(gib=0).prune()


def test_entry_whose_file_is_gone_is_made_anew(cloud: Cloud, cache, tmp_path: Path) -> None:
    image = described(cloud, DISK)
    made = cache().fetch(image, 60)
    (tmp_path / "images" / made.file).unlink()
    assert unpacked(tmp_path, cache().fetch(image, 60)) == DISK


def test_what_a_killed_worker_left_goes_but_not_what_another_makes(cloud: Cloud, cache, tmp_path: Path) -> None:
    for name in ("dead", "alive"):
        scratch = tmp_path / "images" / f".{name}.new"
        scratch.mkdir(parents=True)
        (scratch / "source").write_bytes(bytes(MIB))
    with (tmp_path / "images/.alive.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        cache().prune()
    assert left(tmp_path) == [".alive.new"]


def test_image_that_names_its_tool_says_nothing_of_it(cloud: Cloud, cache, tmp_path: Path) -> None:
    """Cards are read back as they were written; an entry is never found under a name that somebody chose."""
    made = cache().fetch(described(cloud, DISK, name="../../etc/x"), 60)
    card = json.loads((tmp_path / "images" / made.file.replace(".zst", ".json")).read_text())
    assert card["file"] == made.file
    assert "/" not in made.file
