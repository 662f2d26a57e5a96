"""Tasks that write, through the stages: taught, scored beside what needs no training, and before against after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sapwood import report
from sapwood.artifact import Examples, Model
from sapwood.models import conversation
from sapwood.stages.ask import Ask
from sapwood.stages.finetune import Finetune
from sapwood.stages.score import Score
from sapwood.store.local import LocalStore
from sapwood.testing import tiny
from sapwood.testing.stages import make_work
from sapwood.text import rows


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalStore, dict[str, Any]]:
    root = tmp_path_factory.mktemp("written")
    store = LocalStore(root / "store")
    made = []
    for i, row in enumerate(tiny.tiny_examples()):
        thing = tiny.THINGS[i // 2 % len(tiny.THINGS)]
        talk = [{"role": "user", "content": thing[0]}, {"role": "assistant", "content": thing[1]}]
        meta = json.dumps({"target": thing[1], "messages": json.dumps(talk, ensure_ascii=False)}, ensure_ascii=False)
        made.append({**row, "text": thing[0], "meta": meta})
    given: dict[str, Any] = {}
    for name, part in (("train", made[:48]), ("test", made[48:])):
        (root / name).mkdir()
        rows.write(root / name, rows.table(part, rows.EXAMPLES))
        given[name] = store.put(Examples, root / name)
    for kind in ("t5", "llama"):
        given[kind] = store.put(Model, tiny.tiny_writer(root / kind, kind))
    return store, given


def scored(store: LocalStore, tmp_path: Path, candidates: list[Model], given: dict[str, Any], train: bool) -> dict[str, Any]:
    work = make_work(store, tmp_path / "score")
    made = Score(slice_by=(), mistakes=2).run(work, candidates, given["test"], given["train"] if train else None)
    data: dict[str, Any] = report.read(store.open(made))["data"]
    return data


def test_pairs_are_learned_from_nothing_and_stand_beside_copy_dictionary_and_memory(world: Any, tmp_path: Path) -> None:
    store, given = world
    stage = Finetune.model_validate(
        {"task": {"kind": "sequence", "most": 8}, "epochs": 6, "batch_size": 12, "dropout": 0.0, "optimiser": {"kind": "adamw", "lr": 0.02}}
    )
    found = stage.run(make_work(store, tmp_path / "tune"), given["t5"], given["train"], given["test"])
    data = scored(store, tmp_path, [found.model], given, train=True)
    assert data["main"] == "chrf"
    assert set(data["systems"].values()) == {"classifier", "copy", "dictionary", "nearest"}
    assert data["scores"]["nearest"]["exact"]["value"] == 1.0  # the tiny corpus repeats itself
    assert data["scores"]["copy"]["chrf"]["value"] == 0.0


def test_a_chat_model_is_compared_with_itself_before_by_loss_and_with_others_by_text(world: Any, tmp_path: Path) -> None:
    store, given = world
    task = {"kind": "chat", "template": "plain", "most": 4}
    before = Ask.model_validate({"task": task, "name": "before"}).run(make_work(store, tmp_path / "ask"), given["llama"])
    stage = Finetune.model_validate(
        {"task": task, "name": "after", "epochs": 3, "batch_size": 12, "optimiser": {"kind": "adamw", "lr": 0.02}}
    )
    after = stage.run(make_work(store, tmp_path / "tune"), given["llama"], given["train"], None).model
    assert conversation.template_of(store.open(after)) == conversation.TEMPLATES["plain"]
    alone = scored(store, tmp_path, [after, before], given, train=False)
    assert (alone["main"], alone["lower_is_better"]) == ("loss", True)
    assert alone["scores"][after.digest]["loss"]["value"] < alone["scores"][before.digest]["loss"]["value"]
    assert alone["scores"][after.digest]["perplexity"]["value"] > 1
    beside = scored(store, tmp_path, [after, before], given, train=True)
    assert (beside["main"], beside["lower_is_better"]) == ("chrf", False)
    assert beside["scores"]["nearest question"]["exact"]["value"] == 1.0
    assert "loss" not in beside["scores"]["nearest question"]
