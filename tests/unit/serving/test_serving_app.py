"""What the endpoints say: shapes of TEI and OpenAI, and every fault in one shape."""

import asyncio
import json
import math

import httpx
import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from sapwood.serving.app import make_app
from sapwood.serving.batcher import Limits
from sapwood.serving.gateway import Gateway
from sapwood.serving.keys import SCOPES, Doorman, new_key
from sapwood.watching import tables
from sapwood.watching.feedback import FeedbackLog
from sapwood.watching.log import ResponseLog


class Served:
    def __init__(self, board, kept=True, limits=Limits()):
        database = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        tables.metadata.create_all(database)
        key, self.secret = new_key("test", list(SCOPES))
        plain, self.plain = new_key("test", ["infer:predict", "feedback:write"])
        self.gateway = Gateway("letters", board.plan(), ResponseLog(database) if kept else None, limits)
        self.gateway.start()
        feedback = FeedbackLog(database, quota=2) if kept else None
        self.app = make_app(self.gateway, Doorman(lambda: [key, plain]), feedback)

    async def go(self, method, path, secret=None, **more):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://gateway") as http:
            headers = {"authorization": f"Bearer {secret or self.secret}"} | more.pop("headers", {})
            return await http.request(method, path, headers=headers, **more)

    def ask(self, method, path, secret=None, **more):
        return asyncio.run(self.go(method, path, secret, **more))

    def predict(self, inputs, **more):
        return self.ask("POST", "/predict", json={"inputs": inputs} | more)


@pytest.fixture
def served(board):
    made = Served(board)
    yield made
    made.gateway.close(1)


def fault(reply):
    body = reply.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return reply.status_code, body["error"]["code"]


def test_one_text_gives_a_sorted_list_and_many_a_list_of_them(served):
    one = served.predict("ooox").json()
    assert [row["label"] for row in one] == ["positive", "negative"]
    assert sum(row["score"] for row in one) == pytest.approx(1)
    many = served.predict(["ooox", "xxx"]).json()
    assert many[0] == one
    assert many[1][0]["label"] == "negative"
    assert served.predict(["ooox"]).json() == [one]


def test_headers_say_who_answered_and_how_long_it_took(served):
    reply = served.predict(["o", "x"])
    ids = reply.headers["x-response-ids"].split(",")
    assert len(set(ids)) == 2
    assert reply.headers["x-model-version"] == "1"
    for name in ("tokenization", "queue", "inference", "total"):
        assert float(reply.headers[f"x-{name}-time"]) >= 0


def test_raw_scores_are_logits_less_a_constant(served):
    plain, raw = served.predict("ooox").json(), served.predict("ooox", raw_scores=True).json()
    assert [row["score"] for row in raw] == pytest.approx([math.log(row["score"]) for row in plain])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "inputs"),
        ({"inputs": ""}, "inputs"),
        ({"inputs": []}, "inputs"),
        ({"inputs": ["o", ""]}, "inputs.1"),
        ({"inputs": ["o", 3]}, "inputs.1"),
        ({"inputs": [["o", "x"]]}, "inputs.0"),
        ({"inputs": None}, "inputs"),
        ({"inputs": ["o"] * 257}, "inputs"),
        ({"inputs": "o", "trunkate": True}, "trunkate"),
        ({"inputs": "o", "truncate": "perhaps"}, "truncate"),
        ([], None),
        ("o", None),
        (None, None),
    ],
)
def test_a_body_of_another_shape_is_422_and_names_the_place(served, body, param):
    reply = served.ask("POST", "/predict", json=body)
    assert fault(reply) == (422, "invalid_request")
    assert reply.json()["error"]["param"] == param


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"nan", b"[" * 100_000, b'{"inputs": "o"} x', b'{"inputs": "\\ud800"}'])
def test_what_is_not_json_never_breaks_the_server(served, body):
    reply = served.ask("POST", "/predict", content=body, headers={"content-type": "application/json"})
    assert fault(reply)[0] in (400, 422)


def test_256_inputs_are_answered_together(served):
    reply = served.predict([f"{i} o" for i in range(256)])
    assert len(reply.json()) == 256
    assert len(reply.headers["x-response-ids"].split(",")) == 256
    assert len(reply.headers["x-response-ids"]) < 8000


def test_over_long_input_is_refused_not_cut(served):
    reply = served.predict("o" * 63)
    assert fault(reply) == (422, "context_length_exceeded")
    assert "65 tokens" in reply.json()["error"]["message"]
    assert served.predict("o" * 63, truncate=True).status_code == 200
    assert served.predict("o" * 62).status_code == 200


def test_a_session_stays_on_its_version_and_must_be_plain(served):
    reply = served.ask("POST", "/predict", json={"inputs": "o"}, headers={"x-session-id": "s-1"})
    record = served.ask("GET", f"/v1/responses/{reply.headers['x-response-ids']}").json()
    assert record["session_id"] == "s-1"
    assert fault(served.ask("POST", "/predict", json={"inputs": "o"}, headers={"x-session-id": "a b"})) == (400, "invalid_request")


def test_a_full_queue_is_429_and_says_when(board):
    served = Served(board, limits=Limits(waiting=2))
    engine = board.engines[1]

    async def story():
        engine.going.clear()
        waiting = [asyncio.create_task(served.go("POST", "/predict", json={"inputs": "o"}))]
        while served.gateway.loaded.lanes[1].batcher.running == 0:
            await asyncio.sleep(0.001)
        waiting += [asyncio.create_task(served.go("POST", "/predict", json={"inputs": "o"})) for _ in range(2)]
        while served.gateway.waiting < 2:
            await asyncio.sleep(0.001)
        refused = await served.go("POST", "/predict", json={"inputs": "o"})
        ready = await served.go("GET", "/readyz")
        engine.going.set()
        return refused, ready, [(await task).status_code for task in waiting]

    refused, ready, rest = asyncio.run(story())
    assert fault(refused) == (429, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    assert ready.status_code == 503
    assert rest == [200, 200, 200]
    assert b'sapwood_request_rejected_total{model="letters",reason="overloaded"} 1.0' in served.gateway.metrics.page()
    served.gateway.close(1)


def test_a_client_that_leaves_is_noticed_and_its_place_is_free(served, board):
    engine = board.engines[1]
    body = json.dumps({"inputs": "o"}).encode()
    scope = {"type": "http", "method": "POST", "path": "/predict", "raw_path": b"/predict", "query_string": b"", "http_version": "1.1"}
    headers = [(b"authorization", f"Bearer {served.secret}".encode()), (b"content-type", b"application/json")]

    async def story():
        engine.going.clear()
        held = asyncio.create_task(served.go("POST", "/predict", json={"inputs": "held"}))
        while served.gateway.loaded.lanes[1].batcher.running == 0:
            await asyncio.sleep(0.001)
        messages, sent = [{"type": "http.disconnect"}, {"type": "http.request", "body": body, "more_body": False}], []

        async def receive():
            if len(messages) == 1:
                while served.gateway.waiting < 1:
                    await asyncio.sleep(0.001)
            return messages.pop()

        async def send(message):
            sent.append(message)

        await served.app(
            scope | {"headers": headers, "client": ("10.0.0.1", 1), "server": ("gateway", 80), "scheme": "http"}, receive, send
        )
        engine.going.set()
        await held
        return sent[0]["status"]

    assert asyncio.run(story()) == 499
    assert engine.batches == [["held"]]
    assert b'sapwood_request_aborted_total{model="letters"} 1.0' in served.gateway.metrics.page()


def test_a_broken_engine_is_our_fault_and_the_next_request_is_fine(served):
    assert fault(served.predict("explode")) == (500, "internal_error")
    assert served.predict("o").status_code == 200


def test_an_answer_can_be_read_back_masked(served):
    identifier = served.predict("o 13812345678").headers["x-response-ids"]
    record = served.ask("GET", f"/v1/responses/{identifier}").json()
    assert record["text"] == "o <PHONE_NUMBER>"
    assert record["masked"] == {"PHONE_NUMBER": 1}
    assert record["output"][0]["label"] == "positive"
    assert len(record["bundle"]) == len(record["model_digest"]) == 64
    assert fault(served.ask("GET", "/v1/responses/resp-none")) == (404, "not_found")


def test_feedback_is_stored_once_and_its_trust_comes_from_the_key(served):
    first, second = served.predict(["o", "x"]).headers["x-response-ids"].split(",")
    body = {"id": "f1", "response_id": first, "correction": "negative"}
    one = served.ask("POST", "/v1/feedback", json=body, secret=served.plain)
    assert one.json()["trusted"] is False
    assert one.json()["model_version"] == 1
    assert served.ask("POST", "/v1/feedback", json=body, secret=served.plain).json() == one.json()
    assert fault(served.ask("POST", "/v1/feedback", json=body | {"correction": "positive"}, secret=served.plain)) == (
        409,
        "idempotency_conflict",
    )
    many = served.ask("POST", "/v1/feedback", json=[{"id": "f2", "response_id": second, "correction": "positive"}])
    assert many.json()[0]["trusted"] is True
    assert served.ask("GET", "/v1/feedback/f1").json() == one.json()
    assert fault(served.ask("GET", "/v1/feedback/none")) == (404, "not_found")
    page = served.ask("GET", "/metrics").text
    assert 'sapwood_feedback_total{kind="CATEGORICAL",model="letters",value="positive"} 1.0' in page


def test_feedback_that_cannot_be_taken_says_why(served):
    identifier = served.predict("o").headers["x-response-ids"]
    send = lambda body: served.ask("POST", "/v1/feedback", json=body)  # noqa: E731
    good = {"response_id": identifier, "correction": "negative"}
    assert fault(send(good | {"correction": "blue"})) == (400, "invalid_request")
    assert fault(send(good | {"response_id": "resp-none"})) == (404, "not_found")
    assert fault(send({"correction": "negative"})) == (400, "invalid_request")
    assert fault(send([])) == (400, "invalid_request")
    assert fault(send([good] * 257)) == (400, "invalid_request")
    reply = send([good] * 3)
    assert fault(reply) == (429, "quota_exceeded")
    assert int(reply.headers["retry-after"]) > 0


def test_a_gateway_of_a_folder_keeps_nothing_and_says_so(board):
    served = Served(board, kept=False)
    assert "x-response-ids" not in served.predict("o").headers
    assert fault(served.ask("POST", "/v1/feedback", json={"response_id": "a", "correction": "b"})) == (404, "not_found")
    assert fault(served.ask("GET", "/v1/responses/a")) == (404, "not_found")
    served.gateway.close(1)


def test_info_and_models_show_what_is_loaded(served, board):
    info = served.ask("GET", "/info").json()
    route = board.now.routes[0]
    assert (info["name"], info["revision"], info["acknowledged"], info["refusals"], info["following"]) == ("letters", 1, 1, [], "ok")
    assert info["routes"][0]["bundle"] == route.bundle
    [model] = served.ask("GET", "/v1/models").json()["data"]
    assert (model["id"], model["object"], model["root"], model["max_model_len"]) == ("letters@1", "model", route.bundle, 64)


def test_the_metrics_carry_the_agreed_names(served):
    served.predict(["o", "x"])
    page = served.ask("GET", "/metrics").text
    for name in (
        "sapwood_num_requests_running",
        "sapwood_num_requests_waiting",
        "sapwood_prompt_tokens_total",
        'sapwood_request_success_total{finished_reason="stop"',
        "sapwood_request_rejected_total",
        "sapwood_request_aborted_total",
        "sapwood_request_prompt_tokens_bucket",
        "sapwood_e2e_request_latency_seconds_bucket",
        "sapwood_request_queue_time_seconds_bucket",
        "sapwood_batch_size_bucket",
        "sapwood_batch_tokens_bucket",
        "sapwood_pii_entities_total",
        "sapwood_feedback_total",
        "http_requests_total",
        "http_request_duration_seconds_bucket",
    ):
        assert name in page, name


def test_health_follows_the_gateway(served):
    assert [served.ask("GET", path).status_code for path in ("/livez", "/readyz", "/health", "/startupz")] == [200] * 4
    served.gateway.draining = True
    assert fault(served.ask("GET", "/readyz")) == (503, "unhealthy")
    assert served.ask("GET", "/livez").status_code == 200
    assert fault(served.predict("o")) == (503, "unhealthy")


def test_the_wrong_method_is_405(served):
    assert fault(served.ask("GET", "/predict")) == (405, "method_not_allowed")
    assert fault(served.ask("DELETE", "/v1/feedback")) == (405, "method_not_allowed")


def test_the_openapi_page_names_every_path(served):
    body = served.ask("GET", "/openapi.json").json()
    assert {"/predict", "/v1/feedback", "/v1/feedback/{identifier}", "/v1/responses/{identifier}", "/info", "/metrics"} <= set(
        body["paths"]
    )
    assert "256" in json.dumps(body["components"]["schemas"]["PredictIn"])
