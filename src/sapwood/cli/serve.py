"""`sapwood serve`: answer requests from a store's deployment record, or from an exported folder."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sapwood.errors import InputError, Refused, ResourceError, StoreError

if TYPE_CHECKING:
    from sapwood.serving.deployment import Deployment, Route
    from sapwood.serving.gateway import Gateway
    from sapwood.serving.keys import Doorman
    from sapwood.store.local import LocalStore
    from sapwood.watching.feedback import FeedbackLog

DRAIN_S = 4
USED_EVERY_S = 30.0


def serve(
    name: Annotated[str, typer.Argument(metavar="MODEL_NAME", help="Model name whose deployment is served.")] = "",
    bundle: Annotated[Path | None, typer.Option(help="Serve this exported folder instead of a store.")] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of the store.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; other than loopback needs keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads of an engine; 0 takes every core.")] = 0,
    port_file: Annotated[Path | None, typer.Option(help="Write the port here once requests are answered.")] = None,
    key_file: Annotated[Path | None, typer.Option(help="Accept the keys of this file too (sapwood keys list --json).")] = None,
) -> None:
    """Serve a model: POST /predict, feedback, metrics. Nothing is served without a passing, signed verdict."""
    if bool(name) == (bundle is not None):
        raise InputError("give a model name or --bundle FOLDER, one of them", "sapwood serve MODEL_NAME, or sapwood serve --bundle FOLDER")
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("sapwood").setLevel(logging.INFO)
    with _stopping(), bind(host, port) as listener:
        made = _from_folder(bundle, host, threads, key_file) if bundle is not None else _from_store(name, store, host, threads, key_file)
        _run(*made, listener, port_file)


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the address, not listening yet. `ResourceError` when it cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY only when TCP is named
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as fault:
        raise ResourceError(f"cannot listen on {host} port {port}: {fault.strerror or fault}", "take a free port with: --port 0") from None
    return listener


def follow_store(store: LocalStore, name: str) -> Callable[[], Deployment | None]:
    """A function that reads the deployment record of `name`. Versions and proofs are opened once a revision."""
    from sapwood.serving.deployment import Deployment

    last: list[Deployment] = []

    def follow() -> Deployment | None:
        record = store.records.deployment(name)
        if record is None:
            return None
        if not last or last[0].revision != record.revision:
            routes = tuple(_route(store, name, int(r["version"]), float(r["share"]), str(r["role"])) for r in record.routes)
            last[:] = [Deployment(name, record.revision, routes)]
        return last[0]

    return follow


def _route(store: LocalStore, name: str, number: int, share: float, role: str) -> Route:
    from sapwood import verdict as verdicts
    from sapwood.artifact import Bundle, Report
    from sapwood.serving.deployment import Route

    try:
        version = store.records.version(name, number)
        verdict, parity = (verdicts.read(store.open(Report(d))) if d else None for d in (version.verdict, version.parity))
        folder = store.open(Bundle(version.bundle))
    except StoreError as fault:
        raise Refused(f"version {number} of {name} cannot be opened: {fault.what}", fault.next_step) from fault
    return Route(number, share, role, version.bundle, version.model, folder, verdict, parity)


Made = tuple["Gateway", "Doorman | None", "FeedbackLog | None"]


def _from_store(name: str, path: Path | None, host: str, threads: int, key_file: Path | None) -> Made:
    from sapwood.serving import gateway as gateways
    from sapwood.serving.door import is_loopback
    from sapwood.serving.keys import Doorman, KeyRing, read_file
    from sapwood.store.find import open_store
    from sapwood.watching.feedback import FeedbackLog
    from sapwood.watching.log import ResponseLog

    store = open_store(path, create=False)
    ring = KeyRing(store.engine)
    more = read_file(key_file) if key_file is not None else []
    doorman = Doorman(lambda: ring.list() + more)
    if doorman.empty():
        if not is_loopback(host):
            raise Refused(f"{host} can be reached from other machines and the store has no key", "sapwood keys create --owner NAME")
        typer.echo("no key yet, so every request is refused; make one with: sapwood keys create --owner NAME", err=True)
    who = f"{socket.gethostname()}:{os.getpid()}"
    plan = gateways.plan(
        follow_store(store, name), lambda revision: store.records.acknowledge(name, revision, who), store.public_key(), threads
    )
    gateway = gateways.Gateway(name, plan, ResponseLog(store.engine))
    gateway.every_poll.append(_now_and_then(lambda: ring.mark_used(doorman.take_seen())))
    return gateway, doorman, FeedbackLog(store.engine)


def _from_folder(folder: Path, host: str, threads: int, key_file: Path | None) -> Made:
    from sapwood.serving import deployment as deployments
    from sapwood.serving import gateway as gateways
    from sapwood.serving.door import is_loopback
    from sapwood.serving.keys import Doorman, read_file

    deployment, public_key = deployments.exported(folder)
    doorman = None
    if key_file is not None:
        keys = read_file(key_file)
        doorman = Doorman(lambda: keys)
    elif not is_loopback(host):
        raise Refused(f"{host} can be reached from other machines and there is no key", "give --key-file, or --host 127.0.0.1")
    else:
        typer.echo("no key file: open to every program of this machine, and to no other", err=True)
    typer.echo("from a folder: answers are not logged and feedback is not taken", err=True)
    plan = gateways.plan(lambda: deployment, lambda revision: None, public_key, threads)
    return gateways.Gateway(deployment.name, plan), doorman, None


def _now_and_then(act: Callable[[], None]) -> Callable[[], None]:
    """`act`, at most every `USED_EVERY_S` seconds."""
    last = [0.0]

    def maybe() -> None:
        if time.monotonic() - last[0] >= USED_EVERY_S:
            last[0] = time.monotonic()
            act()

    return maybe


def _run(gateway: Gateway, doorman: Doorman | None, feedback: FeedbackLog | None, listener: socket.socket, port_file: Path | None) -> None:
    import uvicorn

    from sapwood.serving.app import make_app

    gateway.start()
    app = make_app(gateway, doorman, feedback, open_on_loopback=doorman is None)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=DRAIN_S, lifespan="on", ws="none"
    )
    host, port = listener.getsockname()[:2]
    try:
        listener.listen(2048)
    except OSError as fault:
        raise ResourceError(f"cannot listen on {host} port {port}: {fault.strerror or fault}", "take a free port with: --port 0") from None
    if port_file is not None:
        partial = port_file.with_name(f"{port_file.name}.{os.getpid()}")
        partial.write_text(f"{port}\n")
        partial.replace(port_file)
    loaded = gateway.loaded
    revision = loaded.deployment.revision if loaded else 0
    shown = f"[{host}]" if ":" in host else host
    typer.echo(f"{gateway.name} revision {revision} answers on http://{shown}:{port}")
    uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def _stopping() -> Iterator[None]:
    """SIGTERM and Ctrl-C end the process with 0, while loading as well as while serving (there the server drains first)."""
    before = {number: signal.signal(number, lambda *_: sys.exit(0)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
