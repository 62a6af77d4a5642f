# SPDX-License-Identifier: Apache-2.0
"""Runs on a host, by its own Python: asks each URL once, and prints {URL: HTTP status, or why there is none}.

Of tcp://HOST:PORT it only says whether somebody takes the connection: 0.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import urllib.error
import urllib.request

SECONDS = 5


def answer(url: str) -> int | str:
    """Ask one URL, without following where it leads to."""
    try:
        if url.startswith("tcp://"):
            host, _, port = url[len("tcp://") :].rpartition(":")
            with socket.create_connection((host, int(port)), SECONDS):
                return 0
        with urllib.request.urlopen(url, timeout=SECONDS) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))


def main(urls: list[str]) -> None:
    """Ask all of them side by side."""
    answers: dict[str, int | str] = dict.fromkeys(urls, "no answer in time")
    threads = [
        threading.Thread(target=lambda url=url: answers.__setitem__(url, answer(url)), daemon=True) for url in urls
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS + 1)
    sys.stdout.write(json.dumps(answers) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
