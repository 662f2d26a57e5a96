"""Every (task, method, architecture) that is not refused trains, and answers the same after merging, storing and opening again."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sapwood.errors import InputError
from sapwood.models import architectures, support, texts, train
from sapwood.models.card import Card, read_card
from sapwood.models.methods.catalogue import AnyMethod
from sapwood.models.methods.freeze import Freeze
from sapwood.models.tasks.catalogue import AnyTask
from sapwood.models.tasks.task import Reader, Setting
from sapwood.testing import tiny

TASKS, METHODS = support.kinds(AnyTask), support.kinds(AnyMethod)
EVERY = list(support.cells())
ACCEPTED = [cell for cell in EVERY if not cell.refusal]
SMALL = {
    "freeze": {"top_layers": 1},
    "lora": {"r": 2, "targets": "all"},
    "dora": {"r": 2},
    "qlora": {"r": 2},
    "adalora": {"r": 3, "target": 2},
    "prefix": {"tokens": 3},
    "prompt": {"tokens": 3},
    "p-tuning": {"tokens": 3, "width": 8},
    "adapters": {"width": 4},
}
MORE = {
    "prompt": {"words": {"negative": "angry", "positive": "happy"}},
    "regression": {"value": "meta.number"},
    "chat": {"template": "plain"},
    "sequence": {"most": 8},
}


def rows() -> list[dict[str, str]]:
    """Rows that every task can read, in English and Chinese."""
    found = []
    for number, row in enumerate(tiny.tiny_examples()[:8]):
        text, label = row["text"], row["label"]
        other = "这本小说很好。" if number % 2 else "a fair price"
        found.append(
            {
                "id": row["id"],
                "text": text,
                "label": label,
                "meta.labels": label,
                "meta.number": str(number % 3),
                "meta.spans": json.dumps([[0, 1, "AA"], [2, 4, "BB"]]),
                "meta.head": json.dumps([0, 1, "AA"]),
                "meta.tail": json.dumps([2, 4, "BB"]),
                "meta.question": "what",
                "meta.answers": json.dumps([[0, 3]]),
                "meta.target": other,
                "meta.positive": other,
                "meta.candidates": json.dumps([other, "the camera", "相机"], ensure_ascii=False),
                "meta.right": "0",
                "meta.messages": json.dumps([{"role": "user", "content": text[:12]}, {"role": "assistant", "content": other}]),
            }
        )
    return found


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return cache(lambda kind: tiny.tiny_base(tmp_path_factory.mktemp("bases") / kind, kind))


def pairwise(cells: list[support.Cell]) -> list[support.Cell]:
    """Few cells in which every accepted pair of task, method and architecture occurs."""
    pairs = lambda cell: set(combinations(enumerate(cell[:3]), 2))  # noqa: E731
    missing = set().union(*(pairs(cell) for cell in cells))
    chosen = []
    while missing:
        best = max(cells, key=lambda cell: len(pairs(cell) & missing))
        missing -= pairs(best)
        chosen.append(best)
    return chosen


FEW = set(pairwise(ACCEPTED))


def cell_id(cell: support.Cell) -> str:
    return "-".join(cell[:3])


@pytest.mark.parametrize("cell", [pytest.param(c, id=cell_id(c), marks=[] if c in FEW else pytest.mark.soak) for c in ACCEPTED])
def test_an_accepted_cell_trains_and_answers_the_same_when_opened_again(
    bases: Callable[[str], Path], tmp_path: Path, cell: support.Cell
) -> None:
    base, given = bases(cell.model_type), rows()
    start = read_card(base)
    task = TASKS[cell.task](**MORE.get(cell.task, {})).settled(given, start)
    method = METHODS[cell.method](**SMALL.get(cell.method, {}))
    card = start.model_copy(update={"task": task.answers_as or task.kind, "labels": task.labels(given), "max_tokens": 48})
    tokenizer = texts.load_tokenizer(base)
    reader = Reader(tokenizer, texts.pad_id(tokenizer), card, base)
    net = method.apply(task.open(base, card, Setting(3, "fp32", 0.0)), "fp32", 3)
    before = {name: p.detach().clone() for name, p in net.named_parameters() if p.requires_grad}
    assert before, "nothing trains"
    plan = train.Plan(steps=2, lr=1e-2, schedule={"kind": "constant"})
    calls = train.Calls(extras=method.extras(net, 2))
    train.train(net, task.source(reader, given, 4), method.taught(task.objective(0.0)), plan, 1, tmp_path / "home", calls)
    moved = [name for name, p in net.named_parameters() if p.requires_grad and not p.equal(before[name])]
    assert moved, "nothing moved"
    net.eval()
    said = task.answers(net, reader, given, "fp32")
    folder = tmp_path / "model"
    folder.mkdir()
    architectures.save_model(folder, method.finish(net), base, card)
    task.keep(base, folder)
    opened = task.open(folder, card, Setting(9, "fp32", 0.0)).eval()
    alike(said, task.answers(opened, reader._replace(folder=folder), given, "fp32"))


def alike(one: Any, other: Any) -> None:
    """Equal answers; numbers within 1e-5."""
    if isinstance(one, str | None) or hasattr(one, "start"):
        assert one == other
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            alike(one[name], other[name])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            alike(a, b)
    else:
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-5)


def test_every_refusal_is_a_sentence_with_a_reason() -> None:
    refused = [cell for cell in EVERY if cell.refusal]
    assert len(EVERY) == len(TASKS) * len(METHODS) * len(support.ARCHITECTURES)
    assert refused
    assert all(len(cell.refusal.split()) > 6 for cell in refused)


def test_each_task_method_and_architecture_is_accepted_somewhere() -> None:
    for place, names in enumerate((TASKS, METHODS, support.ARCHITECTURES)):
        assert {cell[place] for cell in ACCEPTED} == set(names)


def test_a_refused_architecture_is_said_by_the_stage(bases: Callable[[str], Path], tmp_path: Path) -> None:
    from sapwood.artifact import Examples, Model
    from sapwood.stages.finetune import Finetune
    from sapwood.store.local import LocalStore
    from sapwood.testing.stages import make_work
    from sapwood.text import rows as stored

    store = LocalStore(tmp_path / "store")
    (tmp_path / "rows").mkdir()
    stored.write(tmp_path / "rows", stored.table(tiny.tiny_examples(), stored.EXAMPLES))
    model, examples = store.put(Model, deepcopy(bases("albert"))), store.put(Examples, tmp_path / "rows")
    work = make_work(store, tmp_path / "scratch")
    with pytest.raises(InputError, match="share one set of weights"):
        Finetune(method=Freeze(top_layers=1)).run(work, model, examples, None, None)


def test_a_method_that_needs_an_absent_package_is_refused_in_plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from sapwood.models.methods import qlora
    from sapwood.stages.finetune import Finetune

    monkeypatch.setattr(qlora, "find_spec", lambda _: None)
    [said] = Finetune(method={"kind": "qlora"}).check(tmp_path)
    assert "sapwood[qlora]" in said


def test_the_card_of_a_stored_addition_still_says_what_the_model_answers(bases: Callable[[str], Path], tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    base = bases("bert")
    card = Card(name="x", task="classification", labels=("negative", "positive"), max_tokens=48)
    task = TASKS["classification"]()
    net = METHODS["prompt"](tokens=3).apply(task.open(base, card, Setting(3, "fp32", 0.0)), "fp32", 3)
    folder = tmp_path / "model"
    folder.mkdir()
    architectures.save_model(folder, net, base, card)
    assert sorted(path.name for path in (folder / "adapter").iterdir()) == ["adapter.json", "adapter.safetensors"]
    plain = AutoModelForSequenceClassification.from_pretrained(folder)
    assert not [name for name, _ in plain.named_parameters() if "additions" in name]
