# SPDX-License-Identifier: Apache-2.0
"""Images on this host: fetched once, checked against their checksum, kept as zstd of the raw disk.

Ramdisks get all images in this one form, so they need to understand one form only.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from arbaro_machines import convert
from arbaro_machines.download import Guard, download
from arbaro_machines.faults import Fault
from arbaro_machines.glance import Glance
from arbaro_machines.limits import Limits
from arbaro_machines.settings import Settings
from arbaro_machines.sources import Sources, Unwelcome

#: An image used so lately may be on its way to a machine right now.
IN_USE_SECONDS = 3600
#: Part of each entry's name: another one, when `convert` makes something else of the same image.
FORM = "1"
GIB = 2**30


@dataclass(frozen=True)
class CachedImage:
    """An image in the cache: its file, what the file must hash to, and what it becomes on the disk."""

    file: str
    sha256: str
    zst_bytes: int
    raw_bytes: int


class ImageCache:
    """The directory with the images: NAME.zst and its card NAME.json; .NAME.new is one that is being made."""

    def __init__(self, settings: Settings, glance: Glance | None, sources: Guard | None = None) -> None:
        self._directory = settings.image_cache
        self._bytes = settings.image_cache_gib * GIB
        self._settings = settings.images
        self._sources = sources or Sources(settings.images)
        self._glance = glance
        self._makers = threading.BoundedSemaphore(max(1, settings.threads // 2))

    def fetch(self, image: Mapping[str, Any], seconds: float) -> CachedImage | None:
        """Have the image here within so many seconds; None when others are at it, and it has to be asked again.

        Nobody waits here: a worker's threads are for all machines. Two workers that want the same image fetch it once.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        name = name_of(image)
        with self._only_one(name) as had:
            card = self._directory / f"{name}.json"
            if not had or not (_is_whole(card) or self._make_in_turn(image, name, seconds)):
                return None
            os.utime(card)
            return CachedImage(**json.loads(card.read_text()))

    def _make_in_turn(self, image: Mapping[str, Any], name: str, seconds: float) -> bool:
        """Make the entry; says whether it did: not while half of the threads make others."""
        if not self._makers.acquire(blocking=False):
            return False
        try:
            self.prune()
            self._make(image, name, self._limits(seconds))
        finally:
            self._makers.release()
        return True

    def _limits(self, seconds: float) -> Limits:
        sizes = (self._settings.reserve_gib, self._settings.max_gib, self._settings.max_virtual_gib)
        reserve, largest, virtual = (int(gib * GIB) for gib in sizes)
        return Limits(self._directory, reserve, largest, virtual, time.monotonic() + seconds)

    @contextlib.contextmanager
    def _only_one(self, name: str) -> Iterator[bool]:
        """Hold the entry's lock if nobody else does; says whether it was had."""
        with (self._directory / f".{name}.lock").open("w") as lock:
            # The kernel lets go when we are killed.
            yield _lock(lock.fileno())

    def _make(self, image: Mapping[str, Any], name: str, limits: Limits) -> None:
        scratch = self._directory / f".{name}.new"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        try:
            self._download(image, scratch / "source", limits)
            raw_bytes = convert.to_zst(scratch / "source", image["format"], scratch / "zst", limits)
            made = scratch / "zst"
            cached = CachedImage(f"{name}.zst", _sha256(made), made.stat().st_size, raw_bytes)
            (scratch / "card").write_text(json.dumps(asdict(cached)))
            made.rename(self._directory / cached.file)
            # The card comes last and at once: without it the image does not count.
            (scratch / "card").rename(self._directory / f"{name}.json")
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise Fault("no-room", f"{self._directory}: {error.strerror}") from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _download(self, image: Mapping[str, Any], target: Path, limits: Limits) -> None:
        algorithm, _, wanted = image["checksum"].partition(":")
        digest = hashlib.new(algorithm)
        try:
            if "url" in image:
                download(image["url"], {}, self._sources, limits, target, digest)
            elif self._glance is None:
                raise Fault("image-unreachable", "This worker knows no glance.")
            else:
                download(self._glance.url(image["id"]), self._glance.headers(), self._glance, limits, target, digest)
        except Unwelcome as refusal:
            raise Fault("image-refused", str(refusal)) from refusal
        if digest.hexdigest() != wanted:
            raise Fault("checksum-wrong", f"The image has {algorithm} {digest.hexdigest()}, wanted is {wanted}.")

    def prune(self) -> None:
        """Remove what killed workers left half made, and the entries used longest ago that there is no room for."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for scratch in self._directory.glob(".*.new"):
            with self._only_one(scratch.name[1 : -len(".new")]) as had:
                if had:
                    shutil.rmtree(scratch, ignore_errors=True)
        entries = sorted(_entries(self._directory), key=lambda entry: entry[1])
        free = shutil.disk_usage(self._directory).free
        over = max(sum(size for *_, size in entries) - self._bytes, int(self._settings.reserve_gib * GIB) - free)
        for card, _, size in entries:
            if over <= 0:
                return
            with self._only_one(card.stem) as had:
                if had and _is_unused(card):
                    card.unlink(missing_ok=True)
                    card.with_suffix(".zst").unlink(missing_ok=True)
                    over -= size


def name_of(image: Mapping[str, Any]) -> str:
    """Name the entry by all that makes it: the bytes, what they are taken for, and what is made of them."""
    return f"{image['checksum'].replace(':', '-')}.{image['format'].replace('.', '-')}.{FORM}"


def _is_whole(card: Path) -> bool:
    return card.exists() and card.with_suffix(".zst").exists()


def _entries(directory: Path) -> Iterator[tuple[Path, float, int]]:
    """Yield each card, when it was used last, and how large its image is. Others may remove some at the same time."""
    for card in directory.glob("*.json"):
        with contextlib.suppress(FileNotFoundError):
            yield card, card.stat().st_mtime, card.with_suffix(".zst").stat().st_size


def _is_unused(card: Path) -> bool:
    try:
        return time.time() - card.stat().st_mtime >= IN_USE_SECONDS
    except FileNotFoundError:
        return False


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
