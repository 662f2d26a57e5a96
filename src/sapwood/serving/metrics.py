"""Prometheus metrics of one gateway. Labels are bounded: model name, route, status, reason; never a user, key or text.

Counts are of this process since it started. Time is monotonic.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384)


class Metrics:
    """Every metric, in a registry of its own, so that several gateways can live in one process."""

    def __init__(self, model: str) -> None:
        self.registry = CollectorRegistry()
        self.model = model
        self.running = self._gauge("sapwood_num_requests_running", "Texts in the engine")
        self.waiting = self._gauge("sapwood_num_requests_waiting", "Texts in the queue")
        self.revision = self._gauge("sapwood_deployment_revision", "Deployment revision that is loaded")
        self.prompt_tokens = self._counter("sapwood_prompt_tokens", "Tokens read")
        self.succeeded = self._counter("sapwood_request_success", "Requests answered", "finished_reason")
        self.rejected = self._counter("sapwood_request_rejected", "Requests refused", "reason")
        self.aborted = self._counter("sapwood_request_aborted", "Requests whose client left")
        self.tokens = self._histogram("sapwood_request_prompt_tokens", "Tokens of a request", TOKENS)
        self.latency = self._histogram("sapwood_e2e_request_latency_seconds", "From body read to answer ready", SECONDS)
        self.queue_time = self._histogram("sapwood_request_queue_time_seconds", "Waiting for the engine", SECONDS)
        self.inference_time = self._histogram("sapwood_request_inference_time_seconds", "In the engine", SECONDS)
        self.batch_size = self._histogram("sapwood_batch_size", "Texts in a batch", SIZES)
        self.batch_tokens = self._histogram("sapwood_batch_tokens", "Padded tokens in a batch", TOKENS)
        self.feedback = self._counter("sapwood_feedback", "Feedback records stored", "kind", "value")
        self.pii = self._counter("sapwood_pii_entities", "Personal data met", "type", "action")
        self.limited = self._counter("sapwood_ratelimit_rejections", "Requests over a limit", "limit")
        self.http = Counter("http_requests", "HTTP requests", ("handler", "method", "status"), registry=self.registry)
        self.http_time = Histogram(
            "http_request_duration_seconds", "HTTP time", ("handler", "method"), buckets=SECONDS, registry=self.registry
        )

    def page(self) -> bytes:
        """The text of /metrics."""
        return generate_latest(self.registry)

    def batch(self, texts: int, tokens: int) -> None:
        self.batch_size.labels(self.model).observe(texts)
        self.batch_tokens.labels(self.model).observe(tokens)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, ("model",), registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, ("model", *labels), registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, ("model",), buckets=buckets, registry=self.registry)
