"""The gateway's HTTP face: thin endpoints over `Gateway`, `ResponseLog` and `FeedbackLog`. `door.py` guards them all."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

import sapwood
from sapwood.errors import InputError, NotFound, Refused, ResourceError, SapwoodError, StoreError
from sapwood.serving.batcher import Overloaded
from sapwood.serving.door import REQUEST_ID, Caller, Door, error
from sapwood.serving.gateway import Answer, Gateway, TooLong
from sapwood.serving.keys import Doorman
from sapwood.serving.shapes import TAGS, FeedbackOut, LabelOut, ModelOut, ModelsOut, PredictIn, Scores
from sapwood.watching.feedback import Conflict, Feedback, FeedbackLog, OverQuota
from sapwood.watching.log import Response as Logged

T = TypeVar("T")
logger = logging.getLogger("sapwood.gateway")


class ClientLeft(Exception):
    """The client closed the connection before its answer was ready."""


def make_app(
    gateway: Gateway, doorman: Doorman | None = None, feedback: FeedbackLog | None = None, open_on_loopback: bool = False
) -> FastAPI:
    """The ASGI app. Without a doorman nothing but health is open, unless `open_on_loopback`."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(gateway.close)

    app = FastAPI(title=f"Sapwood gateway: {gateway.name}", version=sapwood.__version__, lifespan=life, docs_url=None, redoc_url=None)
    app.add_middleware(Door, doorman=doorman, metrics=gateway.metrics, open_on_loopback=open_on_loopback)
    _health(app, gateway)
    _inference(app, gateway)
    _records(app, gateway, feedback)
    _faults(app)
    return app


def _health(app: FastAPI, gateway: Gateway) -> None:
    @app.get("/livez")
    async def livez() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/startupz")
    async def startupz() -> Response:
        """A revision was loaded."""
        return _status("" if gateway.loaded else "no revision is loaded")

    @app.get("/readyz")
    @app.get("/health")
    async def readyz() -> Response:
        """Requests can be answered: a revision is loaded, the log can be written, the queue has room."""
        return _status(gateway.ready())

    @app.get("/metrics")
    async def metrics() -> Response:
        """Prometheus text."""
        return Response(gateway.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _inference(app: FastAPI, gateway: Gateway) -> None:
    @app.post("/predict", response_model=list[LabelOut] | list[list[LabelOut]])
    async def predict(request: Request, body: PredictIn) -> Response:
        """Label one text or up to 256. Labels come best first; many inputs give a list of lists."""
        caller: Caller = request.scope["sapwood"]
        session = request.headers.get("x-session-id", "")
        if session and not REQUEST_ID.fullmatch(session):
            raise InputError("x-session-id must be 1 to 128 characters of A-Z a-z 0-9 . _ : -", "send a shorter or plainer id")
        texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
        key_id = caller.key.key_id if caller.key else ""
        work = gateway.answer(texts, session or caller.request_id, key_id, session, body.truncate)
        try:
            answer = await _unless_gone(request, work)
        except ClientLeft:
            gateway.metrics.aborted.labels(gateway.name).inc()
            logger.info("499: the client of %s left", caller.request_id)
            return Response(status_code=499)
        rows = [_labels(response, body.raw_scores) for response in answer.responses]
        return JSONResponse(rows[0] if isinstance(body.inputs, str) else rows, headers=_headers(answer))

    @app.get("/v1/models")
    async def models() -> ModelsOut:
        """The versions that answer, as `name@version`."""
        loaded = gateway.loaded
        lanes = loaded.lanes.values() if loaded else []
        since = int(loaded.since) if loaded else 0
        return ModelsOut(
            data=[
                ModelOut(
                    id=f"{gateway.name}@{lane.route.version}",
                    created=since,
                    root=lane.route.bundle,
                    parent=lane.route.model,
                    max_model_len=lane.engine.card.max_tokens,
                )
                for lane in lanes
            ]
        )

    @app.get("/info")
    async def info() -> dict[str, Any]:
        """What is loaded, what was refused and why, and whether the deployment record can be followed."""
        return describe(gateway)


def _records(app: FastAPI, gateway: Gateway, feedback: FeedbackLog | None) -> None:
    def kept() -> FeedbackLog:
        if feedback is None:
            raise NotFound(
                "this gateway serves a folder: it keeps no responses and takes no feedback",
                "serve from a store: sapwood serve NAME --store PATH",
            )
        return feedback

    @app.post("/v1/feedback", response_model=FeedbackOut | list[FeedbackOut])
    async def add(request: Request, body: Scores) -> Response:
        """Store one record or up to 256, all or none. The same id and content again gives the stored record."""
        caller: Caller = request.scope["sapwood"]
        key_id = caller.key.key_id if caller.key else ""
        trusted = caller.key is not None and "feedback:trust" in caller.key.scopes
        items = body if isinstance(body, list) else [body]
        stored = await asyncio.to_thread(kept().add, items, key_id, trusted)
        for record in stored:
            gateway.metrics.feedback.labels(gateway.name, record.data_type, record.correction or "none").inc()
        rows = [_feedback(record) for record in stored]
        return JSONResponse(rows if isinstance(body, list) else rows[0])

    @app.get("/v1/feedback/{identifier}")
    async def read(identifier: str) -> FeedbackOut:
        """One feedback record."""
        return FeedbackOut(**_feedback(await asyncio.to_thread(kept().get, identifier)))

    @app.get("/v1/responses/{identifier}")
    async def response(identifier: str) -> dict[str, Any]:
        """One served answer as it was logged: masked text, all scores, and the digests that made it."""
        found = await asyncio.to_thread(kept().responses.get, identifier)
        return asdict(found) | {"output": [scored._asdict() for scored in found.output]}


def describe(gateway: Gateway) -> dict[str, Any]:
    """The body of /info."""
    loaded = gateway.loaded
    routes = [
        {
            "version": lane.route.version,
            "share": lane.route.share,
            "role": lane.route.role,
            "bundle": lane.route.bundle,
            "model": lane.route.model,
            "labels": list(lane.engine.labels),
            "max_tokens": lane.engine.card.max_tokens,
        }
        for lane in (loaded.lanes.values() if loaded else [])
    ]
    return {
        "name": gateway.name,
        "sapwood": sapwood.__version__,
        "revision": loaded.deployment.revision if loaded else 0,
        "acknowledged": gateway.acknowledged,
        "loaded_at": loaded.since if loaded else None,
        "routes": routes,
        "refusals": gateway.problems.refusals,
        "following": gateway.problems.following or "ok",
        "ready": gateway.ready() or "ok",
    }


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client leaves first."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task, watch = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})  # its places in the queue are free from here on
            raise ClientLeft
        return task.result()
    finally:
        task.cancel()
        watch.cancel()


def _status(fault: str) -> Response:
    return error(503, fault, "unhealthy", "unhealthy") if fault else JSONResponse({"status": "ok"})


def _labels(response: Logged, raw: bool) -> list[dict[str, Any]]:
    return [{"score": math.log(max(s.score, 1e-38)) if raw else s.score, "label": s.label} for s in response.output]


def _headers(answer: Answer) -> dict[str, str]:
    times = {"tokenization": answer.tokenization_s, "queue": answer.queue_s, "inference": answer.inference_s}
    headers = {f"x-{name}-time": f"{seconds * 1000:.2f}" for name, seconds in times.items()}
    headers["x-total-time"] = f"{answer.responses[0].latency_ms:.2f}"
    headers["x-model-version"] = str(answer.lane.route.version)
    if answer.recorded:  # an id means that the answer is on record
        headers["x-response-ids"] = ",".join(response.id for response in answer.responses)
    return headers


def _feedback(record: Feedback) -> dict[str, Any]:
    return {name: value for name, value in asdict(record).items() if name in FeedbackOut.model_fields}


def _faults(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, fault: RequestValidationError) -> JSONResponse:
        return _invalid(fault, request.url.path == "/predict")

    @app.exception_handler(HTTPException)
    async def http(_: Request, fault: HTTPException) -> JSONResponse:
        return error(fault.status_code, str(fault.detail), "method_not_allowed" if fault.status_code == 405 else "invalid_request")

    @app.exception_handler(SapwoodError)
    async def ours(_: Request, fault: SapwoodError) -> JSONResponse:
        return said(fault)

    @app.exception_handler(SQLAlchemyError)
    async def database(_: Request, fault: SQLAlchemyError) -> JSONResponse:
        logger.error("the store's database failed: %s", fault)
        return error(503, "the store's database does not answer", "unhealthy", "unhealthy", retry_after=1)


def _invalid(fault: RequestValidationError, tei: bool) -> JSONResponse:
    """400 for what is no JSON; else 422 on the TEI-shaped route, 400 elsewhere. Never repeats the input."""
    first = fault.errors()[0]
    if first["type"] == "json_invalid":
        return error(400, "the body is not JSON", "invalid_json")
    place = ".".join(str(part) for part in first["loc"] if part not in TAGS)
    return error(422 if tei else 400, f"{place or 'body'}: {first['msg']}", "invalid_request", param=place or None)


def said(fault: SapwoodError) -> JSONResponse:
    """Our errors in HTTP's words."""
    message = f"{fault.what}; {fault.next_step}" if fault.next_step else fault.what
    match fault:
        case TooLong():
            return error(422, message, "context_length_exceeded", param="inputs")
        case InputError():
            return error(400, message, "invalid_request")
        case Overloaded():
            return error(429, message, "overloaded", "overloaded", retry_after=fault.retry_after_s)
        case OverQuota():
            return error(429, message, "quota_exceeded", "rate_limit_error", retry_after=fault.retry_after_s)
        case Conflict():
            return error(409, message, "idempotency_conflict")
        case NotFound():
            return error(404, message, "not_found")
        case Refused() | StoreError() | ResourceError():
            logger.error("%s", fault)
            return error(503, message, "unhealthy", "unhealthy", retry_after=1)
    logger.error("%s", fault)
    return error(500, message, "internal_error", "server_error")
