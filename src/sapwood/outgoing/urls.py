"""Read a URL strictly, once: what is checked is what is connected to.

Two readers that disagree about one URL are how guards are walked around, so there is one reader, and the connection is made from its
result. Refused rather than guessed: user names, backslashes, blanks and control characters, host names that are numbers in an unusual
spelling (2130706433, 0177.1, 0x7f.1, 127.1), zone ids. Full-width letters, digits and stops are folded (NFKC) before anything is judged.
"""

from __future__ import annotations

import re
import socket
import unicodedata
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple
from urllib.parse import quote, unquote, urljoin, urlsplit

from sapwood.errors import InputError
from sapwood.outgoing.addresses import special, with_article

PORTS = {"http": 80, "https": 443}
NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\Z")
FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029]")
LONGEST = 8_000
TRACKING = re.compile(r"(utm_[a-z]+|gclid|fbclid|msclkid|yclid|mc_[ce]id)=", re.IGNORECASE)
UNRESERVED = "-._~"


class Target(NamedTuple):
    """A checked URL. `host` is ASCII, lower case, without brackets; `path` holds the query and is ASCII."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == PORTS[self.scheme] else f":{self.port}")

    @property
    def url(self) -> str:
        return self.origin + self.path


SECRET = re.compile(r"^([^/]*//)[^/]*@")
"""What stands before the @ may be a password: it is never shown."""


def target(url: str) -> Target:
    """The parts of an http or https URL. Raises `InputError` with the reason."""
    shown = repr(SECRET.sub(r"\1...@", url)[:200])
    if len(url) > LONGEST:
        raise InputError(f"{shown}...: the URL has {len(url)} characters, the limit is {LONGEST}", "check the link")
    if FORBIDDEN.search(url):
        raise InputError(f"{shown}: a URL has no blank, control character or backslash", "write them percent-encoded")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as fault:
        raise InputError(f"{shown} is no URL ({fault})", "check the link") from None
    if parts.scheme not in PORTS:
        raise InputError(f"{shown}: only http and https are asked", "other schemes (file, ftp, gopher, ...) are never opened")
    if "@" in parts.netloc:
        raise InputError(f"{shown}: the URL carries a user name", "take it out; what stands before an @ is not the host")
    if port == 0:
        raise InputError(f"{shown}: there is no port 0", "check the link")
    host = _host(parts.hostname or "", shown)
    path = quote(parts.path or "/", safe="%/:;=@!$&'()*+,~-._") + (f"?{quote(parts.query, safe=_QUERY)}" if parts.query else "")
    return Target(parts.scheme, host, port or PORTS[parts.scheme], path)


_QUERY = "%/:;=@!$&'()*+,~-._?[]|{}^`"


def follow(base: Target, link: str) -> Target:
    """The target of a link (or of a `Location`) found at `base`; blanks inside it are escaped, as browsers do. Raises `InputError`."""
    try:
        return target(urljoin(base.url, link.strip().split("#")[0].replace(" ", "%20")))
    except ValueError as fault:
        raise InputError(f"{link[:200]!r} is no link ({fault})", "check the link") from None


def normal(found: Target) -> Target:
    """The same page under one spelling: dot segments resolved, escapes unified, marks of campaigns dropped. The order of a query stays."""
    path, _, query = found.path.partition("?")
    path = re.sub(r"%[0-9A-Fa-f]{2}", _unescaped, path)
    path = urlsplit(urljoin("http://x/", "/" + path.lstrip("/"))).path if "/." in path else path
    kept = [part for part in query.split("&") if part and not TRACKING.match(part)]
    return found._replace(path=path + ("?" + "&".join(kept) if kept else ""))


def _unescaped(match: re.Match[str]) -> str:
    letter = unquote(match[0], errors="replace")
    return letter if len(letter) == 1 and letter.isascii() and (letter.isalnum() or letter in UNRESERVED) else match[0].upper()


def _host(raw: str, shown: str) -> str:
    if "%" in raw:
        raise InputError(f"{shown}: a host has no percent sign (an escape, or a zone of a link-local address)", "check the link")
    if ":" in raw:
        return str(_v6(raw, shown))
    folded = unicodedata.normalize("NFKC", raw).replace("\u3002", ".").lower().removesuffix(".")
    host = folded if folded.isascii() else _idna(folded, shown)
    last = host.rpartition(".")[2]
    if last.isdecimal() or re.match(r"0x[0-9a-f]*\Z", last):
        return str(_v4(host, shown))
    if not NAME.match(host) or len(host) > 253:
        raise InputError(f"{shown}: {host[:80]!r} is no host name", "check the link")
    return host


def _idna(name: str, shown: str) -> str:
    import idna

    try:
        return idna.encode(name, uts46=True, std3_rules=True).decode("ascii")
    except idna.IDNAError as fault:
        raise InputError(f"{shown}: {name[:80]!r} is no host name ({fault})", "check the link") from None


def _v6(raw: str, shown: str) -> IPv6Address:
    try:
        return IPv6Address(raw)
    except ValueError as fault:
        raise InputError(f"{shown}: no IPv6 address ({fault})", "check the link") from None


def _v4(host: str, shown: str) -> IPv4Address:
    """A plain dotted quad. Whatever else the C library would take for an address is named and refused."""
    try:
        return IPv4Address(host)
    except ValueError:
        pass
    try:
        meant = ip_address(socket.inet_aton(host))
    except OSError:
        raise InputError(f"{shown}: {host!r} is no address", "check the link") from None
    kind = special(meant)
    raise InputError(
        f"{shown}: {host} is another spelling of {meant}" + (f", {with_article(kind)} address" if kind else ""), f"write {meant}"
    )
