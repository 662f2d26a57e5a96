"""Which addresses a request may reach: the public internet, and what the user allowed by name.

The tables follow the IANA registries of special-purpose addresses (RFC 6890 and its updates) and the cloud machines' metadata
addresses. They are written out because `ipaddress.is_global` differs between patch releases of Python 3.11 and knows no reasons.
IPv6 is closed by default: only 2000::/3 and NAT64 of a public IPv4 address are open.

Not judged here: whether a public address belongs to the user's own organisation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from sapwood.errors import InputError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

SPECIAL: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(network), name)
    for network, name in (
        ("169.254.169.254/32", "metadata"),
        ("168.63.129.16/32", "metadata"),
        ("100.100.100.200/32", "metadata"),
        ("192.0.0.192/32", "metadata"),
        ("fd00:ec2::254/128", "metadata"),
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmark"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("64:ff9b:1::/48", "private"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
        ("2001::/32", "tunnel"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "tunnel"),
        ("3ffe::/16", "reserved"),
        ("3fff::/20", "documentation"),
    )
)
PUBLIC_V6 = IPv6Network("2000::/3")
NAT64 = IPv6Network("64:ff9b::/96")
COMPATIBLE = IPv6Network("::/96")
ISATAP = (0x00005EFE, 0x02005EFE)
INTRANET = frozenset({"private", "carrier-grade NAT"})
"""What a host name on the user's list may turn out to be. Loopback, link-local and metadata take a network on the list."""


def inner(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address carries: mapped, compatible, NAT64 or ISATAP."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped:
        return address.ipv4_mapped
    low = int(address) & 0xFFFFFFFF
    compatible = address in COMPATIBLE and low > 1
    if compatible or address in NAT64 or (int(address) >> 32 & 0xFFFFFFFF) in ISATAP:
        return IPv4Address(low)
    return None


def special(address: Address) -> str:
    """What is special about an address (`loopback`, `private`, ...); empty for one of the public internet."""
    carried = inner(address)
    if carried is not None and (found := special(carried)):
        return found
    if isinstance(address, IPv6Address) and address.scope_id:
        return "link-local"
    for network, name in SPECIAL:
        if address.version == network.version and address in network:
            return name
    if isinstance(address, IPv6Address) and address not in PUBLIC_V6:
        return "" if address in NAT64 or address.ipv4_mapped else "reserved"
    return ""


@dataclass(frozen=True)
class Allowed:
    """One entry of the user's list: a host name or a network, for one port if one was written, else for the open ones."""

    host: str = ""
    network: Network | None = None
    port: int = 0

    def covers(self, host: str, address: Address, kind: str) -> bool:
        """Whether it lets `host` be reached at `address`, whose `special` is `kind`."""
        if self.network is None:
            return host == self.host and (not kind or kind in INTRANET)
        reached = inner(address) or address
        return reached.version == self.network.version and reached in self.network


def allowed(entries: Iterable[str]) -> tuple[Allowed, ...]:
    """The user's list: `wiki.example`, `wiki.example:8080`, `10.1.0.0/16`, `10.1.2.3:8080`, `[fd00::1]:8080`. Raises `InputError`."""
    return tuple(_entry(entry.strip().lower()) for entry in entries)


def _entry(text: str) -> Allowed:
    place, port = text, 0
    head, colon, tail = text.rpartition(":")
    if colon and tail.isascii() and tail.isdecimal() and (":" not in head or head.endswith("]")):
        place, port = head, int(tail)
    place = place.removeprefix("[").removesuffix("]")
    try:
        return Allowed(network=ip_network(place, strict=False), port=port)
    except ValueError:
        pass
    plain = place.isascii() and place.replace("-", "").replace(".", "").replace("_", "").isalnum()
    if not plain or port > 65535 or place.replace(".", "").isdigit():
        raise InputError(f"allow: {text!r} is no host and no network", "write such as wiki.example, wiki.example:8080 or 10.1.0.0/16")
    return Allowed(host=place.rstrip("."), port=port)


def refusal(host: str, port: int, address: str, entries: tuple[Allowed, ...], ports: frozenset[int]) -> tuple[str, str] | None:
    """Why `host` may not be reached at `address` and `port`, and the entry that would allow it; None when it may."""
    found = ip_address(address)
    kind = special(found)
    if any(e.covers(host, found, kind) and (e.port == port or (not e.port and port in ports)) for e in entries):
        return None
    literal = ":" in host or host == address
    name = host if not literal and (not kind or kind in INTRANET) else (f"[{address}]" if ":" in address and port not in ports else address)
    entry = name if port in ports else f"{name}:{port}"
    if kind:
        return f"{host} is {'' if literal else f'at {address}, '}{with_article(kind)} address", entry
    return None if port in ports else (f"port {port} of {host} is not open to requests", entry)


def with_article(kind: str) -> str:
    """`a loopback`, `an unspecified`."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
