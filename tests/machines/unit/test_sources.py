# SPDX-License-Identifier: Apache-2.0
"""From where images are fetched, judged by URL and by address, in all the forms in which either may be written."""

import pytest
from arbaro_machines.settings import Images
from arbaro_machines.sources import Sources, Unwelcome

NAMED = Images(url_hosts=("images.example.com", "other.example.com:8080", "203.0.113.7", "[2001:db8::1]:80"))


def leading_to(*addresses: str, **settings: object) -> Sources:
    return Sources(NAMED.model_copy(update=settings), lambda host, port: list(addresses))


@pytest.mark.parametrize(
    "url",
    [
        "http://images.example.com/a.raw",
        "https://IMAGES.example.com./a.raw?b=c",
        "https://images.example.com:443/a",
        "http://other.example.com:8080/a",
        "http://203.0.113.7/a",
    ],
)
def test_servers_that_are_named(url: str) -> None:
    Sources(NAMED).check(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://images.example.com:22/a",
        "http://other.example.com/a",
        "https://other.example.com/a",
        "http://images.example.com.evil.example/a",
        "http://evil.example/images.example.com",
        "http://images.example.com@evil.example/a",
        "http://evil.example#@images.example.com/",
        "http://evil.example\\@images.example.com/",
        "http://user:password@images.example.com/a",
        "http://127.0.0.1/a",
        "http://2130706433/a",
        "http://0177.0.0.1/a",
        "http://0x7f.1/a",
        "http://[::1]/a",
        "http://[::ffff:127.0.0.1]/a",
        "http://localhost/a",
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/shadow",
        "ftp://images.example.com/a",
        "gopher://images.example.com/a",
        "http:///a",
        "http://images.example.com:99999/a",
        "http://images.example.com:0x50/a",
        "http://images.example.com/a b",
        "http://images.example.com/a\r\nX: y",
        "",
    ],
)
def test_all_others(url: str) -> None:
    with pytest.raises(Unwelcome):
        Sources(NAMED).check(url)


def test_by_default_none_is_named() -> None:
    with pytest.raises(Unwelcome, match="url_hosts in section \\[images\\]"):
        Sources(Images()).check("http://images.example.com/a.raw")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1", "loopback"),
        ("127.8.8.8", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::127.0.0.1", "loopback"),
        ("::7f00:1", "loopback"),
        ("2002:7f00:1::", "loopback"),
        ("64:ff9b::7f00:1", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("::", "unspecified"),
        ("169.254.169.254", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("240.0.0.1", "reserved"),
        ("10.0.0.1", "forbidden_networks"),
        ("172.31.0.1", "forbidden_networks"),
        ("192.168.1.1", "forbidden_networks"),
        ("100.64.0.1", "forbidden_networks"),
        ("::ffff:10.0.0.1", "forbidden_networks"),
        ("2002:0a00:1::", "forbidden_networks"),
        ("64:ff9b::a00:1", "forbidden_networks"),
        ("fd12::1", "forbidden_networks"),
    ],
)
def test_addresses_that_are_never_asked(address: str, reason: str) -> None:
    """Wherever a name that is allowed leads: the name's owner may not be who named it."""
    sources = leading_to("203.0.113.7", address)
    with pytest.raises(Unwelcome, match=reason):
        sources.addresses(sources.check("http://images.example.com/a"))


def test_addresses_that_are_asked_and_in_their_order() -> None:
    sources = leading_to("203.0.113.7", "2606:4700::1111")
    assert sources.addresses(sources.check("https://images.example.com/a")) == ["203.0.113.7", "2606:4700::1111"]
    inner = leading_to("10.1.2.3", forbidden_networks=("10.9.0.0/16",))
    assert inner.addresses(inner.check("http://images.example.com/a")) == ["10.1.2.3"]


def test_this_hosts_own_address_is_never_asked() -> None:
    """Whatever network it is in: what listens there may trust whoever is on this host."""
    own = leading_to("127.0.0.1")
    assert own.why_not("127.0.0.1") == "loopback"
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.connect(("203.0.113.7", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address = one.getsockname()[0]
    assert leading_to(forbidden_networks=()).why_not(address) == "an address of this very host"


def test_octal_and_decimal_forms_are_looked_at_where_they_lead() -> None:
    """Named by an operator who did not know: the resolver reads them as loopback."""
    for host in ("2130706433", "0177.0.0.1", "0x7f.1"):
        named = Sources(Images(url_hosts=(host,)))
        with pytest.raises(Unwelcome, match=r"loopback|has no address"):
            named.addresses(named.check(f"http://{host}/a"))
