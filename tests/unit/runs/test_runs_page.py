"""The page of a run: safe whatever the texts hold, the same bytes for the same run, nothing fetched from anywhere."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood import report
from sapwood.runs.page import LARGEST_MATRIX, LONGEST_SAMPLE, Section, number, render, seconds

ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7*7 }}",
    "</style><b>",
    "javascript:alert(1)",
]


def everything(word: str) -> list[Section]:
    """One section that holds every block type, with `word` wherever a user's text can reach."""
    blocks = [
        report.text(word),
        report.table(word, [word, "n"], [[word, 3], ["b", 4.5]], word),
        report.lines(word, word, word, {word: [(0, 1.0), (1, 0.5)], "other": [(0, 2.0), (1, float("nan"))]}, word),
        report.bars(word, [(word, 0.9, 0.8, 0.95), ("b", -0.2, None, None)], word, word),
        report.matrix(word, [word, "b"], [[3, 1], [0, 0]], word),
        report.samples(word, [{"text": word, "reason": word, "source": word, word: 1}], word),
    ]
    body = {"title": word, "summary": word, "data": {}, "blocks": blocks}
    return [Section(word, word, "made", 1.5, "ab" * 32, body)]


def page(word: str) -> str:
    run = {"story": [word], "figures": [{"label": word, "value": word, "note": word, "state": word}], "facts": {word: {word: word}}}
    return render(word, run, everything(word))


class Reader(HTMLParser):
    """Collects what a browser would act upon."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


def test_no_text_of_a_user_becomes_markup() -> None:
    attacked = read(page(" ".join(ATTACKS)))
    assert attacked.tags == read(page("plain")).tags
    assert not [name for name, _ in attacked.attributes if name.startswith("on")]


def test_the_page_needs_no_script_and_no_network() -> None:
    html = page("plain")
    seen = read(html)
    assert "script" not in seen.tags
    assert "link" not in seen.tags
    assert "img" not in seen.tags
    fetched = [value for name, value in seen.attributes if name in ("src", "href", "xlink:href") and not value.startswith("#")]
    assert fetched == []
    assert "@import" not in html
    assert "url(http" not in html
    assert "default-src 'none'" in html


def test_ids_on_the_page_are_unique_although_it_holds_many_drawings() -> None:
    sections = everything("a") + everything("b")
    ids = read(render("two", {}, sections)).ids
    assert len(ids) == len(set(ids))


@settings(max_examples=15, deadline=None)
@given(st.text(max_size=30))
def test_any_text_gives_a_page_that_can_be_written_and_is_the_same_each_time(word: str) -> None:
    blocks = [report.samples(word, [{"text": word, "reason": word}]), report.table(word, [word], [[word]])]
    body = {"title": word, "summary": word, "blocks": blocks}
    first, again = (render(word, {"story": word}, [Section(word, "s", "made", 0.0, "", body)]) for _ in range(2))
    assert first == again
    assert first.encode("utf-8")


def test_the_same_run_gives_the_same_bytes() -> None:
    assert page("酒店 review") == page("酒店 review")


def test_a_report_read_back_from_its_file_draws_the_same_page() -> None:
    sections = everything("x")
    blocks = [b for b in sections[0].body["blocks"] if b["type"] != "lines"]
    body = json.loads(json.dumps({**sections[0].body, "blocks": blocks}))
    straight = render("t", {}, [sections[0]._replace(body={**sections[0].body, "blocks": blocks})])
    assert render("t", {}, [sections[0]._replace(body=body)]) == straight


def test_chinese_stays_text_in_drawings() -> None:
    block = report.lines("损失", "步数", "损失值", {"训练": [(0, 1.0), (1, 0.5)]})
    html = render("t", {}, [Section("a", "a", "made", 1.0, "", {"title": "t", "summary": "", "blocks": [block]})])
    drawing = html[html.index("<svg") : html.index("</svg>")]
    assert "步数" in drawing
    assert "损失值" in drawing
    assert "DejaVu" not in drawing
    assert "<metadata" not in drawing


def test_colours_of_drawings_follow_the_style_sheet() -> None:
    html = page("plain")
    drawing = html[html.index("<svg") : html.index("</svg>")]
    assert "var(--c1)" in drawing
    assert "var(--muted)" in drawing
    assert not re.search(r"#a1b2c\d|#0a0b0c|#0d0e0f", drawing)


def test_a_long_sample_is_shortened_and_says_by_how_much() -> None:
    block = report.samples("s", [{"text": "长" * (LONGEST_SAMPLE + 1234), "reason": "long"}])
    html = render("t", {}, [Section("a", "a", "made", 1.0, "", {"title": "t", "summary": "", "blocks": [block]})])
    assert "and 1,234 more characters" in html
    assert html.count("长") == LONGEST_SAMPLE


def test_a_large_matrix_lists_its_largest_confusions_instead() -> None:
    size = LARGEST_MATRIX + 1
    counts = [[0] * size for _ in range(size)]
    counts[3][5] = 77
    block = report.matrix("m", [f"label{i}" for i in range(size)], counts)
    html = render("t", {}, [Section("a", "a", "made", 1.0, "", {"title": "t", "summary": "", "blocks": [block]})])
    assert "label3" in html
    assert "label5" in html
    assert ">77<" in html.replace("<bdi>", "").replace("</bdi>", "")
    assert "label9" not in html


def test_a_block_of_an_unknown_type_is_named_not_dropped() -> None:
    html = render("t", {}, [Section("a", "a", "made", 1.0, "", {"title": "t", "summary": "", "blocks": [{"type": "hologram"}]})])
    assert "hologram" in html
    assert "cannot show it" in html


def test_a_run_without_reports_still_has_a_page() -> None:
    assert "<h1>empty</h1>" in render("empty", {}, [])


def test_numbers_read_as_people_write_them() -> None:
    assert [number(v) for v in (12345, 0.5, 0.0, 1.0, 99.0, 1234.5, 2e-7, None, True, "x")] == [
        "12,345", "0.500", "0", "1.0", "99", "1,234", "2.0e-07", "–", "yes", "x",
    ]  # fmt: skip
    assert [number(v) for v in (float("nan"), float("inf"))] == ["nan", "inf"]
    assert [seconds(v) for v in (0.012, 3.44, 125, 3720)] == ["12 ms", "3.4 s", "2 min 05 s", "1 h 02 min"]


def test_a_block_without_rows_says_so() -> None:
    blocks = [report.table("t", ["a"], []), report.bars("b", []), report.samples("s", [])]
    html = render("t", {}, [Section("a", "a", "made", 1.0, "", {"title": "t", "summary": "", "blocks": blocks})])
    assert html.count("Nothing.") == 3
