"""Pretrain and finetune on the tiny corpus, end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sapwood import report
from sapwood.artifact import Documents, Examples, Model, Tokenizer
from sapwood.errors import InputError
from sapwood.models.card import read_card
from sapwood.models.optimisers import AdamW
from sapwood.stages.finetune import Finetune
from sapwood.stages.pretrain import Pretrain
from sapwood.store.local import LocalStore
from sapwood.testing import tiny
from sapwood.testing.stages import check_stage, make_work
from sapwood.text import rows


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def put_rows(store: LocalStore, folder: Path, kind: type[Any], made: list[dict[str, Any]]) -> Any:
    folder.mkdir()
    rows.write(folder, rows.table(made, rows.EXAMPLES if kind is Examples else rows.DOCUMENTS))
    return store.put(kind, folder)


def test_pretrain_and_finetune_keep_the_contract_of_a_stage(store: LocalStore, tmp_path: Path) -> None:
    documents = put_rows(store, tmp_path / "documents", Documents, tiny.tiny_corpus())
    examples = put_rows(store, tmp_path / "examples", Examples, tiny.tiny_examples())
    tokenizer = store.put(Tokenizer, tiny.tiny_tokenizer(tmp_path / "tokenizer"))
    made = check_stage(Pretrain, store, {"documents": [documents], "tokenizer": tokenizer})
    assert read_card(store.open(made["model"])).task == "masked-lm"
    measured = report.read(store.open(made["report"]))["data"]
    assert {"mlm", "nsp", "mlm_accuracy", "nsp_accuracy"} <= measured["held_out"][-1].keys()
    assert measured["baseline"]["nsp_accuracy"] == 0.5
    tuned = check_stage(Finetune, store, {"model": made["model"], "train": examples, "dev": examples})
    card = read_card(store.open(tuned["model"]))
    assert (card.labels, card.base, card.max_tokens) == (tiny.LABELS, made["model"].digest, 32)


def test_finetune_learns_keeps_its_best_epoch_and_a_challenger_continues(store: LocalStore, tmp_path: Path) -> None:
    examples = put_rows(store, tmp_path / "examples", Examples, tiny.tiny_examples())
    start = store.put(Model, tiny.tiny_model(tmp_path / "model", labels=()))
    tuned = Finetune(epochs=12, optimiser=AdamW(lr=3e-3), batch_size=8, dropout=0.0).run(
        make_work(store, tmp_path / "one"), start, examples, examples
    )
    history = report.read(store.open(tuned.report))["data"]
    best = max(score["macro_f1"] for score in history["dev"])
    assert best > 0.9
    again = Finetune(epochs=1, optimiser=AdamW(lr=1e-9)).run(make_work(store, tmp_path / "two"), tuned.model, examples, examples)
    assert report.read(store.open(again.report))["data"]["dev"][0]["macro_f1"] == pytest.approx(best)
    assert read_card(store.open(again.model)).base == tuned.model.digest


def test_labels_that_do_not_match_are_an_input_error(store: LocalStore, tmp_path: Path) -> None:
    classifier = store.put(Model, tiny.tiny_model(tmp_path / "model"))
    strange = put_rows(store, tmp_path / "strange", Examples, [{**row, "label": "neutral"} for row in tiny.tiny_examples()])
    with pytest.raises(InputError, match="neutral, which tiny does not know"):
        Finetune().run(make_work(store, tmp_path / "work"), classifier, strange, None)
    encoder = store.put(Model, tiny.tiny_model(tmp_path / "encoder", labels=()))
    with pytest.raises(InputError, match="needs two or more"):
        Finetune().run(make_work(store, tmp_path / "work"), encoder, strange, None)
    known = put_rows(store, tmp_path / "known", Examples, tiny.tiny_examples())
    with pytest.raises(InputError, match="dev has labels neutral, which train does not have"):
        Finetune().run(make_work(store, tmp_path / "work"), encoder, known, strange)
