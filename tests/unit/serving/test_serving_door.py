"""Deny by default: every route of the app is walked, and nothing but health opens without a key."""

import asyncio
import json

import httpx
import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from sapwood.serving import door
from sapwood.serving.app import make_app
from sapwood.serving.gateway import Gateway
from sapwood.serving.keys import SCOPES, Doorman, new_key
from sapwood.watching import tables
from sapwood.watching.feedback import FeedbackLog
from sapwood.watching.log import ResponseLog

PUBLIC = {"/livez", "/readyz", "/startupz", "/health"}


class House:
    """A gateway over HTTP without a socket. `ask(method, path, key)`."""

    def __init__(self, board, **app):
        database = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        tables.metadata.create_all(database)
        self.keys = {scope: new_key("test", [scope]) for scope in SCOPES}
        self.keys["all"] = new_key("test", list(SCOPES))
        self.keys["slow"] = new_key("test", ["infer:predict"], rpm_limit=1)
        self.gateway = Gateway("letters", board.plan(), ResponseLog(database))
        self.gateway.start()
        given = {"doorman": Doorman(lambda: [key for key, _ in self.keys.values()]), "feedback": FeedbackLog(database)} | app
        self.app = make_app(self.gateway, **given)

    def ask(self, method, path, key="all", client="127.0.0.1", host="127.0.0.1:80", headers=None, **more):
        secret = {"authorization": f"Bearer {self.keys[key][1]}"} if key else {}

        async def go():
            transport = httpx.ASGITransport(self.app, client=(client, 1))
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as http:
                return await http.request(method, path, headers=secret | (headers or {}), **more)

        return asyncio.run(go())

    def routes(self):
        found = [(route.path, method) for route in self.app.routes for method in sorted(route.methods or ())]
        assert len(found) >= 12
        return found


@pytest.fixture
def house(board):
    made = House(board)
    yield made
    made.gateway.close(1)


def filled(path):
    return path.replace("{identifier}", "x")


def test_every_route_is_in_the_table_and_every_line_of_the_table_is_a_route(house):
    assert {path for path, _ in house.routes()} == set(door.RULES)


def test_without_a_key_only_health_answers(house):
    for path, method in house.routes():
        status = house.ask(method, filled(path), key=None).status_code
        assert (status != 401) == (path in PUBLIC), (method, path, status)


@pytest.mark.parametrize("header", ["Bearer sw-wrong", "Bearer ", "Bearer", "Basic c3c6", "", "sw-wrong", "Bearer " + "x" * 5000])
def test_a_wrong_secret_is_no_key(house, header):
    for path, method in house.routes():
        if path not in PUBLIC:
            reply = house.ask(method, filled(path), key=None, headers={"authorization": header})
            assert reply.status_code == 401
            assert method == "HEAD" or reply.json()["error"]["code"] == "invalid_api_key"
            assert reply.headers["www-authenticate"] == "Bearer"


def test_a_key_opens_what_its_scope_names_and_nothing_else(house):
    for path, method in house.routes():
        wanted = door.RULES[path]
        for scope in SCOPES:
            status = house.ask(method, filled(path), key=scope).status_code
            opened = wanted in (door.PUBLIC, door.ANY_KEY, scope)
            assert (status != 403) == opened, (method, path, scope, status)


def test_a_route_that_is_not_in_the_table_stays_shut(house):
    @house.app.get("/v1/secret")
    async def secret():
        return "oops"

    assert house.ask("GET", "/v1/secret").status_code == 404
    assert house.ask("GET", "/v1/secret", key=None).status_code == 401


@pytest.mark.parametrize("path", ["/nothing", "/docs", "/redoc", "/livez/", "//livez", "/LIVEZ", "/v1/feedback/a/b"])
def test_unknown_paths_tell_strangers_nothing(house, path):
    assert house.ask("GET", path, key=None).status_code == 401
    assert house.ask("GET", path).status_code == 404


def test_without_a_doorman_nothing_is_open(board):
    house = House(board, doorman=None)
    assert house.ask("POST", "/predict", json={"inputs": "o"}).status_code == 401
    house.gateway.close(1)


def test_open_on_loopback_answers_this_machine_by_its_own_name_only(board):
    house = House(board, doorman=None, open_on_loopback=True)
    body = {"inputs": "o"}
    for host in ("127.0.0.1:8000", "localhost", "[::1]:8000"):
        assert house.ask("POST", "/predict", key=None, json=body, host=host).status_code == 200
    for client, host in (("10.0.0.7", "127.0.0.1"), ("127.0.0.1", "evil.example"), ("127.0.0.1", "127.0.0.1.evil.example")):
        assert house.ask("POST", "/predict", key=None, json=body, client=client, host=host).status_code == 403
    house.gateway.close(1)


def test_a_key_is_limited_by_the_minute(house):
    first, second = (house.ask("POST", "/predict", key="slow", json={"inputs": "o"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 429)
    assert 1 <= int(second.headers["retry-after"]) <= 60
    assert b'sapwood_ratelimit_rejections_total{limit="rpm",model="letters"} 1.0' in house.gateway.metrics.page()


def test_a_body_that_is_too_large_is_not_read(house):
    big = b'{"inputs": "' + b"o" * door.MAX_BODY + b'"}'
    headers = {"content-type": "application/json"}
    assert house.ask("POST", "/predict", content=big, headers=headers).status_code == 413

    async def pieces():
        for start in range(0, len(big), 1 << 16):
            yield big[start : start + (1 << 16)]

    reply = house.ask("POST", "/predict", content=pieces(), headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonx"])
def test_a_body_that_is_not_declared_json_is_415(house, kind):
    reply = house.ask("POST", "/predict", content=b'{"inputs": "o"}', headers={"content-type": kind})
    assert (reply.status_code, reply.json()["error"]["code"]) == (415, "unsupported_media_type")


def test_a_charset_does_no_harm(house):
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert house.ask("POST", "/predict", content=json.dumps({"inputs": "好"}).encode(), headers=headers).status_code == 200


def test_request_ids_are_echoed_when_they_are_plain(house):
    assert house.ask("GET", "/livez", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    for bad in ("has space", "x" * 129, "a,b", ""):
        assert house.ask("GET", "/livez", headers={"x-request-id": bad}).headers["x-request-id"].startswith("req-")


def test_requests_are_counted_by_template_never_by_path(house):
    house.ask("GET", "/v1/responses/some-private-id")
    house.ask("GET", "/wp-admin.php", key=None)
    page = house.ask("GET", "/metrics").text
    assert 'http_requests_total{handler="/v1/responses/{identifier}",method="GET",status="404"} 1.0' in page
    assert 'http_requests_total{handler="unknown",method="GET",status="401"} 1.0' in page
    assert "private" not in page


def test_a_fault_of_ours_is_500_without_its_text(house):
    async def broken(*_, **__):
        raise RuntimeError("the password is 1234")

    house.gateway.answer = broken
    reply = house.ask("POST", "/predict", json={"inputs": "o"})
    assert reply.status_code == 500
    assert "1234" not in reply.text
    assert reply.headers["x-request-id"] in reply.json()["error"]["message"]


def test_a_socket_that_wants_more_than_http_is_closed(house):
    sent = []

    async def go():
        async def send(message):
            sent.append(message)

        await door.Door(house.app, None, house.gateway.metrics)({"type": "websocket", "path": "/predict"}, None, send)

    asyncio.run(go())
    assert sent == [{"type": "websocket.close", "code": 1008}]
