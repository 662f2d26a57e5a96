"""One HTTP request to a URL that is not trusted, within stated caps.

A connection opens only to an address that was checked: the host is resolved once, every answer must be in bounds (a name with one
public and one private answer is refused), and the socket is connected to the address that was checked, while `Host` and the TLS name
stay those of the URL. So an answer that changes between check and use changes nothing. Each redirect is a new request with new checks.

One connection a request; HTTP/1.1; only gzip is asked for, and undone within the caps. Proxies of the environment (`HTTPS_PROXY`, ...)
are not used: a proxy resolves names itself, where nothing could be checked. `SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured.
It keeps no cookies, sends no referrer, and does not retry.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import httpcore

from sapwood.errors import InputError, NetworkError, SapwoodError
from sapwood.outgoing.addresses import Allowed, refusal
from sapwood.outgoing.urls import Target, follow, target

Resolve = Callable[[str, int], list[str]]
WEB_PORTS = frozenset({80, 443})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
FREE = 1 << 20
AGENT = "sapwood (text collector)"
TRAVELS = frozenset({"accept", "accept-language"})
"""Headers that go along when a redirect leaves the origin: nothing that could be a secret."""


@dataclass(frozen=True)
class Caps:
    """What one request may cost, its redirects included. A body may grow to `ratio` times what was received once it is past 1 MiB."""

    seconds: float = 60.0
    body: int = 32 << 20
    ratio: int = 100
    redirects: int = 5


def system_resolver(host: str, port: int) -> list[str]:
    """Every address the system has for a host. Raises `OSError`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class Guard:
    """Where requests may go and what they may cost. `allow` is the user's own list; `ports` what the caller opens beside 80 and 443;
    `trust` replaces the usual certificate authorities."""

    allow: tuple[Allowed, ...] = ()
    ports: frozenset[int] = frozenset()
    caps: Caps = Caps()
    agent: str = AGENT
    resolve: Resolve = system_resolver
    trust: ssl.SSLContext | None = None


@dataclass(frozen=True)
class Answer:
    """What came back: the URL after redirects, the status, headers by lower-case name (repeated ones joined by a comma), the body."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


def request(
    guard: Guard,
    url: str,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    body: bytes = b"",
    hop: Callable[[Target], None] | None = None,
) -> Answer:
    """Ask, follow redirects, and return the whole answer, whatever its status. `hop` is given each redirect before it is asked for, may
    raise to refuse it, and may take its time.

    Raises `InputError` when the guard or a cap says no, `NetworkError` when nobody answers in time.
    """
    deadline = time.monotonic() + guard.caps.seconds
    at, sent, seen = target(url), {name.lower(): value for name, value in (headers or {}).items()}, set[str]()
    while True:
        if at.url in seen:
            raise InputError(f"{url}: the redirects go round in a circle at {at.url}", "check the link")
        seen.add(at.url)
        answer = _once(guard, at, sent, method, body, deadline)
        onward = answer.headers.get("location", "")
        if answer.status not in REDIRECTS or not onward:
            return answer
        if len(seen) > guard.caps.redirects:
            raise InputError(f"{url}: more than {guard.caps.redirects} redirects", "check the link")
        to = _onward(url, at, onward, method)
        if to.origin != at.origin:
            sent = {name: value for name, value in sent.items() if name in TRAVELS}
        if hop is not None:
            paused = time.monotonic()
            hop(to)
            deadline += time.monotonic() - paused
        at = to


def _onward(url: str, at: Target, onward: str, method: str) -> Target:
    if method not in ("GET", "HEAD"):
        raise InputError(f"{url}: a {method} is not sent on to {onward[:200]!r}", "give the final URL")
    try:
        onward = onward.encode("latin-1").decode("utf-8")  # many servers send plain UTF-8 where only ASCII is allowed
    except UnicodeError:
        pass
    try:
        to = follow(at, onward)
    except InputError as fault:
        raise InputError(f"{url}: redirects to {fault.what}", fault.next_step) from None
    if at.scheme == "https" and to.scheme == "http":
        raise InputError(f"{url}: redirects from https to {to.url[:200]}", "give the final URL if you trust it")
    return to


def _once(guard: Guard, at: Target, sent: Mapping[str, str], method: str, body: bytes, deadline: float) -> Answer:
    headers = {"host": at.origin.partition("://")[2], "user-agent": guard.agent, "accept-encoding": "gzip", "connection": "close", **sent}
    if body or method == "POST":
        headers["content-length"] = str(len(body))
    place = httpcore.URL(scheme=at.scheme, host=at.host, port=at.port, target=at.path)
    wanted = httpcore.Request(method, place, headers=[(k.encode(), v.encode()) for k, v in headers.items()], content=body)
    connection = httpcore.HTTPConnection(
        place.origin, ssl_context=(guard.trust or _trust()) if at.scheme == "https" else None, network_backend=_Dialler(guard, at, deadline)
    )
    try:
        with connection:
            response = connection.handle_request(wanted)
            found = _headers(response.headers)
            assert isinstance(response.stream, Iterable)
            pieces = () if method == "HEAD" or response.status in (204, 304) else response.stream
            return Answer(at.url, response.status, found, _body(at.url, found, pieces, guard.caps))
    except (httpcore.TimeoutException, TimeoutError):
        raise _late(guard, at) from None
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as fault:
        proxied = any(os.environ.get(name) for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "ALL_PROXY"))
        step = "the proxy of the environment is not used: names must be checked here" if proxied else "check the URL and the network"
        raise NetworkError(f"{at.url}: no answer ({str(fault) or type(fault).__name__})", step) from None


def _late(guard: Guard, at: Target) -> SapwoodError:
    return NetworkError(f"{at.url}: not finished within {guard.caps.seconds:g} s", "try later, or raise the limit")


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


# --------------------------------------------------------------------------- bodies


def _body(url: str, headers: Mapping[str, str], pieces: Iterable[bytes], caps: Caps) -> bytes:
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise InputError(f"{url}: sent in the encoding {encoding[:40]!r}, which was not asked for", "ask whoever runs the server")
    stated = headers.get("content-length", "")
    if stated.isdecimal() and len(stated) < 20 and int(stated) > caps.body:
        raise InputError(f"{url}: the body has {int(stated)} bytes, the limit is {caps.body}", "raise the limit if you want it")
    read = gunzipped(url, pieces, caps) if encoding in ("gzip", "x-gzip") else pieces
    out = bytearray()
    for piece in read:
        out += piece
        if len(out) > caps.body:
            raise InputError(f"{url}: the body goes on past {caps.body} bytes", "raise the limit if you want it")
    return bytes(out)


def gunzipped(url: str, pieces: Iterable[bytes], caps: Caps) -> Iterable[bytes]:
    """Undo gzip piece by piece, never making more than 64 KiB at once. Raises `InputError` for a bomb and for damage."""
    engine, received, made = zlib.decompressobj(31), 0, 0
    for piece in pieces:
        received += len(piece)
        out = b""
        while piece or out:  # what was made last may have left more inside the engine
            if engine.eof:  # a gzip file may have several members, and zeros as padding
                if not (piece := piece.lstrip(b"\0")):
                    break
                engine = zlib.decompressobj(31)
            try:
                out = engine.decompress(piece, 1 << 16)
            except zlib.error as fault:
                raise InputError(f"{url}: damaged gzip ({fault})", "fetch it again") from None
            made += len(out)
            if made > FREE and made > caps.ratio * received:
                raise InputError(f"{url}: {received} bytes unpack to over {caps.ratio} times as many", "do not open it")
            yield out
            piece = engine.unused_data if engine.eof else engine.unconsumed_tail
    if received and not engine.eof:
        raise InputError(f"{url}: the gzip body ends too early", "fetch it again")


# --------------------------------------------------------------------------- sockets


class _Dialler(httpcore.NetworkBackend):
    """Opens the one connection of one request, to a checked address, and holds it to the deadline."""

    def __init__(self, guard: Guard, at: Target, deadline: float) -> None:
        self.guard, self.at, self.deadline = guard, at, deadline

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None, socket_options: object = None
    ) -> httpcore.NetworkStream:
        last: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in self._checked(host, port):
            try:
                opened = httpcore.SyncBackend().connect_tcp(address, port, timeout=_left(self.deadline))
                return _Timed(opened, self.deadline)
            except httpcore.ConnectError as fault:
                last = fault
        raise last

    def _checked(self, host: str, port: int) -> list[str]:
        entries, ports = self.guard.allow, self.guard.ports | WEB_PORTS
        if port not in ports | {entry.port for entry in entries}:
            raise InputError(f"{self.at.url}: port {port} of {host} is not open to requests", f"add {host}:{port} to allow if you mean it")
        addresses = self._resolved(host, port)
        for address in addresses:
            if refused := refusal(host, port, address, entries, ports):
                raise InputError(f"{self.at.url}: {refused[0]}", f"add {refused[1]} to allow if you mean it")
        return addresses

    def _resolved(self, host: str, port: int) -> list[str]:
        """Ask the resolver in a thread of its own, since it takes no time limit."""
        if ":" in host or host.replace(".", "").isdigit():
            return [host]
        found: list[list[str] | Exception] = []

        def ask() -> None:
            try:
                found.append(self.guard.resolve(host, port))
            except Exception as fault:
                found.append(fault)

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(_left(self.deadline))
        if not found:
            raise httpcore.ConnectTimeout(f"no answer for the name {host}")
        if isinstance(answer := found[0], Exception):
            raise httpcore.ConnectError(f"the name {host} is not known ({answer})")
        return answer


class _Timed(httpcore.NetworkStream):
    """A stream whose every wait ends at the request's deadline: a byte now and then does not keep it open."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self.stream, self.deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.stream.read(max_bytes, _left(self.deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.stream.write(buffer, _left(self.deadline))

    def close(self) -> None:
        self.stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Timed(self.stream.start_tls(ssl_context, server_hostname, _left(self.deadline)), self.deadline)

    def get_extra_info(self, info: str) -> object:
        return self.stream.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time is over")
    return left


@cache
def _trust() -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context()
