"""Replay keeps all that is new, a fair share of the old, and no row twice."""

import pytest

from sapwood import report
from sapwood.artifact import Examples
from sapwood.stages.replay import Replay
from sapwood.store.local import LocalStore
from sapwood.testing.stages import check_stage, make_work
from sapwood.text import rows


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


def examples(store, tmp_path, name, texts, labels, source=None):
    folder = tmp_path / name
    folder.mkdir()
    made = [
        {**rows.document(source or name, str(i), t, language="zh"), "label": one}
        for i, (t, one) in enumerate(zip(texts, labels, strict=True))
    ]
    rows.write(folder, rows.table(made, rows.EXAMPLES))
    return store.put(Examples, folder)


def table(store, artifact):
    return rows.read(store.open(artifact)).to_pylist()


def test_all_new_rows_and_a_stratified_share_of_old_ones(store, tmp_path):
    new = examples(store, tmp_path, "new", [f"新{i}" for i in range(10)], ["pos"] * 10)
    old = examples(store, tmp_path, "old", [f"旧{i}" for i in range(100)], ["pos"] * 80 + ["neg"] * 20)
    made = Replay(ratio=2.0, min_old=0).run(make_work(store, tmp_path / "s"), new, old)
    mixed = table(store, made.train)
    assert len(mixed) == 30
    assert {row["text"] for row in mixed} >= {f"新{i}" for i in range(10)}
    assert [row["label"] for row in mixed if row["source"] == "old"].count("neg") == 4
    data = report.read(store.open(made.report))["data"]
    assert (data["new"], data["taken"], data["replaced"]) == (10, 20, 0)


def test_an_old_row_gives_way_to_a_new_one_with_its_text_or_its_id(store, tmp_path):
    new = examples(store, tmp_path, "new", ["旧0", "changed"], ["neg", "neg"], source="old")
    old = examples(store, tmp_path, "old", ["a", "b", "旧0", "c"], ["pos"] * 4)
    made = Replay().run(make_work(store, tmp_path / "s"), new, old)
    mixed = table(store, made.train)
    assert sorted(row["text"] for row in mixed) == ["c", "changed", "旧0"]
    assert [row["label"] for row in mixed if row["text"] == "旧0"] == ["neg"]


def test_the_seed_decides_which_old_rows_and_in_what_order(store, tmp_path):
    new = examples(store, tmp_path, "new", ["n"], ["pos"])
    old = examples(store, tmp_path, "old", [f"旧{i}" for i in range(50)], ["pos", "neg"] * 25)
    first, again, other = (Replay(min_old=5).run(make_work(store, tmp_path / "s", seed=s), new, old).train for s in (1, 1, 2))
    assert first == again != other


def test_min_old_holds_where_there_are_so_many(store, tmp_path):
    new = examples(store, tmp_path, "new", ["n"], ["pos"])
    old = examples(store, tmp_path, "old", [f"旧{i}" for i in range(50)], ["pos", "neg"] * 25)
    assert len(table(store, Replay(ratio=0, min_old=7).run(make_work(store, tmp_path / "s"), new, old).train)) == 8
    assert len(table(store, Replay(ratio=0, min_old=500).run(make_work(store, tmp_path / "s"), new, old).train)) == 51


def test_it_is_a_stage(store, tmp_path):
    new = examples(store, tmp_path, "new", ["n"], ["pos"])
    old = examples(store, tmp_path, "old", ["a", "b"], ["pos", "neg"])
    check_stage(Replay, store, {"new": new, "old": old})
