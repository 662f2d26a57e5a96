import numpy as np
import pytest

from sapwood import report
from sapwood.artifact import Examples
from sapwood.errors import InputError
from sapwood.stages.leakage import Leakage
from sapwood.store.local import LocalStore
from sapwood.testing.stages import make_work
from sapwood.text import rows

WORDS = {"pos": ["好", "great", "喜欢", "clean"], "neg": ["差", "awful", "讨厌", "dirty"]}


@pytest.fixture
def work(tmp_path):
    return make_work(LocalStore(tmp_path / "store"), tmp_path / "scratch", tmp_path)


def stored(work, count, copies=1):
    chance = np.random.default_rng(1)
    made = []
    for row in range(count):
        label = ["pos", "neg"][row % 2]
        text = " ".join([*chance.choice(WORDS[label], 3), *(f"w{number}" for number in chance.integers(0, 500, 12))])
        made += [{**rows.document("s", f"{row}-{copy}", text), "label": label} for copy in range(copies)]
    folder = work.new("raw")
    rows.write(folder, rows.table(made, rows.EXAMPLES))
    return work.put(Examples, folder)


def test_only_the_rows_drawn_are_read_and_in_the_order_of_the_draw(work, monkeypatch):
    raw = stored(work, 150)
    texts = [row["text"] for row in rows.read(work.path(raw)).to_pylist()]
    small = rows.batches
    monkeypatch.setattr(rows, "batches", lambda folder, columns: small(folder, columns, 7))
    taken = np.random.default_rng(2).permutation(150)[:40]
    assert Leakage()._texts(work, raw, taken) == [texts[row] for row in taken]
    assert Leakage()._labels(work, raw) == ["pos", "neg"] * 75


def test_copies_are_counted_and_a_cap_on_rows_is_kept(work):
    data = report.read(work.path(Leakage(max_rows=200).run(work, stored(work, 150, copies=2))))["data"]
    assert data["counts"]["all"] + data["trained_on"] < 200
    assert data["counts"]["with a copy in train"] > 0
    assert data["counts"]["all"] == data["counts"]["with a copy in train"] + data["counts"]["without a copy"]


def test_too_few_rows_are_refused(work):
    with pytest.raises(InputError, match="too few to measure leakage"):
        Leakage().run(work, stored(work, 20))
