"""Entries of RSS and Atom feeds become documents, from a file or through the guard."""

import gzip
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from sapwood.errors import InputError, NetworkError
from sapwood.testing.site import Page, site
from sapwood.text import rows as documents
from sapwood.text.readers import read
from sapwood.text.sources import feeds
from sapwood.text.sources.feeds import Feed
from sapwood.text.sources.source import Reading
from sapwood.text.web import visitor

RSS = """<?xml version="1.0" encoding="ENCODING"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel><title>站</title><link>https://news.example/</link>
<language>zh-cn</language><copyright>某某社</copyright>
<item><title>木质部运输水分</title><link>https://news.example/1?utm_source=rss</link><guid isPermaLink="false">n-1</guid>
<pubDate>Sun, 01 Mar 2026 09:30:00 +0200</pubDate><description>短</description>
<content:encoded><![CDATA[<p>根吸收水分，</p><script>x</script><p>叶片蒸腾 A &amp; B。</p>]]></content:encoded></item>
<item><title>Plain</title><link>/2</link><description>Two &lt;b&gt;bold&lt;/b&gt; words</description></item>
<item><title>Plain again</title><link>/2</link><description>the same address</description></item>
<item><title></title><guid isPermaLink="false">n-3</guid></item>
</channel></rss>"""
ATOM = """<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en"><title>F</title><id>f</id>
<updated>2026-01-01T00:00:00Z</updated><link rel="license" href="https://licence.example/by"/>
<entry><id>tag:a,1</id><title type="html">On &lt;em&gt;sapwood&lt;/em&gt;</title><link href="https://a.example/1"/>
<updated>2026-02-01T10:00:00Z</updated><published>2026-01-31T00:00:00Z</published><author><name>N. N.</name></author>
<summary>short</summary><content type="xhtml" xml:lang="zh-TW"><div xmlns="http://www.w3.org/1999/xhtml"><p>邊材輸送水分與養分。</p></div></content></entry></feed>"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAPWOOD_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def later(monkeypatch):
    """Puts the clock of the visits forward by so many seconds."""
    real = visitor.moment
    return lambda ahead: monkeypatch.setattr(visitor, "moment", lambda seconds=0.0: real(seconds + ahead))


def collect(workspace: Path, skipped: Counter[str] | None = None, **fields) -> list[dict]:
    counts: Counter[str] = Counter() if skipped is None else skipped
    scratch = workspace / "scratch"
    scratch.mkdir(exist_ok=True)

    def failed(locator: str, why: str) -> None:
        raise AssertionError((locator, why))

    reading = Reading(workspace, scratch, print, failed, lambda reason: counts.update([reason]), lambda: False)
    return [row for batch in read(Feed(name="f", **fields), reading) for row in batch]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_rss_entries_carry_their_fullest_text_title_link_and_time(tmp_path, encoding):
    (tmp_path / "f.xml").write_text(RSS.replace("ENCODING", encoding), encoding=encoding)
    skipped: Counter[str] = Counter()
    found = collect(tmp_path, skipped, path="f.xml")
    assert [row["text"] for row in found] == ["木质部运输水分\n根吸收水分，\n叶片蒸腾 A & B。", "Plain\nTwo bold words"]
    assert found[0]["url"] == "https://news.example/1"
    assert found[0]["collected_at"] == "2026-03-01T07:30:00+00:00"
    assert found[0]["id"] == documents.document_id("f", "n-1")
    assert documents.meta(found[0]) == {"title": "木质部运输水分", "rights": "某某社", "declared_language": "zh-cn"}
    assert found[1]["collected_at"].endswith("+00:00")
    assert skipped == {"same entry": 1, "blank": 1}


def test_atom_entries_are_read_with_their_licence_and_author(tmp_path):
    (tmp_path / "f.atom.gz").write_bytes(gzip.compress(ATOM.encode()))
    (found,) = collect(tmp_path, path="f.atom.gz")
    assert found["text"] == "On sapwood\n邊材輸送水分與養分。"
    assert found["collected_at"] == "2026-02-01T10:00:00+00:00"
    assert documents.meta(found)["author"] == "N. N."
    assert documents.meta(found)["declared_language"] == "zh-TW"
    assert found["license"] == "https://licence.example/by"


def test_a_feed_over_the_network_passes_the_guard_and_is_sent_again_only_when_changed(tmp_path, later):
    body = RSS.replace("ENCODING", "utf-8").encode()
    with site({"/feed": Page(body, headers={"content-type": "application/rss+xml", "etag": '"1"'})}) as web:
        spec = {"url": web.url("/feed"), "allow": [f"127.0.0.1:{web.port}"]}
        first = collect(tmp_path, **spec)
        later(10)
        assert collect(tmp_path, **spec) == first
        assert [row["url"] for row in first] == ["https://news.example/1", web.url("/2")]
        assert [a.headers.get("if-none-match") for a in web.asked if a.path == "/feed"] == [None, '"1"']
        with pytest.raises(InputError, match="is not open to requests"):
            collect(tmp_path, url=web.url("/feed"))


def test_what_is_no_feed_is_a_fault_of_the_source(tmp_path):
    (tmp_path / "f.xml").write_text("<html><body>no feed</body></html>")
    with pytest.raises(InputError, match="no feed: no RSS or Atom in it"):
        collect(tmp_path, path="f.xml")
    with site() as web:
        allow = [f"127.0.0.1:{web.port}"]
        with pytest.raises(InputError, match="the answer was 404"):
            collect(tmp_path, url=web.url("/feed"), allow=allow)
        web.routes["/feed"] = lambda write: write(b"junk")
        with pytest.raises(NetworkError, match="no answer"):
            collect(tmp_path, url=web.url("/feed"), allow=allow)


def test_entity_bombs_and_outside_entities_do_no_harm(tmp_path, monkeypatch):
    monkeypatch.setattr(feeds, "SECONDS", 2.0)
    (tmp_path / "secret").write_text("keys")
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY e0 "aaaaaaaaaa">{levels}]>'
    outside = f'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY e9 SYSTEM "file://{tmp_path}/secret">]>'
    item = '<rss version="2.0"><channel><title>x</title><item><title>t</title><description>&e9;</description></item></channel></rss>'
    for head in (bomb, outside):
        (tmp_path / "f.xml").write_text(head + item)
        try:
            found = collect(tmp_path, path="f.xml")
        except InputError:
            continue
        assert all("keys" not in row["text"] and len(row["text"]) < 10_000 for row in found)


def test_a_file_is_known_by_its_bytes_and_a_url_is_always_read(tmp_path):
    (tmp_path / "f.xml").write_text(ATOM)
    assert Feed(name="f", path="f.xml").fingerprint(tmp_path)
    assert Feed(name="f", url="https://a.example/feed").fingerprint(tmp_path) is None


def test_faults_are_told_before_reading(tmp_path):
    assert "no such file" in Feed(name="f", path="f.xml").check(tmp_path)[0]
    assert "only http" in Feed(name="f", url="ftp://a.example/").check(tmp_path)[0]
    assert "no host and no network" in Feed(name="f", url="http://a.example/", allow=["10.0.0.0/99"]).check(tmp_path)[0]
    assert Feed(name="f", url="http://a.example/").check(tmp_path) == []
    for wrong in ({}, {"url": "http://a.example/", "path": "f.xml"}):
        with pytest.raises(ValidationError):
            Feed(name="f", **wrong)
