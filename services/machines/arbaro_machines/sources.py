# SPDX-License-Identifier: Apache-2.0
"""From where an image may be fetched by URL: only from servers that the settings name, wherever those names lead.

The worker is inside the cloud, so whoever chooses what it fetches could otherwise have it ask the cloud's own services.
"""

import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from arbaro_machines.settings import Images

Address = IPv4Address | IPv6Address
PORTS = {"http": 80, "https": 443}
#: No user names, no backslashes, nothing that two programs could read in two ways.
FORM = re.compile(r"https?://[^\s@\\\x00-\x1f\x7f]+", re.IGNORECASE)
#: Always refused, apart from what Python calls loopback, link-local, multicast, unspecified and reserved.
THIS_NETWORK = ip_network("0.0.0.0/8")
#: IPv6 addresses that stand for an IPv4 one in their last 32 bits: mapped, "compatible", NAT64's.
CARRIERS = tuple(map(IPv6Network, ("::ffff:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48")))


class Unwelcome(Exception):
    """An image is not fetched from there; the text says why, and what to do."""


def resolve(host: str, port: int) -> list[str]:
    """Ask for a name's addresses."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class Sources:
    """The servers that may be asked."""

    settings: Images
    resolve: Callable[[str, int], list[str]] = resolve

    def check(self, url: str) -> SplitResult:
        """Look at a URL itself, without asking for its name's address. Raises Unwelcome."""
        if not FORM.fullmatch(url):
            raise Unwelcome("An image's URL begins with http:// or https://, and has neither user nor password.")
        parts = urlsplit(url)
        try:
            named = parts.port
        except ValueError as error:
            raise Unwelcome(f"{parts.netloc} has no port that exists.") from error
        host = (parts.hostname or "").rstrip(".").lower()
        port = PORTS[parts.scheme]
        names = {f"{host}:{named or port}", *([host] if named in (None, port) else [])}
        if not names & {one.rstrip(".").lower() for one in self.settings.url_hosts}:
            raise Unwelcome(
                f"{parts.netloc} is not among the servers that images may be fetched from. "
                "Upload the image to glance, or add the server to url_hosts in section [images] of machines.toml."
            )
        return parts

    def addresses(self, parts: SplitResult) -> list[str]:
        """Where to connect for this URL: exactly there, since another question could be answered otherwise.

        One bad address among several spoils all: a server that is meant has none.
        """
        try:
            found = self.resolve(parts.hostname or "", parts.port or PORTS[parts.scheme])
        except (OSError, UnicodeError) as error:
            raise Unwelcome(f"{parts.hostname} has no address: {error}") from error
        for address in found:
            if reason := self.why_not(address):
                raise Unwelcome(
                    f"{parts.hostname} leads to {address}, which is {reason}: nothing is fetched from there."
                )
        return found

    def why_not(self, text: str) -> str:
        """Say why nothing is fetched from this address; nothing when it may be."""
        forbidden = [ip_network(one) for one in self.settings.forbidden_networks]
        for address in meanings(ip_address(text.partition("%")[0])):
            if kind := never(address):
                return kind
            if any(address in network for network in forbidden):
                return "in forbidden_networks (section [images] of machines.toml)"
            if _is_ours(address):
                return "an address of this very host"
        return ""


def meanings(address: Address) -> Iterable[Address]:
    """The addresses that packets to this one reach: itself, or IPv4 ones that are written in it."""
    if not isinstance(address, IPv6Address):
        yield address
    elif int(address) > 1 and any(address in network for network in CARRIERS):
        yield IPv4Address(int(address) & 0xFFFFFFFF)
    else:
        yield from (one for one in (address, address.sixtofour, *(address.teredo or ())) if one is not None)


def never(address: Address) -> str:
    """Say to which kind an address belongs that no image server can have; nothing when to none."""
    kinds = {
        "loopback": address.is_loopback,
        "link-local": address.is_link_local,
        "multicast": address.is_multicast,
        "unspecified": address.is_unspecified or address in THIS_NETWORK,
        "reserved": address.is_reserved,
    }
    return next((kind for kind, is_so in kinds.items() if is_so), "")


def _is_ours(address: Address) -> bool:
    """Say whether this host has the address: then it can be bound."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            one.bind((str(address), 0))
    except OSError:
        return False
    return True
