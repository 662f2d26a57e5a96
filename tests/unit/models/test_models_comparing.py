"""Embedding and ranking: what a step compares is stated, parts and batches change nothing, and both learn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sapwood.errors import InputError
from sapwood.models import texts, train, vectors
from sapwood.models.card import read_card
from sapwood.models.sources.comparing import Pair, PairsOfTexts, encode_pairs, unfair
from sapwood.models.tasks import candidates
from sapwood.models.tasks.embedding import Embedding
from sapwood.models.tasks.ranking import Ranking
from sapwood.models.tasks.task import Reader, Setting
from sapwood.probes.beside import comparing
from sapwood.testing import tiny

FEW = settings(deadline=None, max_examples=5, phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck))
SETTING = Setting(3, "fp32", 0.0)


def examples(every: int = 1) -> list[dict[str, str]]:
    """Openings and endings of the same language and thing: 36 queries in English and 36 in Chinese."""
    found = []
    for number, row in enumerate(tiny.tiny_examples()[::every]):
        parts = [part for part in row["text"].replace("。", "。\n").replace(". ", ".\n").split("\n") if part]
        right, others = parts[1], [text for pair in (*tiny.PRAISE, *tiny.BLAME) for text in pair if text != parts[1]]
        wrong = [others[(number + k) % len(others)] for k in range(3)]
        place = number % 4
        choice = [*wrong[:place], right, *wrong[place:]]
        found.append(
            {
                "id": row["id"],
                "text": f"{row['label']} {parts[0]}",
                "meta.positive": right,
                "meta.negatives": json.dumps(wrong, ensure_ascii=False),
                "meta.candidates": json.dumps(choice, ensure_ascii=False),
                "meta.right": str(place),
            }
        )
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_model(tmp_path_factory.mktemp("base") / "model", labels=())


@pytest.fixture(scope="module")
def reader(folder: Path) -> Reader:
    tokenizer = texts.load_tokenizer(folder)
    return Reader(tokenizer, texts.pad_id(tokenizer), read_card(folder))


def lively(model: torch.nn.Module) -> torch.nn.Module:
    """Weights ten times as large: the states of an untrained model are all alike, so that its gradients would be differences of noise."""
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(10.0 if p.ndim > 1 else 1.0)
    return model


def gradients(task: Any, model: Any, batches: list[Any]) -> tuple[float, torch.Tensor]:
    model.train()
    model.zero_grad(set_to_none=True)
    loss = train.accumulate(model, batches, task.objective(), "fp32")["loss"][0]
    return loss, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def same(one: tuple[float, torch.Tensor], other: tuple[float, torch.Tensor]) -> bool:
    return abs(one[0] - other[0]) <= 1e-5 * abs(one[0]) and float((one[1] - other[1]).norm()) <= 1e-5 * float(one[1].norm())


@FEW
@given(tokens=st.integers(64, 700), pooling=st.sampled_from(["mean", "cls", "last"]))
def test_a_step_encoded_in_parts_teaches_what_the_whole_step_teaches(folder: Path, reader: Reader, tokens: int, pooling: str) -> None:
    whole = Embedding(pooling=pooling)  # type: ignore[arg-type]
    parts = whole.model_copy(update={"tokens_at_once": tokens})
    [batch] = whole.source(reader, examples(), 24).at(1, 0, 0)
    assert batch.inputs["input_ids"].numel() > tokens
    model = lively(whole.open(folder, reader.card, SETTING))
    assert same(gradients(whole, model, [batch]), gradients(parts, model, [batch]))


def test_parts_with_dropout_go_back_through_the_same_dropout(folder: Path, reader: Reader) -> None:
    task = Embedding(tokens_at_once=200)
    model = task.open(folder, reader.card, Setting(3, "fp32", 0.2))
    model.train()
    [batch] = task.source(reader, examples(), 24).at(1, 0, 0)
    found = []
    for _ in range(2):
        torch.manual_seed(5)
        model.zero_grad()
        train.accumulate(model, [batch], task.objective(), "fp32")
        found.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert torch.equal(*found)
    assert float(found[0].norm()) > 0


@FEW
@given(tokens=st.integers(1, 2000), multiple=st.sampled_from([1, 8]), loss=st.sampled_from(["listwise", "pairwise", "pointwise"]))
def test_ranking_does_not_change_with_micro_batch_or_padding(folder: Path, reader: Reader, tokens: int, multiple: int, loss: str) -> None:
    task = Ranking(loss=loss, wrong=2)  # type: ignore[arg-type]
    source = task.source(reader, examples(), 13)
    whole, cut = source.at(1, 0, 0), replace(source, tokens_per_batch=tokens, multiple=multiple).at(1, 0, 0)  # type: ignore[type-var]
    assert len(whole) == 1
    model = lively(task.open(folder, reader.card, SETTING))
    assert same(gradients(task, model, whole), gradients(task, model, cut))


def test_a_text_that_is_right_for_another_query_is_no_wrong_one() -> None:
    step = [Pair(0, 10, (11,)), Pair(1, 10), Pair(2, 12), Pair(2, 13)]
    found = unfair(step, [10, 10, 12, 13, 11])
    assert found.tolist() == [
        [False, True, False, False, False],
        [True, False, False, False, False],
        [False, False, False, True, False],
        [False, False, True, False, False],
    ]


def test_every_step_has_the_stated_number_of_pairs_and_no_pair_twice_in_an_epoch() -> None:
    ids = [np.array([2, n, 3]) for n in range(5, 50)]
    source = PairsOfTexts(ids, [Pair(n, n + 20) for n in range(20)], rows=6)
    steps = [source.at(1, 0, index)[0] for index in range(source.steps(1, 0))]
    assert [batch.trained["pairs"] for batch in steps] == [6, 6, 6]
    seen = [int(row[1]) for batch in steps for row in batch.inputs["input_ids"][:6]]
    assert len(set(seen)) == 18


def test_dropout_alone_makes_two_views_of_a_text(folder: Path, reader: Reader) -> None:
    task = Embedding(learn="dropout")
    [batch] = task.source(reader, examples(6), 8).at(1, 0, 0)
    ids = batch.inputs["input_ids"]
    assert torch.equal(ids[:8], ids[8:])
    model = task.open(folder, reader.card, Setting(3, "fp32", 0.1))
    model.train()
    one = vectors.encoded(model, ids, batch.inputs["attention_mask"])
    assert not torch.allclose(one[:8], one[8:])
    assert float(task.objective()(model, batch).sum["pairs"].detach()) > 0


def test_the_end_of_a_long_query_and_half_of_the_room_for_the_candidate_stay(reader: Reader) -> None:
    [(ids, segments)] = encode_pairs(reader.tokenizer, [("early " * 40 + "kettle", "late " * 40)], 23)
    assert len(ids) == 23
    words = reader.tokenizer.decode(ids.tolist(), skip_special_tokens=True)
    assert "kettle" in words
    assert segments.sum() == 11
    [(ids, segments)] = encode_pairs(reader.tokenizer, [("水壶", "late " * 40)], 23)
    assert (segments.sum(), len(ids)) == (19, 23)


@pytest.mark.parametrize("task", [Embedding(), Ranking(wrong=3)], ids=["embedding", "ranking"])
def test_it_learns_and_its_answers_do_not_depend_on_who_asks_beside(task: Any, folder: Path, reader: Reader, tmp_path: Path) -> None:
    rows = examples()
    model = task.open(folder, reader.card, SETTING)
    before = task.measured(rows, task.answers(model, reader, rows, "fp32"), ()).values()
    source = task.source(reader, rows, 12)
    plan = train.Plan(steps=50, lr=3e-3, log_every=50)
    train.train(model, source, task.objective(), plan, 7, tmp_path)
    model.eval()
    answers = task.answers(model, reader, rows, "fp32")
    after = task.measured(rows, answers, ()).values()
    assert after["mrr"] > before["mrr"] + 0.15
    alone = task.answers(model, reader, rows[5:6], "fp32")
    assert np.allclose(alone[0], answers[5], atol=1e-5)


def test_an_encoder_of_texts_opens_elsewhere_with_its_pooling(folder: Path, reader: Reader, tmp_path: Path) -> None:
    from sapwood.models import architectures

    task = Embedding(pooling="cls", passage_prefix="passage: ")
    model = task.open(folder, reader.card, SETTING)
    architectures.save_model(tmp_path, model, folder, reader.card)
    task.keep(folder, tmp_path)
    again = Embedding().open(tmp_path, reader.card, SETTING)
    assert getattr(again.config, vectors.NOTE)["pooling"] == "cls"
    assert json.loads((tmp_path / "1_Pooling" / "config.json").read_text())["pooling_mode_cls_token"] is True
    assert [one["path"] for one in json.loads((tmp_path / "modules.json").read_text())] == ["", "1_Pooling", "2_Normalize"]


def test_rows_that_name_no_right_candidate_are_refused_by_name() -> None:
    row = examples(20)[0]
    with pytest.raises(InputError, match=f"{row['id']}: meta.right must name places from 0 to 3"):
        candidates.choice({**row, "meta.right": "4"})
    with pytest.raises(InputError, match=r"meta\.candidates is no JSON"):
        candidates.choice({**row, "meta.candidates": "[oh"})
    with pytest.raises(InputError, match=r"meta\.positive is empty"):
        candidates.choices([{**row, "meta.candidates": "", "meta.positive": ""}])


def test_without_candidates_every_known_answer_is_one() -> None:
    rows = [{**row, "meta.candidates": ""} for row in examples(9)]
    found = candidates.choices(rows)
    assert len({one.texts for one in found}) == 1
    assert all(row["meta.positive"] in {one.texts[place] for place in one.right} for row, one in zip(rows, found, strict=True))


def test_baselines_answer_in_the_same_form_and_words_shared_help_them() -> None:
    train_rows = [
        {"id": "a", "text": "怎么退货", "meta.positive": "七天无理由退货"},
        {"id": "b", "text": "when does it ship", "meta.positive": "within two days"},
    ]
    asked = {
        "id": "c",
        "text": "可以退货吗",
        "meta.candidates": json.dumps(["within two days", "退货请联系客服", "好的亲"], ensure_ascii=False),
        "meta.right": "1",
    }
    found = comparing.beside(Ranking(), train_rows, [asked, asked])
    assert set(found) == {"random", "tfidf-cosine", "bm25", "nearest-example"}
    assert all(answers[0].shape == (3,) for answers in found.values())
    for name in ("tfidf-cosine", "bm25", "nearest-example"):
        assert Ranking().measured([asked], found[name][:1], ()).values()["accuracy@1"] == 1.0, name
