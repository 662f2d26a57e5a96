"""The door every request passes: request id, key, scope, rate limit, content type, size. Deny by default on every route.

A path is opened by a line in `RULES` and by nothing else: a route the app has but the table lacks answers 404.
Only the health paths are public. Without a doorman every other path is shut, unless the gateway was told to be open on
loopback; then callers must come from this machine and name it in `Host` (a page in a browser elsewhere cannot).

Not guarded: slow readers of answers, and who may reach the port at all.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import math
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sapwood.serving.keys import Doorman, Key
from sapwood.serving.metrics import Metrics

PUBLIC = "public"
ANY_KEY = "any key"
RULES = {
    "/livez": PUBLIC,
    "/readyz": PUBLIC,
    "/startupz": PUBLIC,
    "/health": PUBLIC,
    "/info": ANY_KEY,
    "/v1/models": ANY_KEY,
    "/openapi.json": ANY_KEY,
    "/predict": "infer:predict",
    "/v1/feedback": "feedback:write",
    "/v1/feedback/{identifier}": "feedback:read",
    "/v1/responses/{identifier}": "trace:read",
    "/metrics": "metrics:read",
}
MAX_BODY = 4 << 20
BODY_S = 30.0
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_PATHS = [(compile_path(path)[0], path) for path in RULES]
logger = logging.getLogger("sapwood.gateway")


@dataclass(frozen=True)
class Caller:
    """Who asks. `key` is None on public paths and in open mode."""

    request_id: str
    key: Key | None


def error(
    status: int, message: str, code: str, kind: str = "invalid_request_error", param: str | None = None, retry_after: float = 0
) -> JSONResponse:
    """The one shape of every fault: {"error": {message, type, param, code}}."""
    headers = {"retry-after": str(max(1, math.ceil(retry_after)))} if retry_after else {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse({"error": {"message": message, "type": kind, "param": param, "code": code}}, status, headers)


def rule(path: str) -> str | None:
    """The template in `RULES` that this path matches."""
    return next((template for pattern, template in _PATHS if pattern.match(path)), None)


class Door:
    """ASGI middleware. See the module."""

    def __init__(self, app: ASGIApp, doorman: Doorman | None, metrics: Metrics, open_on_loopback: bool = False) -> None:
        self.app = app
        self.doorman = doorman
        self.metrics = metrics
        self.open = open_on_loopback and doorman is None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else f"req-{secrets.token_hex(12)}"
        handler = rule(scope["path"]) or "unknown"
        status = [0]

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            refusal = await self._pass(scope, receive, answer, Caller(request_id, None), handler)
            if refusal is not None:
                await refusal(scope, receive, answer)
        except Exception:
            logger.exception("request %s failed", request_id)
            if status[0]:
                raise
            await error(500, f"an internal fault; it is logged under {request_id}", "internal_error", "server_error")(
                scope, receive, answer
            )
        method = scope["method"] if scope["method"] in METHODS else "other"
        self.metrics.http.labels(handler, method, str(status[0])).inc()
        self.metrics.http_time.labels(handler, method).observe(time.monotonic() - began)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, caller: Caller, handler: str) -> JSONResponse | None:
        """Let the request through, or say why not."""
        wanted = RULES.get(handler)
        if wanted != PUBLIC:
            key = self._admit(scope, wanted)
            if isinstance(key, JSONResponse):
                return key
            caller = Caller(caller.request_id, key)
        if wanted is None:
            return error(404, f"no such path: {scope['path'][:200]}", "not_found")
        body = await _body(scope, receive)
        if isinstance(body, JSONResponse):
            return body
        await self.app({**scope, "sapwood": caller}, _replay(body, receive), send)
        return None

    def _admit(self, scope: Scope, wanted: str | None) -> Key | JSONResponse | None:
        if self.open:
            return (
                None
                if _local(scope)
                else error(403, "this gateway has no keys: it answers this machine only", "loopback_only", "permission_error")
            )
        scheme, _, secret = Headers(scope=scope).get("authorization", "").partition(" ")
        key = self.doorman.find(secret.strip()) if self.doorman is not None and scheme.lower() == "bearer" else None
        if key is None or self.doorman is None:
            return error(401, "a valid API key is needed: Authorization: Bearer sw-...", "invalid_api_key", "authentication_error")
        if wanted not in (ANY_KEY, None) and wanted not in key.scopes:
            return error(403, f"this key lacks the scope {wanted}", "missing_scope", "permission_error")
        if wait_s := self.doorman.wait_s(key):
            self.metrics.limited.labels(self.metrics.model, "rpm").inc()
            return error(429, f"{key.rpm_limit} requests a minute are allowed", "rate_limited", "rate_limit_error", retry_after=wait_s)
        return key


def _local(scope: Scope) -> bool:
    """Whether the caller is on this machine and asked for it by a loopback name (a rebound DNS name is not one)."""
    client = scope.get("client")
    name = Headers(scope=scope).get("host", "")
    host = name[1 : name.find("]")] if name.startswith("[") else name.partition(":")[0]
    return client is not None and is_loopback(client[0]) and is_loopback(host)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _body(scope: Scope, receive: Receive) -> bytes | JSONResponse:
    """The whole body, at most `MAX_BODY` bytes; a body must be JSON."""
    too_big = error(413, f"the body is larger than {MAX_BODY} bytes", "body_too_large")
    headers = Headers(scope=scope)
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > MAX_BODY:
        return too_big
    pieces, size, more = [], 0, True
    try:
        async with asyncio.timeout(BODY_S):
            while more:
                message: dict[str, Any] = dict(await receive())
                if message["type"] == "http.disconnect":
                    break
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                more = message.get("more_body", False)
                if size > MAX_BODY:
                    return too_big
    except TimeoutError:
        return error(408, f"the body did not arrive within {BODY_S:.0f} s", "request_timeout")
    if size and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return error(415, "the body must be application/json", "unsupported_media_type")
    return b"".join(pieces)


def _replay(body: bytes, receive: Receive) -> Receive:
    """`receive` that gives the body once and then waits for the client to leave."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again
