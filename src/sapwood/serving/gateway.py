"""The gateway's state: what is loaded, who answers, and the change from one revision to the next without loss.

A thread follows the deployment record. A new revision is loaded and warmed beside the old one, then takes its place in
one assignment, and the old engines answer what they already hold. A revision loads whole or not at all: when a check
refuses it, the old one stays, and `refusals` says why. Engines that stay (same bundle) are kept, though checked again.

Not done here: no shadow traffic, no memory check before two engines are held at once.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from sapwood.errors import InputError, NotFound, Refused, SapwoodError
from sapwood.serving import deployment as deployments
from sapwood.serving.batcher import Batcher, Closed, Job, Limits, Overloaded
from sapwood.serving.deployment import Deployment, Engine, Route
from sapwood.serving.metrics import Metrics
from sapwood.serving.recorder import Recorder
from sapwood.watching.log import Response, ResponseLog, Scored, response_id

RETRY_S = 10.0
INLINE_CHARS = 4_000
"""Texts up to this long in all are tokenised on the event loop (well under 1 ms); longer ones in a thread."""
logger = logging.getLogger("sapwood.gateway")


class TooLong(InputError):
    """An input has more tokens than the model reads."""


@dataclass(frozen=True)
class Plan:
    """Where deployments come from and how they are opened. `open_route` checks and opens one route, or raises."""

    follow: Callable[[], Deployment | None]
    acknowledge: Callable[[int], None]
    open_route: Callable[[Route], Engine]
    check_route: Callable[[Route], None]
    poll_s: float = 0.5


def plan(
    follow: Callable[[], Deployment | None], acknowledge: Callable[[int], None], pinned_key: str, threads: int = 0, poll_s: float = 0.5
) -> Plan:
    """The plan of a real gateway: every route passes `deployment.check` under the pinned key."""
    return Plan(
        follow,
        acknowledge,
        lambda route: deployments.load(route, pinned_key, threads),
        lambda route: deployments.check(route, pinned_key),
        min(poll_s, 2.0),
    )


@dataclass(frozen=True)
class Lane:
    """One route with its engine and queue."""

    route: Route
    engine: Engine
    batcher: Batcher


@dataclass(frozen=True)
class Loaded:
    """A revision that answers."""

    deployment: Deployment
    lanes: dict[int, Lane]
    since: float


@dataclass(frozen=True)
class Answer:
    """What one request got. Times in seconds."""

    responses: list[Response]
    recorded: bool
    lane: Lane
    tokens: int
    tokenization_s: float
    queue_s: float
    inference_s: float


@dataclass
class Problems:
    """What an operator should know: refused revisions (newest last) and the last fault of following."""

    refusals: list[dict[str, object]] = field(default_factory=list)
    following: str = ""

    def refuse(self, revision: int, fault: Exception) -> None:
        what = fault.what if isinstance(fault, SapwoodError) else f"{type(fault).__name__}: {fault}"
        entry: dict[str, object] = {"revision": revision, "reason": what, "at": time.time()}
        self.refusals = [*[old for old in self.refusals if old["revision"] != revision][-9:], entry]


class Gateway:
    """Follows a plan and answers. `start` loads the first revision or raises; `close` drains."""

    def __init__(self, name: str, plan: Plan, log: ResponseLog | None = None, limits: Limits = Limits()) -> None:
        self.name = name
        self.plan = plan
        self.limits = limits
        self.metrics = Metrics(name)
        self.problems = Problems()
        self.acknowledged = 0
        self.draining = False
        self.every_poll: list[Callable[[], None]] = []
        self.recorder = Recorder(log) if log is not None else None
        self._loaded: Loaded | None = None
        self._refused: dict[int, float] = {}
        self._stop = threading.Event()
        self._follower = threading.Thread(target=self._follow_on, name="follower", daemon=True)
        self.metrics.running.labels(name).set_function(lambda: float(sum(lane.batcher.running for lane in self._lanes())))
        self.metrics.waiting.labels(name).set_function(lambda: float(self.waiting))

    @property
    def loaded(self) -> Loaded | None:
        return self._loaded

    @property
    def waiting(self) -> int:
        """Texts in all queues."""
        return sum(lane.batcher.waiting for lane in self._lanes())

    def ready(self) -> str:
        """Empty when requests can be answered, else why not."""
        if self.draining:
            return "draining"
        if self._loaded is None:
            return "no revision is loaded"
        if any(lane.batcher.waiting * 10 >= self.limits.waiting * 9 for lane in self._lanes()):
            return "the queue is full"
        if self.recorder is not None and not self.recorder.healthy():
            return "the response log could not be written"
        return ""

    def start(self) -> None:
        """Load the deployment of now, then follow. Raises `NotFound` (nothing deployed) or what the load raised."""
        wanted = self.plan.follow()
        if wanted is None:
            raise NotFound(f"nothing is deployed under {self.name!r}", "run a recipe with a deploy step")
        self._swap(wanted)
        self._acknowledge()
        self._follower.start()

    def poll(self) -> None:
        """Look at the deployment record once and load it if it is new."""
        try:
            wanted = self.plan.follow()
            self.problems.following = ""
            if wanted is not None and self._is_new(wanted):
                self._try(wanted)
            self._acknowledge()
            for act in self.every_poll:
                act()
        except Exception as fault:  # a database that is away must not end the watch; /info shows it
            if str(fault) != self.problems.following:
                logger.error("following %s failed: %s", self.name, fault)
            self.problems.following = str(fault)

    async def answer(self, texts: Sequence[str], who: str, key_id: str = "", session_id: str = "", truncate: bool = False) -> Answer:
        """Answer and record. `who` decides the route (a session or request id). Cancelling frees the queue's places.

        Errors: `TooLong`, `Overloaded`, `Refused` (draining).
        """
        began = time.monotonic()
        while True:
            loaded = self._loaded
            if loaded is None or self.draining:
                raise Refused("the gateway is not taking requests", "try another gateway, or again in a moment")
            lane = loaded.lanes[loaded.deployment.pick(who).version]
            tokens = await _count(lane.engine, texts, truncate)
            counted = time.monotonic()
            try:
                job = lane.batcher.submit(texts, tokens)
            except Closed:  # it was replaced since we picked it: pick again
                continue
            except Overloaded:
                self.metrics.rejected.labels(self.name, "overloaded").inc()
                raise
            break
        done = await asyncio.wrap_future(job.future)
        responses = _responses(job, done.probs, lane, loaded, (time.monotonic() - began) * 1000, (key_id, session_id))
        if self.recorder is not None:
            responses = await asyncio.wrap_future(self.recorder.keep(responses))
        answer = Answer(responses, self.recorder is not None, lane, sum(tokens), counted - began, done.queue_s, done.inference_s)
        self._measure(answer, time.monotonic() - began)
        return answer

    def close(self, wait_s: float = 4.0) -> None:
        """Stop following, answer what waits, write what is not written."""
        self.draining = True
        self._stop.set()
        end = time.monotonic() + wait_s
        for lane in self._lanes():
            if not lane.batcher.close(max(0.1, end - time.monotonic())):
                logger.error("version %d still answers after %.1f s", lane.route.version, wait_s)
        if self.recorder is not None and not self.recorder.close(max(0.1, end - time.monotonic())):
            logger.error("the response log is still being written after %.1f s", wait_s)

    def _lanes(self) -> list[Lane]:
        """One lane a bundle: two routes of one bundle share its queue."""
        return list({lane.route.bundle: lane for lane in self._loaded.lanes.values()}.values()) if self._loaded else []

    def _follow_on(self) -> None:
        while not self._stop.wait(self.plan.poll_s):
            self.poll()

    def _is_new(self, wanted: Deployment) -> bool:
        """Newer than what is loaded, and not refused (a fault that is no refusal is tried again after a while)."""
        current = self._loaded.deployment.revision if self._loaded else 0
        if wanted.revision < current:
            self.problems.refuse(wanted.revision, StepBack(wanted.revision, current))
        return wanted.revision > current and time.monotonic() >= self._refused.get(wanted.revision, 0)

    def _try(self, wanted: Deployment) -> None:
        try:
            self._swap(wanted)
        except Exception as fault:  # the old revision goes on whatever the new one does
            again = float("inf") if isinstance(fault, Refused) else time.monotonic() + RETRY_S
            self._refused[wanted.revision] = again
            self.problems.refuse(wanted.revision, fault)
            logger.error("revision %d of %s is refused, the old one goes on: %s", wanted.revision, self.name, fault)

    def _swap(self, wanted: Deployment) -> None:
        old = {lane.route.bundle: lane for lane in self._lanes()}
        engines = {route.bundle: self._engine(route, old.get(route.bundle)) for route in wanted.routes}  # all of them, or none
        queues = {
            bundle: old[bundle].batcher if bundle in old else Batcher(engine, self.limits, self.metrics.batch)
            for bundle, engine in engines.items()
        }
        lanes = {route.version: Lane(route, engines[route.bundle], queues[route.bundle]) for route in wanted.routes}
        self._loaded = Loaded(wanted, lanes, time.time())
        self.metrics.revision.labels(self.name).set(wanted.revision)
        logger.info("revision %d of %s answers", wanted.revision, self.name)
        for lane in old.values():
            if lane.route.bundle not in queues:
                threading.Thread(target=lane.batcher.close, args=(60.0,), name="drain", daemon=True).start()

    def _engine(self, route: Route, old: Lane | None) -> Engine:
        if old is not None:
            self.plan.check_route(route)
            return old.engine
        engine = self.plan.open_route(route)
        engine.warm()
        return engine

    def _acknowledge(self) -> None:
        if self._loaded is not None and self._loaded.deployment.revision != self.acknowledged:
            self.plan.acknowledge(self._loaded.deployment.revision)
            self.acknowledged = self._loaded.deployment.revision

    def _measure(self, answer: Answer, took_s: float) -> None:
        self.metrics.latency.labels(self.name).observe(took_s)
        self.metrics.queue_time.labels(self.name).observe(answer.queue_s)
        self.metrics.inference_time.labels(self.name).observe(answer.inference_s)
        self.metrics.tokens.labels(self.name).observe(answer.tokens)
        self.metrics.prompt_tokens.labels(self.name).inc(answer.tokens)
        self.metrics.succeeded.labels(self.name, "stop").inc()
        for response in answer.responses:
            for kind, count in response.masked.items():
                self.metrics.pii.labels(self.name, kind, "masked").inc(count)


class StepBack(Refused):
    """The record shows an older revision than the one that is loaded."""

    def __init__(self, found: int, loaded: int) -> None:
        super().__init__(f"the record went back to revision {found} while {loaded} is loaded", "start the gateway again if that was meant")


async def _count(engine: Engine, texts: Sequence[str], truncate: bool) -> list[int]:
    """Tokens the engine will read of each text. Raises `TooLong` unless cutting was asked for."""
    if sum(map(len, texts)) <= INLINE_CHARS:
        counted = engine.count_tokens(texts)
    else:
        counted = await asyncio.to_thread(engine.count_tokens, texts)
    tokens = [int(n) for n in counted]
    longest = max(range(len(tokens)), key=tokens.__getitem__)
    if tokens[longest] > engine.card.max_tokens and not truncate:
        raise TooLong(
            f"input {longest} has {tokens[longest]} tokens, this model reads {engine.card.max_tokens}",
            'shorten it, or send "truncate": true',
        )
    return [min(n, engine.card.max_tokens) for n in tokens]


def _responses(job: Job, probs: np.ndarray, lane: Lane, loaded: Loaded, latency_ms: float, who: tuple[str, str]) -> list[Response]:
    """One response a text; labels best first, equal scores in the model's own order."""
    now = time.time()
    labels = list(lane.engine.labels)
    route = lane.route
    made = []
    for text, row in zip(job.texts, probs, strict=True):
        order = np.argsort(-row, kind="stable")
        output = tuple(Scored(labels[i], float(row[i])) for i in order)
        made.append(
            Response(
                id=response_id(),
                created=now,
                model=loaded.deployment.name,
                version=route.version,
                revision=loaded.deployment.revision,
                bundle=route.bundle,
                model_digest=route.model,
                text=text,
                output=output,
                latency_ms=latency_ms,
                key_id=who[0],
                session_id=who[1],
            )
        )
    return made
