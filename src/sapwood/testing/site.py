"""A web site on a loopback port, for tests of what asks a network: pages from a table, and connections that misbehave.

A route is a page or a function that writes to the socket itself: an endless body, a byte now and then, a bomb. Every request that
came is kept with its headers. It speaks one request a connection, and no TLS unless a context is given.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

Write = Callable[[bytes], None]
Misbehave = Callable[[Write], None]


@dataclass(frozen=True)
class Page:
    body: bytes | str = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Asked(NamedTuple):
    """One request: its path, and its headers by lower-case name."""

    path: str
    headers: Mapping[str, str]


@dataclass
class Site:
    """What the site answers, by path, and what it was asked. A page with an `etag` header answers 304 to whoever has it."""

    port: int
    routes: dict[str, Page | Misbehave] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def paths(self) -> list[str]:
        return [one.path for one in self.asked]


@contextmanager
def site(routes: Mapping[str, Page | Misbehave] | None = None, tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """Serve on a free port of 127.0.0.1 until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    running = Site(listener.getsockname()[1], dict(routes or {}))
    closing = threading.Event()

    def accept() -> None:
        while not closing.is_set():
            try:
                opened, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_serve, args=(opened, running, tls), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        closing.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def _serve(opened: socket.socket, running: Site, tls: ssl.SSLContext | None) -> None:
    with suppress(OSError), opened:
        opened.settimeout(20)
        stream = tls.wrap_socket(opened, server_side=True) if tls else opened
        head = b""
        while b"\r\n\r\n" not in head:
            piece = stream.recv(65536)
            if not piece:
                return
            head += piece
        lines = head.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        asked = Asked(lines[0].split(" ")[1], headers)
        running.asked.append(asked)
        found = running.routes.get(asked.path, Page("not here", 404))
        if isinstance(found, Page):
            stream.sendall(_answer(found, asked))
        else:
            found(stream.sendall)
        with suppress(OSError):
            stream.shutdown(socket.SHUT_RDWR)


def _answer(page: Page, asked: Asked) -> bytes:
    etag = page.headers.get("etag", "")
    same = bool(etag) and asked.headers.get("if-none-match") == etag
    body = b"" if same else page.body.encode() if isinstance(page.body, str) else page.body
    headers = {"content-type": "text/html; charset=utf-8", **page.headers, "connection": "close"}
    if not same:
        headers["content-length"] = str(len(body))
    shown = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {304 if same else page.status} X\r\n{shown}\r\n".encode("latin-1") + body
