# SPDX-License-Identifier: Apache-2.0
"""Byte ranges (RFC 9110, 14): many BMCs read a CD by HTTP in pieces, as they need them."""

import re
from collections.abc import Callable, Iterator

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

#: One range: the first byte and perhaps the last, or how many of the last.
ONE_RANGE = re.compile(r"bytes=(?:(\d+)-(\d*)|-(\d+))", re.ASCII)
OCTETS = "application/octet-stream"


class Unsatisfiable(Exception):
    """None of the bytes that were asked for exist."""


def wanted_range(header: str | None, size: int) -> range | None:
    """Read a Range header: the wanted bytes, or None for all of them.

    Several ranges at once and other units are ignored, as the RFC allows; so is what is no range at all.
    """
    found = ONE_RANGE.fullmatch(header.strip().lower().replace(" ", "")) if header else None
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        start, stop = max(0, size - int(suffix)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return None  # not a range
    if start >= stop:
        raise Unsatisfiable
    return range(start, stop)


def answer_bytes(request: Request, size: int, tag: str, read: Callable[[range], Iterator[bytes]]) -> Response:
    """Answer GET and HEAD for a content of `size` bytes, which `read` gives in pieces; `tag` changes with it."""
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{tag}"', "Content-Length": str(size)}
    if request.method == "HEAD":
        return Response(headers=headers, media_type=OCTETS)
    asked = request.headers.get("range")
    if request.headers.get("if-range", headers["ETag"]) != headers["ETag"]:
        asked = None  # the rest of another content would not fit
    try:
        part = wanted_range(asked, size)
    except Unsatisfiable:
        return Response(status_code=416, headers={"Accept-Ranges": "bytes", "Content-Range": f"bytes */{size}"})
    if part is None:
        return StreamingResponse(read(range(size)), headers=headers, media_type=OCTETS)
    headers |= {"Content-Length": str(len(part)), "Content-Range": f"bytes {part.start}-{part.stop - 1}/{size}"}
    return StreamingResponse(read(part), 206, headers=headers, media_type=OCTETS)
