"""Tasks of encoders: each learns a rule on tiny text in English and Chinese, answers the same in any order, and teaches the same
whatever the micro-batches. Decoders learn the same tasks by the same heads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.errors import InputError
from sapwood.models import texts, train, windows
from sapwood.models.card import Card
from sapwood.models.pieces import pieces
from sapwood.models.tasks.multilabel import Multilabel
from sapwood.models.tasks.regression import Regression
from sapwood.models.tasks.relations import Relations
from sapwood.models.tasks.spans import Spans
from sapwood.models.tasks.task import Reader, Row, Setting, Task
from sapwood.models.tasks.tokens import Tokens
from sapwood.testing import tiny

PLACES = [("lamp", "灯"), ("novel", "小说"), ("camera", "相机"), ("kettle", "水壶")]


def row(number: int, text: str, **more: Any) -> Row:
    return {"id": f"r{number}", "text": text, **{name.replace("__", "."): value for name, value in more.items()}}


def examples(kind: str) -> list[Row]:
    """48 rows, half English and half Chinese, whose answer can be read off the text."""
    found = []
    for number in range(48):
        language, good, thing = number % 2, number // 2 % 2, PLACES[number // 4 % 4]
        name = thing[language]
        verdict = (("It broke", "a great choice"), ("坏了", "很好"))[language][good]
        lead = ("I looked at the ", "我看了")[language]
        text = f"{lead}{name}{(' . ', '，')[language]}{verdict}"
        start = len(lead)
        span = [start, start + len(name)]
        if kind == "multilabel":
            found.append(row(number, text, label=json.dumps(["good"] if good else ["bad", "broken"])))
        elif kind == "regression":
            found.append(row(number, text, label=str(1000 + 50 * good)))
        elif kind == "tokens":
            found.append(row(number, text, meta__spans=json.dumps([[*span, "THING"]])))
        elif kind == "relations":
            told = [len(text) - len(verdict), len(text), "V"]
            pair = {"meta__head": json.dumps([*span, "T"]), "meta__tail": json.dumps(told)}
            found.append(row(number, text, label=("breaks", "pleases")[good], **pair))
        else:
            asked = ("What did I look at", "我看了什么")[language] if number % 3 else ("What broke", "坏了")[language]
            found.append(row(number, text, meta__question=asked, meta__answers=json.dumps([span] if number % 3 else [])))
    return found


TASKS: dict[str, Task] = {
    "multilabel": Multilabel(),
    "regression": Regression(),
    "tokens": Tokens(pieces="all"),
    "relations": Relations(),
    "spans": Spans(),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {"bert": tiny.tiny_model(root / "bert", labels=()), "llama": tiny.tiny_writer(root / "llama", "llama")}


def opened(task: Task, folder: Path, rows: Sequence[Row], max_tokens: int = 64) -> tuple[Task, Any, Reader]:
    settled = task.settled(rows, Card())
    card = Card(labels=settled.labels(rows), max_tokens=max_tokens)
    tokenizer = texts.load_tokenizer(folder)
    reader = Reader(tokenizer, texts.pad_id(tokenizer), card, folder)
    return settled, settled.open(folder, card, Setting(3, "fp32", 0.0)), reader


def taught(kind: str, folder: Path, home: Path, steps: int) -> tuple[Task, Any, Reader, list[Row]]:
    rows = examples(kind)
    task, model, reader = opened(TASKS[kind], folder, rows)
    plan = train.Plan(steps=steps, lr=8e-3)
    train.train(model, task.source(reader, rows, 16), task.objective(0.0), plan, 1, home)
    return task, model.eval(), reader, rows


@pytest.mark.parametrize("architecture", ["bert", "llama"])
@pytest.mark.parametrize(
    ("kind", "score", "bar"),
    [("multilabel", "micro_f1", 0.95), ("regression", "r2", 0.9), ("tokens", "f1", 0.95), ("relations", "f1", 0.95), ("spans", "f1", 0.9)],
)
def test_a_task_is_learned_by_encoder_and_decoder(
    kind: str, score: str, bar: float, architecture: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    task, model, reader, rows = taught(kind, folders[architecture], tmp_path, 45)
    found = task.measured(rows, task.answers(model, reader, rows, "fp32"), reader.card.labels).values()
    assert found[score] > bar


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray | float):
        return bool(np.allclose(one, other, atol=1e-4))
    return bool(one == other)


@pytest.mark.parametrize("kind", TASKS)
def test_answers_come_in_the_order_of_the_rows_and_do_not_depend_on_their_neighbours(kind: str, folders: dict[str, Path]) -> None:
    rows = examples(kind)[:12]
    task, model, reader = opened(TASKS[kind], folders["bert"], rows)
    model.eval()
    together = task.answers(model, reader, rows, "fp32")
    turned = task.answers(model, reader, rows[::-1], "fp32")
    alone = [task.answers(model, reader, [one], "fp32")[0] for one in rows]
    assert all(same(a, b) and same(a, c) for a, b, c in zip(together, turned[::-1], alone, strict=True))


@pytest.mark.parametrize("kind", TASKS)
@given(tokens=st.integers(20, 400), multiple=st.sampled_from([1, 8, 32]))
@settings(deadline=None, max_examples=3)
def test_a_step_teaches_the_same_whatever_the_micro_batches_and_padding(
    folders: dict[str, Path], kind: str, tokens: int, multiple: int
) -> None:
    from dataclasses import replace

    rows = examples(kind)[:13]
    task, model, reader = opened(TASKS[kind], folders["bert"], rows)
    model.train()
    source: Any = task.source(reader, rows, 13)
    found = []
    for made in (replace(source, multiple=1), replace(source, tokens_per_batch=tokens, multiple=multiple)):
        model.zero_grad(set_to_none=True)
        loss = train.accumulate(model, made.at(1, 0, 0), task.objective(0.1), "fp32")["loss"][0]
        found.append((loss, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])))
    (one, gradient), (other, again) = found
    assert abs(one - other) <= 1e-5 * abs(one)
    assert float((gradient - again).norm()) <= 1e-5 * float(gradient.norm())


def test_pieces_are_cut_where_a_unit_begins_and_every_unit_has_a_token(folders: dict[str, Path]) -> None:
    tokenizer = texts.load_tokenizer(folders["bert"])
    for text in ("I looked at 这盏灯.", "  酒店房间 U.S. price", "novel,novel"):
        [one] = pieces(tokenizer, [text], "query: ")
        assert set(one.unit[one.unit >= 0].tolist()) == set(range(len(one.places)))
        assert (np.diff(one.unit[one.unit >= 0]) >= 0).all()


def test_a_long_text_is_read_in_windows_that_together_hold_every_unit_once(folders: dict[str, Path]) -> None:
    tokenizer = texts.load_tokenizer(folders["bert"])
    text = "我看了小说，" * 20 + "the novel is great " * 5
    cut, [read] = windows.tagged(tokenizer, [text], "", 16)
    assert all(len(one.ids) <= 16 for one in cut)
    assert np.concatenate([one.unit[windows.firsts(one.unit)] for one in cut]).tolist() == list(range(len(read.places)))
    assert all(one.ids[0] == 2 and one.ids[-1] == 3 for one in cut)


def test_every_answer_of_a_long_text_is_whole_in_some_window(folders: dict[str, Path]) -> None:
    tokenizer = texts.load_tokenizer(folders["bert"])
    text = "我看了小说，" * 30
    cut, [read] = windows.asked(tokenizer, ["我看了什么"], [text], 48, 0)
    held = [set(one.unit[one.unit >= 0].tolist()) for one in cut]
    assert all(any({at, at + 1, at + 2} <= one for one in held) for at in range(len(read.places) - 2))


def test_a_relation_is_read_with_typed_marks_and_only_its_surroundings() -> None:
    text = "前言。" + "鲁迅与许广平于1927年定居上海。" + "后记" * 300
    one = row(1, text, label="spouse", meta__head='[3, 5, "PER"]', meta__tail='[6, 9, "PER"]')
    assert Relations(context=3).text(one) == "前言。 @ * PER * 鲁迅 @ 与 # ^ PER ^ 许广平 # 于19"
    turned = {**one, "meta.head": one["meta.tail"], "meta.tail": one["meta.head"]}
    assert Relations(context=0, markers="plain").text(turned) == "# 鲁迅 # 与 @ 许广平 @"
    with pytest.raises(InputError, match="overlap"):
        Relations().pair({**one, "meta.tail": '[4, 9, "PER"]'})


def test_classes_are_a_list_or_parted_by_a_mark() -> None:
    task = Multilabel()
    rows = [row(1, "a", label='["size", "price"]'), row(2, "b", label="price | 价格"), row(3, "c", label="")]
    assert [task.names(one) for one in rows] == [["size", "price"], ["price", "价格"], []]
    assert task.labels(rows) == ("price", "size", "价格")
    with pytest.raises(InputError, match="row r9"):
        task.names(row(9, "d", label='["size"'))


def test_a_number_keeps_its_own_unit_and_a_challenger_the_scale_of_its_champion() -> None:
    rows = examples("regression")
    first = Regression().settled(rows, Card())
    assert (first.centre, first.scale) == (1025.0, 25.0)
    champion = Card(task="regression", asks=first.model_dump(mode="json"))
    assert Regression().settled(rows[:3], champion) == first
    with pytest.raises(InputError, match="row r0: label is 'cheap', not a number"):
        first.numbers([{**rows[0], "label": "cheap"}])


def test_a_label_that_the_model_does_not_know_names_the_row(folders: dict[str, Path]) -> None:
    rows = examples("tokens")
    task, _, reader = opened(TASKS["tokens"], folders["bert"], rows)
    strange = [{**rows[0], "meta.spans": '[[0, 1, "PET"]]'}]
    with pytest.raises(InputError, match="row r0 has the label PET; the model's are THING"):
        task.source(reader, strange, 4)
    with pytest.raises(InputError, match="row r0 has the label PET"):
        task.measured(strange, [[]], reader.card.labels)
