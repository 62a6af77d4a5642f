# SPDX-License-Identifier: Apache-2.0
"""This machine's own apt sources, so that its mirrors and proxies also serve the images (sources.list(5))."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from arbaro import shell
from arbaro.errors import ArbaroError

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)")
#: Suites that belong to a codename: bookworm, bookworm-updates, bookworm-security, bookworm/updates …
OURS = "{codename}(?:-updates|-security|/updates|-proposed-updates)?"


@dataclass(frozen=True)
class Source:
    """One line of sources.list."""

    uri: str
    suite: str
    components: str
    signed_by: str = KEYRING

    def __str__(self) -> str:
        return f"deb [signed-by={self.signed_by}] {self.uri} {self.suite} {self.components}"


def machine_sources(suite: str) -> list[Source]:
    """Read the machine's Debian sources and ask them for `suite` instead of its own.

    Raises ArbaroError when there are none.
    """
    codename = _codename(Path("/etc/os-release").read_text())
    texts = [(path.suffix == ".sources", path.read_text()) for path in _files()]
    found = list(sources_for(suite, codename, texts))
    if not found:
        raise ArbaroError(
            f"No apt source for {codename} was found on this machine.",
            why="Looked at /etc/apt/sources.list and /etc/apt/sources.list.d/.",
            hint="Add Debian's sources to /etc/apt/sources.list.d/debian.sources, then run the same command again.",
        )
    return found


def sources_for(suite: str, codename: str, texts: Iterable[tuple[bool, str]]) -> Iterator[Source]:
    """Pick the sources of `codename` out of (is deb822, text) pairs and move them to `suite`; others' are left out."""
    ours = re.compile(OURS.format(codename=re.escape(codename)))
    seen = set()
    for is_deb822, text in texts:
        for source in _deb822(text) if is_deb822 else _one_line(text):
            moved = replace(source, suite=suite + source.suite[len(codename) :])
            if ours.fullmatch(source.suite) and moved not in seen:
                seen.add(moved)
                yield moved


def machine_apt_options() -> list[str]:
    """The machine's Acquire:: options (proxies, retries, checks), in apt.conf's form."""
    lines = shell.run(["apt-config", "dump"]).splitlines()
    wanted = re.compile(r'Acquire::(?:https?::|ftp::|Retries|Check-|ForceIPv[46]).* "[^"]+";')
    return [line for line in lines if wanted.match(line)]


def _files() -> list[Path]:
    directory = Path("/etc/apt/sources.list.d")
    return [
        path
        for path in (
            Path("/etc/apt/sources.list"),
            *sorted(directory.glob("*.list")),
            *sorted(directory.glob("*.sources")),
        )
        if path.exists()
    ]


def _codename(os_release: str) -> str:
    facts = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    if facts.get("ID") != "debian":
        raise ArbaroError(
            f"This machine runs {facts.get('PRETTY_NAME', 'something else')}; Arbaro needs Debian 12.",
            hint="Run it on a Debian 12 machine, or in a virtual machine with Debian 12.",
        )
    return facts["VERSION_CODENAME"].strip('"')


def _one_line(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        if match := ONE_LINE.match(line.split("#")[0].strip()):
            signed = re.search(r"signed-by=(\S+)", match["options"] or "")
            yield Source(match["uri"], match["suite"], match["components"].strip(), signed[1] if signed else KEYRING)


def _deb822(text: str) -> Iterator[Source]:
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        fields = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        signed = fields.get("signed-by", KEYRING)
        for uri in fields["uris"].split():
            for suite in fields["suites"].split():
                yield Source(
                    uri, suite, fields.get("components", "main"), signed if signed.startswith("/") else KEYRING
                )
