# SPDX-License-Identifier: Apache-2.0
"""Images on this host: fetched once, checked against their checksum, kept as zstd of the raw disk.

Ramdisks get all images in this one form, so they need to understand one form only.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import requests

from arbaro_machines import convert
from arbaro_machines.faults import Fault
from arbaro_machines.glance import Glance

CHUNK = 2**20
#: An image used so lately may be on its way to a machine right now.
IN_USE_SECONDS = 3600


@dataclass(frozen=True)
class CachedImage:
    """An image in the cache: its file, what the file must hash to, and what it becomes on the disk."""

    file: str
    sha256: str
    zst_bytes: int
    raw_bytes: int


class ImageCache:
    """The directory with the images."""

    def __init__(self, directory: Path, gib: int, glance: Glance | None) -> None:
        self._directory = directory
        self._bytes = gib * 2**30
        self._glance = glance

    def fetch(self, image: Mapping[str, Any]) -> CachedImage:
        """Have the image here. Two workers that want the same one fetch it once."""
        self._directory.mkdir(parents=True, exist_ok=True)
        name = image["checksum"].replace(":", "-")
        with self._only_one(name):
            card = self._directory / f"{name}.json"
            if not card.exists():
                self._make(image, name)
            os.utime(card)
            return CachedImage(**json.loads(card.read_text()))

    @contextlib.contextmanager
    def _only_one(self, name: str) -> Iterator[None]:
        with (self._directory / f".{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel lets go when we are killed
            yield

    def _make(self, image: Mapping[str, Any], name: str) -> None:
        source, finished = self._directory / f".{name}.source", self._directory / f"{name}.zst"
        try:
            self._download(image, source)
            raw_bytes = convert.to_zst(source, image["format"], finished)
        finally:
            source.unlink(missing_ok=True)
        cached = CachedImage(finished.name, _sha256(finished), finished.stat().st_size, raw_bytes)
        # The card comes last and at once: without it the image does not count.
        card = self._directory / f".{name}.card"
        card.write_text(json.dumps(asdict(cached)))
        card.rename(self._directory / f"{name}.json")
        self._prune()

    def _download(self, image: Mapping[str, Any], target: Path) -> None:
        url, headers = self._where(image)
        algorithm, _, wanted = image["checksum"].partition(":")
        digest = hashlib.new(algorithm)
        try:
            with requests.get(url, headers=headers, stream=True, timeout=(10, 60)) as answer, target.open("wb") as out:
                answer.raise_for_status()
                for piece in answer.iter_content(CHUNK):
                    digest.update(piece)
                    out.write(piece)
        except requests.RequestException as error:
            raise Fault("image-unreachable", f"The image cannot be fetched: {error}") from error
        if digest.hexdigest() != wanted:
            raise Fault("checksum-wrong", f"The image has {algorithm} {digest.hexdigest()}, wanted is {wanted}.")

    def _where(self, image: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
        if "url" in image:
            return image["url"], {}
        if self._glance is None:
            raise Fault("image-unreachable", "This worker knows no glance.")
        return self._glance.url(image["id"]), self._glance.headers()

    def _prune(self) -> None:
        cards = sorted(self._directory.glob("*.json"), key=lambda card: card.stat().st_mtime)
        sizes = {card: card.with_suffix(".zst").stat().st_size for card in cards}
        over = sum(sizes.values()) - self._bytes
        for card, size in sizes.items():
            if over <= 0 or time.time() - card.stat().st_mtime < IN_USE_SECONDS:
                return
            card.unlink()
            card.with_suffix(".zst").unlink()
            over -= size


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
