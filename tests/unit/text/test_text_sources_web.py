"""Web pages become documents politely: bounds, robots.txt, canonical addresses, only what changed, and on after a kill. The sites are real
sockets on loopback, let through by the allow list only."""

import gzip
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import ValidationError

from sapwood.errors import Interrupted
from sapwood.testing.site import Page, site
from sapwood.text import rows as documents
from sapwood.text.readers import read
from sapwood.text.sources.source import Reading
from sapwood.text.sources.web import Web
from sapwood.text.web import robots, sitemaps, visitor
from sapwood.text.web.kept import Kept
from sapwood.text.web.pages import media_type, read_html


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAPWOOD_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def later(monkeypatch):
    """Puts the clock of the visits forward by so many seconds."""
    real = visitor.moment
    return lambda ahead: monkeypatch.setattr(visitor, "moment", lambda seconds=0.0: real(seconds + ahead))


@dataclass
class Told:
    """What a reading said, and the failures and skipped rows it recorded."""

    failed: dict[str, str] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    said: list[str] = field(default_factory=list)
    stop: bool = False

    def reading(self, workspace: Path) -> Reading:
        scratch = workspace / "scratch"
        scratch.mkdir(exist_ok=True)
        skip = lambda reason: self.skipped.update([reason])  # noqa: E731
        return Reading(workspace, scratch, self.said.append, self.failed.__setitem__, skip, lambda: self.stop)


def source(web, **fields) -> Web:
    return Web(**{"name": "w", "urls": [web.url("/")], "delay": 0, "allow": [f"127.0.0.1:{web.port}"], **fields})


def collect(web, workspace: Path, told: Told | None = None, **fields) -> list[dict]:
    return [row for batch in read(source(web, **fields), (told or Told()).reading(workspace)) for row in batch]


def page(text: str, *links: str, head: str = "") -> Page:
    anchors = "".join(f'<a href="{link}">to</a>' for link in links)
    return Page(f"<html><head><title>{text}</title>{head}</head><body><p>{text}</p><nav>{anchors}</nav></body></html>")


CHAIN = {"/": page("root", "/a", "/b"), "/a": page("甲", "/c"), "/b": page("乙"), "/c": page("丙", "/d"), "/d": page("丁")}


@pytest.mark.parametrize(("depth", "texts"), [(0, "root"), (1, "root 甲 乙"), (2, "root 甲 乙 丙"), (9, "root 甲 乙 丙 丁")])
def test_links_are_followed_breadth_first_as_deep_as_stated(tmp_path, depth, texts):
    with site(CHAIN) as web:
        found = collect(web, tmp_path, depth=depth)
    assert [row["text"] for row in found] == texts.split()
    assert found[0]["id"] == documents.document_id("w", web.url("/"))
    assert documents.meta(found[0]) == {"title": "root"}
    assert found[0]["url"] == web.url("/")
    assert found[0]["collected_at"].endswith("+00:00")
    assert len(found[0]["collected_at"]) == 25


def test_the_cap_on_pages_holds_and_is_said(tmp_path):
    told = Told()
    with site(CHAIN) as web:
        assert len(collect(web, tmp_path, told, depth=9, pages=3)) == 3
    assert len([path for path in web.paths() if path != "/robots.txt"]) == 3
    assert any("more pages than 3" in line for line in told.said)


def test_other_hosts_and_pages_out_of_bounds_are_never_asked(tmp_path):
    with site({"/x": page("elsewhere")}) as other, site() as web:
        web.routes.update({"/": page("root", other.url("/x"), "/in/a", "/out"), "/in/a": page("inside"), "/out": page("outside")})
        allow = [f"127.0.0.1:{web.port}", f"127.0.0.1:{other.port}"]
        assert [r["text"] for r in collect(web, tmp_path, depth=3, allow=allow, urls=[web.url("/in/a")], within=[web.url("/in/")])] == [
            "inside"
        ]
        assert [r["text"] for r in collect(web, tmp_path, depth=3, allow=allow)] == ["root", "inside", "outside"]
        assert other.asked == []
        found = collect(web, tmp_path, depth=3, allow=allow, within=[web.url("/"), other.url("/")])
    assert sorted(r["text"] for r in found) == ["elsewhere", "inside", "outside", "root"]


def test_robots_txt_is_asked_first_and_obeyed(tmp_path):
    told = Told()
    rules = "User-agent: *\nDisallow: /\n\nUser-agent: sapwood\nDisallow: /private/\nAllow: /\n"
    pages = {"/robots.txt": Page(rules), "/": page("root", "/private/a", "/b"), "/private/a": page("no"), "/b": page("yes")}
    with site(pages) as web:
        assert [r["text"] for r in collect(web, tmp_path, told, depth=1)] == ["root", "yes"]
    assert web.paths() == ["/robots.txt", "/", "/b"]
    assert told.failed[web.url("/private/a")].startswith("robots: ")
    assert web.asked[1].headers["user-agent"].startswith("sapwood/")


@pytest.mark.parametrize(
    ("answer", "read_pages"),
    [(Page("", 404), True), (Page("", 403), True), (Page("", 500), False), (Page("", 429), False), (lambda write: write(b"junk"), False)],
)
def test_missing_rules_allow_and_unreachable_rules_forbid(tmp_path, answer, read_pages):
    told = Told()
    with site({"/": page("root"), "/robots.txt": answer}) as web:
        assert bool(collect(web, tmp_path, told)) == read_pages
    assert ("/" in web.paths()) == read_pages
    assert read_pages or "robots.txt cannot be read" in told.failed[web.url("/")]


def test_a_redirect_to_a_forbidden_page_is_not_followed(tmp_path):
    told = Told()
    pages = {"/robots.txt": Page("User-agent: *\nDisallow: /no\n"), "/": Page("", 302, {"location": "/no"}), "/no": page("no")}
    pages["/b"] = Page("", 302, {"location": "/x/%2e%2e/no"})
    with site(pages) as web:
        assert collect(web, tmp_path, told, urls=[web.url("/"), web.url("/b")]) == []
    assert web.paths() == ["/robots.txt", "/", "/b"]
    assert told.failed[web.url("/")].startswith("robots: ")


def test_requests_to_a_host_keep_their_distance_and_robots_can_ask_for_more(tmp_path, monkeypatch):
    slept: list[float] = []
    clock = [0.0]
    monkeypatch.setattr(visitor.time, "sleep", lambda s: (slept.append(s), clock.__setitem__(0, clock[0] + s)))
    real = time.monotonic
    monkeypatch.setattr(visitor.time, "monotonic", lambda: real() + clock[0])
    with site(CHAIN) as web:
        collect(web, tmp_path, depth=1, delay=2)
        assert 3.5 < sum(slept) <= 4
        slept.clear()
        web.routes["/robots.txt"] = Page("User-agent: *\nCrawl-delay: 7\n")
        collect(web, tmp_path / ".", depth=1, delay=2)
        assert 13.5 < sum(slept) <= 14
        web.routes["/robots.txt"] = Page("User-agent: *\nCrawl-delay: 100000\n")
        told = Told()
        assert collect(web, tmp_path, told, depth=1) == []
    assert "asks for 100000 s between pages" in told.failed[web.url("/")]


def test_a_page_is_one_document_under_its_canonical_address(tmp_path):
    told = Told()
    head = '<link rel="canonical" href="/a">'
    links = ("/a", "/a?utm_source=mail", "/a#part", "/a?session=5", "/evil")
    pages = {"/": page("root", *links), "/a": page("甲"), "/a?session=5": page("甲", head=head)}
    pages["/evil"] = page("other", head='<link rel="canonical" href="http://other.example/">')
    with site(pages) as web:
        found = collect(web, tmp_path, told, depth=1)
    assert [row["url"] for row in found] == [web.url("/"), web.url("/a"), web.url("/evil")]
    assert told.skipped == {"same page": 1}
    assert web.paths().count("/a") == 1


def test_an_unchanged_site_is_asked_briefly_and_gives_the_same_documents(tmp_path, later):
    told = Told()
    tagged = {path: Page(found.body, headers={"etag": f'"{path}"'}) for path, found in CHAIN.items()}
    with site(tagged) as web:
        first = collect(web, tmp_path, depth=9)
        later(10)
        again = collect(web, tmp_path, told, depth=9)
        assert again == first
        assert [asked.headers.get("if-none-match") for asked in web.asked[-4:]] == [f'"{path}"' for path in ("/a", "/b", "/c", "/d")]
        assert any("5 asked, 5 unchanged" in line for line in told.said)
        web.routes["/b"] = Page(page("新").body, headers={"etag": '"new"'})
        third = collect(web, tmp_path, depth=9)
    assert [row["text"] for row in third] == ["root", "甲", "新", "丙", "丁"]
    assert third[2]["collected_at"] > first[2]["collected_at"]
    assert [row for row in third if row["text"] != "新"] == [row for row in first if row["text"] != "乙"]


def test_a_page_that_only_changes_around_its_text_keeps_its_time(tmp_path, later):
    with site({"/": page("root", head="<script>1</script>")}) as web:
        first = collect(web, tmp_path)
        later(10)
        web.routes["/"] = page("root", head="<script>2</script>")
        assert collect(web, tmp_path) == first


def test_without_keep_nothing_is_left_behind_and_everything_is_asked_for_again(tmp_path):
    with site({"/": Page("<p>x</p>", headers={"etag": '"1"'})}) as web:
        collect(web, tmp_path, keep=False)
        collect(web, tmp_path, keep=False)
        assert not (tmp_path / "cache").exists()
    assert [asked.headers.get("if-none-match") for asked in web.asked if asked.path == "/"] == [None, '"1"']


def test_a_stopped_reading_goes_on_without_asking_again(tmp_path):
    told = Told()
    with site(CHAIN) as web:
        stream = source(web, depth=9).rows(told.reading(tmp_path))
        before = [next(stream).text for _ in range(3)]
        told.stop = True
        with pytest.raises(Interrupted):
            next(stream)
        asked = len(web.asked)
        told.stop = False
        found = collect(web, tmp_path, told, depth=9)
    assert [row["text"] for row in found][:3] == before == ["root", "甲", "乙"]
    assert len(found) == 5
    assert [path for path in web.paths()[asked:] if path != "/robots.txt"] == ["/c", "/d"]
    assert any("3 from before the interruption" in line for line in told.said)


def test_a_killed_reading_goes_on_in_a_new_run_with_a_new_scratch_folder(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from sapwood.text.readers import quietly; from sapwood.text.sources.web import Web\n"
        "web = Web(name='w', urls=[sys.argv[1]], delay=0, depth=9, allow=[sys.argv[2]])\n"
        "for number, row in enumerate(web.rows(quietly(Path(sys.argv[3])))):\n"
        "    if number == 2: os.kill(os.getpid(), 9)\n"
    )
    with site(CHAIN) as web:
        command = [sys.executable, "-c", script, web.url("/"), f"127.0.0.1:{web.port}", str(tmp_path)]
        assert subprocess.run(command, timeout=60).returncode == -9
        asked = len(web.asked)
        told = Told()
        assert len(collect(web, tmp_path, told, depth=9)) == 5
        assert [path for path in web.paths()[asked:] if path != "/robots.txt"] == ["/c", "/d"]
        collect(web, tmp_path, depth=9)
    assert web.paths().count("/a") == 2


def test_a_reading_killed_long_ago_is_not_gone_on_with(tmp_path):
    pages = Kept(tmp_path / "p.sqlite")
    assert pages.begin("2026-01-01T10", "2026-01-01T00") == "2026-01-01T10"
    assert pages.begin("2026-01-01T11", "2026-01-01T00") == "2026-01-01T10"
    assert pages.begin("2026-01-05T00", "2026-01-04T00") == "2026-01-05T00"
    pages.end()
    assert pages.begin("2026-01-05T01", "2026-01-04T00") == "2026-01-05T01"
    pages.close()


def test_waiting_for_a_turn_ends_when_the_run_is_stopped(tmp_path):
    told = Told()
    with site(CHAIN) as web:
        stream = source(web, depth=1, delay=200).rows(told.reading(tmp_path))
        next(stream)
        threading.Timer(0.3, lambda: setattr(told, "stop", True)).start()
        began = time.monotonic()
        with pytest.raises(Interrupted):
            next(stream)
    assert time.monotonic() - began < 5


def test_a_page_that_fails_is_one_failure_with_a_short_reason(tmp_path):
    told = Told()
    links = ("/gone", "/broken", "/bomb", "/picture", "/deep", "/bytes", "/inside", "/ok")
    with site() as web:
        web.routes.update(
            {
                "/": page("root", *links),
                "/ok": page("fine"),
                "/broken": Page("", 500),
                "/inside": Page("", 302, {"location": "//10.0.0.1/"}),
            }
        )
        web.routes["/bomb"] = Page(gzip.compress(bytes(8 << 20)), headers={"content-encoding": "gzip"})
        web.routes["/picture"] = Page(b"\x89PNG", headers={"content-type": "image/png"})
        web.routes["/deep"] = Page("<div>" * 40_000)
        web.routes["/bytes"] = Page(b"\x00\x01\x02" * 50)
        found = collect(web, tmp_path, told, depth=1)
        reasons = {link: told.failed[web.url(link)].partition(": ")[0] for link in links[:-1]}
    assert [row["text"] for row in found] == ["root", "fine"]
    assert reasons == {
        "/gone": "not there", "/broken": "no page", "/bomb": "refused", "/picture": "not read", "/deep": "damaged", "/bytes": "damaged",
        "/inside": "out of bounds",
    }  # fmt: skip


def test_an_inner_address_listed_without_leave_is_a_failure_and_is_not_reached(tmp_path):
    told = Told()
    with site(CHAIN) as web:
        assert collect(web, tmp_path, told, allow=[]) == []
    assert "port" in told.failed[web.url("/")]
    assert web.asked == []


def test_a_busy_site_is_waited_for_once(tmp_path, monkeypatch):
    waited: list[float] = []
    answers = iter([b"HTTP/1.1 503 X\r\nretry-after: 30\r\ncontent-length: 0\r\n\r\n"])
    with site({"/": page("root")}) as web:
        good = web.routes["/"]

        def busy(write):
            write(next(answers))
            web.routes["/"] = good

        web.routes["/"] = busy
        monkeypatch.setattr(visitor.Visitor, "_wait", lambda self, until: waited.append(until - time.monotonic()))
        assert [row["text"] for row in collect(web, tmp_path)] == ["root"]
    assert any(29 < wait <= 30 for wait in waited)


@pytest.mark.parametrize("packed", [False, True])
def test_sitemaps_and_their_indexes_give_pages_in_order(tmp_path, packed):
    told = Told()
    with site(CHAIN) as web:
        urls = [web.url("/b"), web.url("/a") + "?x=1&amp;y=2", "http://other.example/", "ftp://no.example/"]
        one = ("<?xml version='1.0'?><urlset>" + "".join(f"<url><loc> {url} </loc></url>" for url in urls) + "</urlset>").encode()
        index = f"<sitemapindex><sitemap><loc>{web.url('/one.xml')}</loc></sitemap><sitemap><loc>{web.url('/two.txt')}</loc></sitemap></sitemapindex>"
        web.routes.update(
            {"/map.xml": Page(index), "/one.xml": Page(gzip.compress(one) if packed else one), "/two.txt": Page(web.url("/c") + "\n")}
        )
        web.routes["/a?x=1&y=2"] = page("查询")
        found = collect(web, tmp_path, told, urls=[], sitemaps=[web.url("/map.xml"), web.url("/none.xml")])
    assert [row["text"] for row in found] == ["乙", "查询", "丙"]
    assert told.skipped == {"out of bounds": 1}
    assert told.failed["ftp://no.example/"].startswith("refused: ")
    assert told.failed[web.url("/none.xml")] == "no page: the answer was 404"


def test_a_sitemap_bomb_and_an_entity_bomb_do_no_harm():
    from sapwood.errors import InputError
    from sapwood.outgoing.request import Caps

    with pytest.raises(InputError, match="over 100 times"):
        sitemaps.read("m", gzip.compress(bytes(8 << 20)), Caps())
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><urlset><loc>&b;</loc></urlset>'
    assert sitemaps.read("m", bomb, Caps()).urls == ["&b;"]


def test_other_types_are_read_as_what_they_are(tmp_path):
    with site(
        {
            "/": page("root", "/notes"),
            "/notes": Page(
                "水从根部上升到叶片。\r\n木质部运输水分和矿物质。".encode("gb18030"), headers={"content-type": "text/plain; charset=gbk"}
            ),
        }
    ) as web:
        assert [row["text"] for row in collect(web, tmp_path, depth=1)] == ["root", "水从根部上升到叶片。\n木质部运输水分和矿物质。"]


def test_a_page_says_its_licence_and_which_links_not_to_follow():
    markup = b"""<html lang="zh-TW"><head><base href="/base/"><title>T</title></head><body><p>\xe6\xb0\xb4</p>
      <a href="a">1</a><a href="b" rel="nofollow ugc">2</a><a href="a">1</a><a href="#x">3</a><a rel="license" href="/cc">L</a></body></html>"""
    found = read_html("u", markup, "utf-8")
    assert (found.language, found.title, found.base, found.licence) == ("zh-TW", "T", "/base/", "/cc")
    assert found.links == ("a", "/cc")
    assert read_html("u", markup.replace(b"<title>", b'<meta name="ROBOTS" content="noindex, NoFollow"><title>'), "").links == ()
    assert media_type('Text/HTML; Charset="GBK"; x=1') == ("text/html", "GBK")


def test_the_user_agent_carries_only_what_the_user_wrote(tmp_path):
    with site(CHAIN) as web:
        collect(web, tmp_path)
        collect(web, tmp_path, contact="crawl@team.example")
    agents = {asked.headers["user-agent"] for asked in web.asked}
    assert sorted(agent.partition(" ")[2] for agent in agents) == ["(crawl@team.example)", "(text collector)"]


@pytest.mark.parametrize("wrong", [{}, {"urls": ["http://a.example/"], "depth": -1}, {"urls": ["http://a.example/"], "contact": "a\r\nb"}])
def test_a_source_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValidationError):
        Web(name="w", **wrong)


def test_faults_are_told_before_anything_is_asked(tmp_path, monkeypatch):
    wrong = Web(name="w", urls=["http://2130706433/", "ftp://a.example/"], allow=["10.0.0.0/99"], within=["x"])
    found = wrong.check(tmp_path)
    assert len(found) == 4
    assert all(fault.startswith("source w: ") for fault in found)
    monkeypatch.setattr("sapwood.text.sources.web.find_spec", lambda name: None)
    assert "protego" in Web(name="w", urls=["http://a.example/"]).check(tmp_path)[0]


def test_rules_are_read_once_an_origin():
    from sapwood.outgoing.urls import target

    with site({"/robots.txt": Page("User-agent: *\nDisallow: /x\n")}) as web:
        rules = robots.Robots(visitor.guard((f"127.0.0.1:{web.port}",), "", 1000))
        assert [bool(rules.refusal(target(web.url(path)))) for path in ("/a", "/x", "/x/y")] == [False, True, True]
    assert web.paths() == ["/robots.txt"]
