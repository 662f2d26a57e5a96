"""Requests to a network that means harm: every way inside, and every way to tie the program up, is refused by name within its cap.

The servers are real sockets on loopback; only what the user's list names is let through to them.
"""

import gzip
import os
import subprocess
import sys
import time
import tracemalloc
import zlib
from pathlib import Path

import pytest

from sapwood.errors import InputError, NetworkError
from sapwood.outgoing.addresses import allowed
from sapwood.outgoing.request import Caps, Guard, request
from sapwood.testing.site import Page, site

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n"


@pytest.fixture
def web():
    with site({"/secret": Page("keys")}) as running:
        yield running


def good(web, **given) -> Guard:
    """Lets the test's own server through, as a host on the user's list."""
    return Guard(allow=allowed([f"127.0.0.1:{web.port}"]), **given)


INSIDE = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "017700000001", "0177.0.0.1", "0x7f000001", "0x7f.0x0.0x0.0x1", "0x7f.1",
    "127.0.0.1.", "0", "0.0.0.0", "localhost", "LOCALHOST.", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1]", "[fe80::1%25lo]", "[fd00::1]",
    "１２７.０.０.１", "①②⑦.⓪.⓪.①", "127。0。0。1", "ｌｏｃａｌｈｏｓｔ", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1",
    "169.254.169.254", "[::ffff:169.254.169.254]", "2852039166", "0xA9FEA9FE", "[fd00:ec2::254]", "224.0.0.1", "255.255.255.255",
    "good.example@127.0.0.1", "good.example:x@127.0.0.1", "127.0.0.1\\@good.example", "good.example\t@127.0.0.1", "127.0.0.1%00.example",
]  # fmt: skip


@pytest.mark.parametrize("host", INSIDE)
def test_no_spelling_of_an_inner_address_is_reached(host):
    with site({"/": Page("keys")}) as web, pytest.raises(InputError):
        request(Guard(ports=frozenset({web.port}), caps=Caps(seconds=10)), f"http://{host}:{web.port}/")
    assert web.asked == []


def test_the_inner_addresses_tried_are_as_many_as_before():
    assert len(set(INSIDE)) >= 45


@pytest.mark.parametrize("inner", ["http://127.0.0.1:PORT/secret", "//2130706433:PORT/secret", "http://[::ffff:7f00:1]:PORT/secret"])
def test_a_redirect_to_loopback_is_refused_on_the_hop(inner):
    with site({"/secret": Page("keys")}) as hidden, site() as web:
        web.routes["/"] = Page("", 302, {"location": inner.replace("PORT", str(hidden.port))})
        with pytest.raises(InputError, match="loopback"):
            request(good(web, ports=frozenset({hidden.port})), web.url())
    assert web.paths() == ["/"]
    assert hidden.asked == []


def test_a_redirect_to_another_scheme_or_port_is_refused(web):
    for to, why in (("file:///etc/passwd", "only http"), ("gopher://a.example/", "only http"), ("http://8.8.8.8:22/", "port 22")):
        web.routes["/"] = Page("", 302, {"location": to})
        with pytest.raises(InputError, match=why):
            request(good(web), web.url())


def test_a_name_that_changes_its_answer_after_the_check_gains_nothing(web):
    """Rebinding: the resolver says one thing first and another later. It is asked once a connection, and that answer is used."""
    answers = iter([["127.0.0.1"], ["10.0.0.1"], ["127.0.0.1"]])
    calls: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        calls.append(host)
        return next(answers)

    guard = good(web, resolve=resolve)
    url = web.url("/secret", host="rebinding.example")
    assert request(guard, url).body == b"keys"
    assert calls == ["rebinding.example"]
    with pytest.raises(InputError, match=r"rebinding\.example is at 10\.0\.0\.1, a private address"):
        request(guard, url)
    assert len(web.asked) == 1


def test_a_name_that_turns_inward_between_two_hops_is_refused():
    with site() as web:
        answers = iter([["127.0.0.1"], ["127.0.0.2"]])
        web.routes["/"] = Page("", 302, {"location": "/secret"})
        with pytest.raises(InputError, match=r"127\.0\.0\.2, a loopback address"):
            request(good(web, resolve=lambda host, port: next(answers)), web.url(host="a.example"))


@pytest.mark.parametrize("answers", [["8.8.8.8", "127.0.0.1"], ["2606:4700::1111", "::ffff:10.0.0.1"], ["fe80::1%2"]])
def test_one_inner_answer_among_public_ones_refuses_the_name(answers):
    with pytest.raises(InputError, match=r"loopback|private|link-local"):
        request(Guard(resolve=lambda host, port: answers), "http://mixed.example/")


def test_a_name_on_the_users_list_does_not_open_loopback_or_metadata():
    for address in ("127.0.0.1", "169.254.169.254"):
        guard = Guard(allow=allowed(["wiki.example"]), resolve=lambda host, port, at=address: [at])
        with pytest.raises(InputError, match=r"loopback|metadata"):
            request(guard, "http://wiki.example/")


def test_a_gzip_bomb_is_stopped_by_its_ratio_in_little_memory(web):
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    web.routes["/"] = Page(bomb, headers={"content-encoding": "gzip"})
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="over 100 times as many"):
            request(good(web), web.url())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 << 20


def test_a_gzip_body_past_the_cap_is_stopped_even_when_its_ratio_is_ordinary(web):
    import random

    body = random.Random(7).randbytes(3 << 19).hex().encode()
    web.routes["/"] = Page(gzip.compress(body), headers={"content-encoding": "gzip"})
    with pytest.raises(InputError, match="goes on past 2097152 bytes"):
        request(good(web, caps=Caps(body=2 << 20)), web.url())


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress"])
def test_an_encoding_that_was_not_asked_for_is_refused(web, encoding):
    web.routes["/"] = Page(b"x", headers={"content-encoding": encoding})
    with pytest.raises(InputError, match="not asked for"):
        request(good(web), web.url())


def test_damaged_and_cut_gzip_is_told(web):
    whole = gzip.compress(b"water " * 100)
    for body, why in ((b"no gzip", "damaged gzip"), (whole[:-9], "ends too early")):
        web.routes["/"] = Page(body, headers={"content-encoding": "gzip"})
        with pytest.raises(InputError, match=why):
            request(good(web), web.url())


def test_an_endless_body_is_cut_at_the_cap(web):
    def endless(write):
        write(HEAD + b"\r\n")
        while True:
            write(b"x" * 65536)

    web.routes["/"] = endless
    with pytest.raises(InputError, match="goes on past 1048576 bytes"):
        request(good(web, caps=Caps(body=1 << 20)), web.url())


def test_a_stated_length_past_the_cap_is_refused_before_the_body(web):
    web.routes["/"] = lambda write: write(HEAD + b"content-length: 99999999999\r\n\r\nx")
    with pytest.raises(InputError, match="the body has 99999999999 bytes"):
        request(good(web), web.url())


def drip(write, first: bytes = b"") -> None:
    write(first)
    while True:
        write(b"x")
        time.sleep(0.05)


@pytest.mark.parametrize("first", [b"", HEAD, HEAD + b"\r\n", HEAD + b"content-length: 1000000\r\n\r\n"])
def test_a_byte_now_and_then_does_not_outlast_the_total_time(web, first):
    web.routes["/"] = lambda write: drip(write, first)
    began = time.monotonic()
    with pytest.raises(NetworkError, match=r"not finished within 0\.5 s"):
        request(good(web, caps=Caps(seconds=0.5)), web.url())
    assert time.monotonic() - began < 3


def test_redirects_share_one_time_limit(web):
    def slow(write):
        time.sleep(0.3)
        write(b"HTTP/1.1 302 X\r\nlocation: /" + str(time.monotonic_ns()).encode() + b"\r\ncontent-length: 0\r\n\r\n")

    class Everywhere(dict):
        def get(self, path, other=None):
            return slow

    web.routes = Everywhere()
    with pytest.raises(NetworkError, match="not finished within 1 s"):
        request(good(web, caps=Caps(seconds=1, redirects=50)), web.url())


def test_a_resolver_that_hangs_is_given_up():
    guard = Guard(caps=Caps(seconds=0.3), resolve=lambda host, port: time.sleep(5) or [])
    with pytest.raises(NetworkError, match=r"not finished within 0\.3 s"):
        request(guard, "http://slow.example/")


def test_a_redirect_loop_and_a_long_chain_are_refused(web):
    web.routes.update({"/a": Page("", 302, {"location": "/b"}), "/b": Page("", 302, {"location": "/a"})})
    with pytest.raises(InputError, match="circle"):
        request(good(web), web.url("/a"))
    web.routes.update({f"/{n}": Page("", 302, {"location": f"/{n + 1}"}) for n in range(20)})
    with pytest.raises(InputError, match="more than 5 redirects"):
        request(good(web), web.url("/0"))
    assert web.paths()[2:] == [f"/{n}" for n in range(6)]


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 300_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"\x00\xff" * 100,
    ],
)
def test_what_is_no_http_is_one_clear_fault(web, reply):
    web.routes["/"] = lambda write: write(reply)
    with pytest.raises(NetworkError, match="no answer"):
        request(good(web), web.url())


def test_headers_cannot_be_smuggled_in_by_a_caller(web):
    with pytest.raises(NetworkError, match="no answer"):
        request(good(web), web.url("/secret"), {"if-none-match": "x\r\nx-evil: 1"})
    assert web.asked == []


# --------------------------------------------------------------------------- through the real command


def sapwood_run(workspace: Path, *sources: str) -> subprocess.CompletedProcess[str]:
    lines = "".join(f"\n      - {source}" for source in sources)
    (workspace / "r.yaml").write_text(f"name: web\nstages:\n  texts:\n    stage: collect\n    sources:{lines}\n")
    command = [sys.executable, "-m", "sapwood.cli.main", "run", "r.yaml", "--store", "store"]
    environment = {**os.environ, "SAPWOOD_CACHE": str(workspace / "cache")}
    return subprocess.run(command, cwd=workspace, env=environment, capture_output=True, text=True, timeout=300)


def test_a_recipe_with_a_disguised_inner_address_is_refused_in_the_plan(tmp_path):
    done = sapwood_run(tmp_path, '{kind: web, name: w, urls: ["http://2130706433/"]}', '{kind: feed, name: f, url: "http://u@a.example/"}')
    assert done.returncode == 3, done.stderr
    assert "2130706433 is another spelling of 127.0.0.1, a loopback address" in done.stderr
    assert "carries a user name" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_records_what_was_refused_and_keeps_the_rest(tmp_path, web):
    web.routes["/"] = Page("<p>good</p><a href='/bomb'>b</a><a href='http://169.254.169.254/'>m</a>")
    web.routes["/bomb"] = Page(gzip.compress(bytes(8 << 20)), headers={"content-encoding": "gzip"})
    urls = f'["{web.url()}", "http://127.0.0.1/", "http://localhost:{web.port}/secret"]'
    done = sapwood_run(
        tmp_path, f'{{kind: web, name: good, urls: {urls}, depth: 1, delay: 0, allow: ["127.0.0.2:{web.port}", "127.0.0.1:{web.port}"]}}'
    )
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 0, said
    assert "Traceback" not in said
    assert "over 100 times" in said
    assert "127.0.0.1 is a loopback address" in said
    assert "169.254.169.254" not in said
    assert web.paths()[:2] == ["/robots.txt", "/"]
