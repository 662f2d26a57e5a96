"""The source `elements`: one document for each element of an HTML page that has an id."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from sapwood.text.sources.elements import Elements
from sapwood.text.sources.source import Reading, Row

PAGE = """<html lang="zh-CN"><head><title>t</title></head><body><nav><p id="n">menu</p></nav><h1 id="h">保存 文件</h1>
<p id="p1">第一行<br>第二 <b>行</b></p><p>no id</p><table><tr><td id="outer"><p id="inner">A cell</p></td></tr></table>
<p id="p1">again</p><p id="empty"> </p><footer><p id="f">footer</p></footer></body></html>"""


def read(folder: Path, **fields: object) -> tuple[list[Row], Counter[str], list[str]]:
    skipped: Counter[str] = Counter()
    failed: list[str] = []
    reading = Reading(
        folder,
        folder / "scratch",
        lambda _: None,
        lambda where, why: failed.append(where),
        lambda why: skipped.update([why]),
        lambda: False,
    )
    return list(Elements.model_validate({"name": "help", "path": ".", **fields}).rows(reading)), skipped, failed


def test_each_element_with_an_id_is_a_document_and_frames_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "page.html").write_text(PAGE, encoding="utf-8")
    rows, skipped, failed = read(tmp_path)
    assert [(row.locator, row.text) for row in rows] == [
        ("sub/page.html#h", "保存 文件"),
        ("sub/page.html#p1", "第一行 第二 行"),
        ("sub/page.html#inner", "A cell"),
    ]
    assert rows[0].meta == {"path": "sub/page.html", "element": "h"}
    assert rows[0].language == "zh-CN"
    assert skipped == {"an id for the second time in its page": 1}
    assert failed == []


def test_short_elements_are_counted_as_left_out(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(PAGE, encoding="utf-8")
    rows, skipped, _ = read(tmp_path, min_chars=6)
    assert [row.meta["element"] for row in rows] == ["p1", "inner"]
    assert skipped["shorter than min_chars"] == 1


def test_a_page_that_cannot_be_read_is_one_failure(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(PAGE, encoding="utf-8")
    (tmp_path / "deep.html").write_text("<div>" * 30_000, encoding="utf-8")
    rows, _, failed = read(tmp_path)
    assert (len(rows), failed) == (3, ["deep.html"])
