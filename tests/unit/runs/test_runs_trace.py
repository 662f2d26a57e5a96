"""Lineage tells of every step that the rows went through, of those that changed nothing too."""

from pathlib import Path

from sapwood.artifact import Documents
from sapwood.runs import trace
from sapwood.stage import Result
from sapwood.store.local import LocalStore
from sapwood.text import rows


def test_a_mask_that_found_nothing_is_in_the_lineage(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    (tmp_path / "rows").mkdir()
    rows.write(tmp_path / "rows", rows.table([rows.document("s", "1", "nothing personal")]))
    made = store.put(Documents, tmp_path / "rows")
    store.record(Result("one", "collect", 1, {}, {}, {"documents": made}, ()))
    store.record(Result("two", "mask", 1, {}, {"documents": (made,)}, {"documents": made}, ("documents",)))
    assert [result.name for result in trace.ancestry(store, made)] == ["mask", "collect"]
    assert [result.name for result in trace.makers(store, made)] == ["collect"]
