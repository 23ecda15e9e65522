"""Which URLs may be fetched: of the web, at addresses that are public whatever form they are written in."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from memorag_core.errors import InputError, quote_name

MAX_URL = 8192
MAX_HOST = 300
PORTS = {"http": 80, "https": 443}
NAT64 = ipaddress.ip_network("64:ff9b::/96")
UNICAST = ipaddress.ip_network("2000::/3")
"""All of IPv6 that is given out (IANA, IPv6 Global Unicast Address Assignments)."""
SPECIAL = [
    ipaddress.ip_network(network)
    for network in [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    ]
]
SPECIAL_6 = [
    ipaddress.ip_network(network) for network in ("2001::/23", "2001:db8::/32", "2620:4f:8000::/48", "3fff::/20")
]
"""IANA's registries of special-purpose addresses, and multicast: there is no web at any of them."""
COMPATIBLE = ipaddress.ip_network("::/96")
KEPT = "/?%:@!$&'()*+,;=~"
LOW_32_BITS = 0xFFFF_FFFF

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_UNFIT = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, slots=True)
class WebAddress:
    """A URL taken apart, once, so that what is checked is what is fetched. `host` is ASCII, without brackets."""

    scheme: str
    host: str
    port: int
    target: str
    header: str


def is_url(place: str) -> bool:
    """True for what names a place by a scheme, of whatever kind; false for the path of a file."""
    return _URL.match(place) is not None


def parse_url(url: str) -> WebAddress:
    """A URL of the web, taken apart.

    Raises:
        InputError: of another scheme, with a password in it, or not well formed.
    """
    if len(url) > MAX_URL:
        raise InputError(
            f"The URL has {len(url):,} characters; at most {MAX_URL:,} can be fetched. Give a shorter one."
        )
    try:
        parts = urlsplit(url)
        if len(parts.netloc) > MAX_HOST:
            raise ValueError("its host is longer than any can be")  # and names take the square of their length to read
        host = (parts.hostname or "").encode("idna").decode()
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise InputError(
            f"{quote_name(url)} is not a URL that can be fetched ({quote_name(error)}). Check it."
        ) from error
    if parts.scheme not in PORTS or not host or _UNFIT.search(url):
        raise InputError(
            f"{quote_name(url)} cannot be fetched: only http:// and https:// URLs can. Check it, or give a file."
        )
    if "@" in parts.netloc:
        raise InputError("The URL holds a user name or password. Download the file yourself, and give its path.")
    target = quote(parts.path or "/", safe=KEPT) + (f"?{quote(parts.query, safe=KEPT)}" if parts.query else "")
    shown = f"[{host}]" if ":" in host else host
    header = shown if port == PORTS[parts.scheme] else f"{shown}:{port}"
    return WebAddress(parts.scheme, host, port, target, header)


def is_public(address: str) -> bool:
    """True for an IP address of the internet at large; one that carries an IPv4 address is judged by that too."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in SPECIAL)
    carried = ip.ipv4_mapped or ip.sixtofour
    if ip in NAT64 or ip in COMPATIBLE:
        carried = ipaddress.IPv4Address(int(ip) & LOW_32_BITS)
    if carried is not None:
        return is_public(str(carried))
    return ip in UNICAST and not any(ip in network for network in SPECIAL_6)
