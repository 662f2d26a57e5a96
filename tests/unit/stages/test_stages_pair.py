"""The stage `pair`: what becomes an example, what is dropped, and that both come back with their ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sapwood.artifact import Documents, Examples
from sapwood.errors import InputError
from sapwood.stages.pair import PairTexts
from sapwood.stages.swap import Swap
from sapwood.store.local import LocalStore
from sapwood.testing.stages import check_stage, make_work
from sapwood.text import rows


def put(store: LocalStore, folder: Path, source: str, texts: dict[str, str]) -> Documents:
    folder.mkdir()
    rows.write(folder, rows.table(rows.document(source, key, text, meta={"path": key}) for key, text in texts.items()))
    return store.put(Documents, folder)


def paired(
    store: LocalStore, tmp_path: Path, texts: dict[str, str], targets: dict[str, str], **fields: Any
) -> tuple[list[Any], list[Any], Any]:
    given = put(store, tmp_path / "en", "en", texts), put(store, tmp_path / "zh", "zh", targets)
    found = PairTexts(key=["meta.path"], **fields).run(make_work(store, tmp_path / "scratch"), *given)
    report = json.loads((store.open(found.report) / "report.json").read_text(encoding="utf-8"))["data"]
    return rows.read(store.open(found.examples)).to_pylist(), rows.read(store.open(found.dropped)).to_pylist(), report


def test_partners_become_examples_and_the_rest_is_dropped_with_reasons(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    english = {"a": "Open the file", "b": "Writer", "c": "Close the window"}
    good, dropped, report = paired(store, tmp_path, english, {"a": "打开文件", "b": "Writer", "d": "多余"})
    assert [(row["text"], json.loads(row["meta"])["target"]) for row in good] == [("Open the file", "打开文件")]
    assert good[0]["id"] == rows.document_id("en", "a")
    assert good[0]["parents"] == [rows.document_id("zh", "a")]
    assert [(row["text"], json.loads(row["meta"])["dropped"]) for row in dropped] == [
        ("Writer", "both the same"),
        ("Close the window", "no partner"),
    ]
    assert report == {"kept": 1, "dropped": {"both the same": 1, "no partner": 1}, "targets_without_partner": 1}


def test_lines_get_ids_of_their_own_and_both_documents_as_parents(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    good, dropped, _ = paired(store, tmp_path, {"a": "Open\nClose it", "b": "One\nTwo"}, {"a": "打开\n关闭", "b": "一"}, by_line=True)
    assert [row["text"] for row in good] == ["Open", "Close it"]
    assert len({row["id"] for row in good}) == 2
    assert good[1]["parents"] == [rows.document_id("en", "a"), rows.document_id("zh", "a")]
    assert [json.loads(row["meta"])["dropped"] for row in dropped] == ["another number of lines"]


def test_keys_that_never_meet_are_an_error_that_names_the_field(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pair is left: 1 no partner") as caught:
        paired(LocalStore(tmp_path / "store"), tmp_path, {"a": "Open"}, {"b": "打开"})
    assert "key" in caught.value.next_step


def test_the_stage_keeps_the_contract(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    given = put(store, tmp_path / "en", "en", {"a": "Open it\nClose it"}), put(store, tmp_path / "zh", "zh", {"a": "打开它\n关闭它"})
    folder = tmp_path / "tagged"
    folder.mkdir()
    table = rows.read(store.open(given[0]))
    rows.write(folder, rows.table({**row, "language": "en"} for row in table.to_pylist()))
    other = tmp_path / "tagged-zh"
    other.mkdir()
    rows.write(other, rows.table({**row, "language": "en"} for row in rows.read(store.open(given[1])).to_pylist()))
    made: Any = check_stage(PairTexts, store, {"documents": store.put(Documents, folder), "targets": store.put(Documents, other)})
    check_stage(Swap, store, {"examples": made["examples"]})


def test_swapped_twice_gives_the_texts_back(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    given = put(store, tmp_path / "en", "en", {"a": "Open it"}), put(store, tmp_path / "zh", "zh", {"a": "打开它"})
    pairs: Any = PairTexts(key=["meta.path"]).run(make_work(store, tmp_path / "scratch"), *given).examples
    once = Swap(language="zh").run(make_work(store, tmp_path / "once"), pairs)
    twice = Swap(language="en").run(make_work(store, tmp_path / "twice"), once)
    [row], [back], [first] = (rows.read(store.open(one)).to_pylist() for one in (once, twice, pairs))
    assert isinstance(once, Examples)
    assert (row["text"], json.loads(row["meta"])["target"], row["language"]) == ("打开它", "Open it", "zh")
    assert row["parents"][-1] == first["id"]
    assert (back["text"], json.loads(back["meta"])["target"]) == (first["text"], json.loads(first["meta"])["target"])
    with pytest.raises(InputError, match=r"has no meta.other"):
        Swap(field="other").run(make_work(store, tmp_path / "wrong"), pairs)
