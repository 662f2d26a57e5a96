"""From dialogues to preferences: contrast, candidates, prefer and reinforce, on tiny dialogues in English and Chinese."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sapwood import report
from sapwood.artifact import Documents, Examples, Model
from sapwood.errors import InputError
from sapwood.models.card import read_card
from sapwood.models.optimisers import AdamW
from sapwood.stages.candidates import Candidates
from sapwood.stages.contrast import Contrast
from sapwood.stages.prefer import Prefer
from sapwood.stages.reinforce import Reinforce
from sapwood.store.local import LocalStore
from sapwood.testing import tiny
from sapwood.testing.stages import make_work
from sapwood.text import rows


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    return LocalStore(tmp_path_factory.mktemp("store") / "store")


@pytest.fixture(scope="module")
def writer(store: LocalStore, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return store.put(Model, tiny.tiny_writer(tmp_path_factory.mktemp("writer") / "model", "llama"))


def put(store: LocalStore, folder: Path, kind: type[Any], made: list[dict[str, Any]]) -> Any:
    folder.mkdir()
    rows.write(folder, rows.table(made, rows.EXAMPLES if kind is Examples else rows.DOCUMENTS))
    return store.put(kind, folder)


@pytest.fixture(scope="module")
def examples(store: LocalStore, tmp_path_factory: pytest.TempPathFactory) -> Examples:
    folder = tmp_path_factory.mktemp("contrast")
    documents = put(store, folder / "documents", Documents, tiny.tiny_dialogues())
    return Contrast().run(make_work(store, folder / "work"), documents).examples


def metas(store: LocalStore, examples: Examples) -> list[dict[str, str]]:
    return [rows.meta(row) for row in rows.read(store.open(examples)).to_pylist()]


def test_a_right_reply_stands_beside_the_wrong_one_to_the_same_context(store: LocalStore, examples: Examples) -> None:
    table = rows.read(store.open(examples)).to_pylist()
    assert len(table) == 24
    for row, meta in zip(table, metas(store, examples), strict=True):
        place = 0 if row["language"] == "en" else 1
        assert meta["chosen"] in [pair[place] for pair in tiny.PRAISE]
        assert meta["rejected"] in [pair[place] for pair in tiny.BLAME]
        assert json.loads(meta["candidates"])[int(meta["right"])] == meta["positive"]
        assert meta["chosen"] not in row["text"]
    assert len({meta["right"] for meta in metas(store, examples)}) == 2


def test_dialogues_that_cannot_be_compared_are_dropped_with_a_reason(store: LocalStore, tmp_path: Path) -> None:
    texts = ["1\n你好\n好的", "0\n你好\n好的", "1\n在吗\n在的", "maybe\nhello\nyes", "1\nalone"]
    documents = put(store, tmp_path / "documents", Documents, [rows.document("s", str(n), text) for n, text in enumerate(texts)])
    found = Contrast().run(make_work(store, tmp_path / "work"), documents)
    dropped = report.read(store.open(found.report))["data"]["dropped"]
    assert dropped == {"no verdict": 1, "no wrong reply to the same context": 1, "right and wrong at once": 2, "under two turns": 1}
    assert rows.count(store.open(found.dropped)) == 5


def test_candidates_are_drawn_from_the_set_itself_and_never_right_for_the_query(
    store: LocalStore, examples: Examples, tmp_path: Path
) -> None:
    made = Candidates(count=4).run(make_work(store, tmp_path), examples)
    pool = {meta["positive"] for meta in metas(store, examples)} | {meta["rejected"] for meta in metas(store, examples)}
    for meta in metas(store, made.examples):
        texts = json.loads(meta["candidates"])
        assert len(texts) == len(set(texts)) == 4
        assert set(texts) <= pool
        assert texts[int(meta["right"])] == meta["positive"]
    with pytest.raises(InputError, match="6 different right answers"):
        Candidates(count=9).run(make_work(store, tmp_path / "many"), examples)


def test_preferences_are_learned_and_held_out_pairs_show_it(store: LocalStore, examples: Examples, writer: Model, tmp_path: Path) -> None:
    stage = Prefer(epochs=12, batch_size=8, optimiser=AdamW(lr=3e-3), method={"kind": "full"}, keep_chosen=0.2)  # type: ignore[arg-type]
    made = stage.run(make_work(store, tmp_path), writer, examples, examples)
    data = report.read(store.open(made.report))["data"]
    assert data["scores"]["before"]["margin"]["value"] == pytest.approx(0, abs=1e-6)
    assert data["scores"]["after"]["moved_right"]["value"] == 1.0
    assert data["scores"]["after"]["accuracy"]["value"] > 0.9
    assert data["divergence"] > 0
    assert set(data["beside"]) == {"random", "tfidf-cosine", "bm25", "nearest-example", "longer-reply"}
    card = read_card(store.open(made.model))
    assert (card.name, card.base, card.method) == ("preferred", writer.digest, "prefer:full")


def test_rewards_are_reported_before_and_after_with_replies_to_read(
    store: LocalStore, examples: Examples, writer: Model, tmp_path: Path
) -> None:
    rewards = [{"kind": "length", "most": 30}, {"kind": "chrf", "target": "meta.positive", "weight": 0.5}]
    block = {"rewards": rewards, "steps": 2, "batch_size": 4, "samples": 2, "most": 6, "method": {"kind": "lora", "r": 2}}
    made = Reinforce.model_validate(block).run(make_work(store, tmp_path), writer, examples, examples)
    data = report.read(store.open(made.report))["data"]
    assert data["scores"]["after"].keys() == {"reward", "1_length", "2_chrf"}
    assert len(data["read"]) == 8
    assert [point["step"] for point in data["train"]] == [1, 2]
    assert read_card(store.open(made.model)).method == "reinforce:lora"
    with pytest.raises(InputError, match="max_tokens 128 must be over most 200"):
        Reinforce.model_validate({**block, "most": 200}).run(make_work(store, tmp_path / "long"), writer, examples, None)


def test_a_pair_of_equal_replies_is_refused(store: LocalStore, writer: Model, tmp_path: Path) -> None:
    row = {**rows.document("s", "1", "hello", meta={"chosen": "yes", "rejected": "yes"}), "label": ""}
    same = put(store, tmp_path / "same", Examples, [row])
    with pytest.raises(InputError, match="must be two different texts"):
        Prefer().run(make_work(store, tmp_path / "work"), writer, same, None)
