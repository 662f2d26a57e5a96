"""Pre-training objectives: exact whatever the batches, packed equal to unpacked, and masks that are functions of the example."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.models import masking, pairs, texts, train
from sapwood.models.fresh import building, dial, shapes
from sapwood.models.objectives.causal import causal_lm
from sapwood.models.objectives.corruption import span_corruption
from sapwood.models.objectives.masked import masked_words, masked_words_and_sentences
from sapwood.models.objectives.terms import Batch, Objective
from sapwood.models.pretraining import causal, corruption, masked, measuring
from sapwood.models.pretraining.pretraining import Reading
from sapwood.models.sources import documents, streams
from sapwood.models.sources.masked import MaskedPairs
from sapwood.testing import tiny
from sapwood.text.tokens import packing

settings.register_profile("pretraining", deadline=None, max_examples=5)
settings.load_profile("pretraining")
TEXTS = [row["text"] for row in tiny.tiny_corpus()]
SHAPE = {"layers": 2, "width": 32, "heads": 2}


def reading_for(folder: Any, family: str) -> Reading:
    tokenizer = texts.load_tokenizer(building.tokenizer(tiny.tiny_tokenizer(folder / "plain"), folder / family, family, 64))
    return Reading(tokenizer, building.marks(tokenizer), 64)


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reading]:
    folder = tmp_path_factory.mktemp("readings")
    return {family: reading_for(folder, family) for family in ("bert", "albert", "llama", "gpt2", "t5")}


def model_of(shape: shapes.Shape, reading: Reading, pair: bool = False) -> Any:
    found = building.model(building.config(shape, reading.marks, 64, 0.0), pair, 1, "fp32")
    found.train()
    return found


def gradients(model: Any, micro: list[Batch], objective: Objective) -> tuple[float, torch.Tensor]:
    model.zero_grad(set_to_none=True)
    loss = train.accumulate(model, micro, objective, "fp32")["loss"][0]
    return loss, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def same(one: tuple[float, torch.Tensor], other: tuple[float, torch.Tensor]) -> bool:
    return abs(one[0] - other[0]) <= 1e-5 * abs(one[0]) and float((one[1] - other[1]).norm()) <= 1e-5 * float(one[1].norm())


@pytest.mark.parametrize("shape", [shapes.Llama(**SHAPE), shapes.Gpt2(**SHAPE)], ids=["llama", "gpt2"])
@given(length=st.integers(50, 150), rows=st.sampled_from([1, 4]), eager=st.booleans())
def test_packed_documents_teach_what_unpacked_ones_do(readings: Any, shape: shapes.Shape, length: int, rows: int, eager: bool) -> None:
    reading = readings[shape.kind]
    ids = list(streams.encoded(reading.tokenizer, TEXTS[:12], [2], [3]))
    model = model_of(shape, reading)
    model.config._attn_implementation = "eager" if eager else "sdpa"
    whole = streams.Held(64, [[packing.Piece(number, 0, row, None)] for number, row in enumerate(ids)], 12, 0)
    alone = [batch for number in range(12) for batch in streams.Streams(whole, 1, multiple=1).of([number])]
    packed = streams.held(ids, length)
    together = [
        batch
        for start in range(0, len(packed), rows)
        for batch in streams.Streams(packed, rows).of(range(start, min(start + rows, len(packed))))
    ]
    assert len(together) < len(alone)
    assert same(gradients(model, alone, causal_lm), gradients(model, together, causal_lm))


def test_packed_documents_give_each_token_the_chance_that_it_has_alone(readings: Any) -> None:
    reading = readings["llama"]
    ids = list(streams.encoded(reading.tokenizer, TEXTS[:6], [2], [3]))
    model = model_of(shapes.Llama(**SHAPE), reading).eval()
    packed = streams.held(ids, 200)
    with torch.no_grad():
        measured = causal.CausalLM().measured(model, reading, streams.Streams(packed, 99), "fp32")
    nats = []
    with torch.no_grad():
        for row in ids:
            tokens = torch.from_numpy(row)[None]
            logits = model(input_ids=tokens).logits[0, :-1].log_softmax(-1)
            nats.append(-float(logits.gather(1, tokens[0, 1:, None]).sum()))
    assert np.allclose(sorted(measured.counts[:, 0]), sorted(nats), rtol=1e-5)
    size = sorted(len(text.lower().replace(" ", "").encode()) for text in TEXTS[:6])
    assert sorted(measured.counts[:, 2]) == size, "a token's bytes are those of the text that it spells"


def sources(readings: Any) -> dict[str, tuple[Any, Objective, Any]]:
    """By name: a source, its objective and a model."""
    bert, albert, t5 = readings["bert"], readings["albert"], readings["t5"]
    windows = masked.MaskedLM(second="none").corpus(bert, TEXTS)
    ordered = masked.MaskedLM(second="sentence_order")
    return {
        "words alone": (masked.MaskedLM(second="none").source(bert, windows, 12), masked_words, model_of(shapes.Bert(**SHAPE), bert)),
        "sentence order": (
            ordered.source(albert, ordered.corpus(albert, TEXTS), 12), masked_words_and_sentences,
            model_of(shapes.Albert(**SHAPE, embedding=16), albert, pair=True),
        ),
        "spans": (
            corruption.SpanCorruption().source(t5, corruption.SpanCorruption().corpus(t5, TEXTS), 12), span_corruption,
            model_of(shapes.T5(**SHAPE), t5),
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["words alone", "sentence order", "spans"])
@given(tokens=st.integers(1, 900), multiple=st.sampled_from([1, 8, 16]))
def test_an_objective_does_not_change_with_micro_batch_or_padding(readings: Any, name: str, tokens: int, multiple: int) -> None:
    source, objective, model = sources(readings)[name]
    whole = replace(source, multiple=1).at(1, 0, 2)
    cut = replace(source, tokens_per_batch=tokens, multiple=multiple).at(1, 0, 2)
    assert same(gradients(model, whole, objective), gradients(model, cut, objective))


def test_heads_on_masked_positions_give_the_loss_that_transformers_gives(readings: Any) -> None:
    for name, label in (("words alone", ""), ("sentence order", "sentence_order_label")):
        source, objective, model = sources(readings)[name]
        batch = source.at(1, 0, 0)[0]
        terms = objective(model, batch)
        labels = torch.full_like(batch.inputs["input_ids"], -100)
        labels.view(-1)[batch.targets["positions"]] = batch.targets["tokens"]
        more = {label: batch.targets["next"]} if label else {}
        theirs = model(**batch.inputs, labels=labels, **more).loss
        assert torch.allclose(sum(terms.sum[term] / terms.count[term] for term in terms.sum), theirs, rtol=1e-5)
    source, objective, model = sources(readings)["spans"]
    batch = source.at(1, 0, 0)[0]
    labels = torch.full_like(batch.inputs["decoder_input_ids"], -100)
    labels.view(-1)[batch.targets["positions"]] = batch.targets["tokens"]
    terms = objective(model, batch)
    assert torch.allclose(terms.sum["tokens"] / terms.count["tokens"], model(**batch.inputs, labels=labels).loss, rtol=1e-5)


@given(rows=st.integers(1, 30), seed=st.integers(0, 3), epoch=st.integers(0, 3))
def test_masks_and_hidden_spans_are_the_examples_own_whatever_the_batch(readings: Any, rows: int, seed: int, epoch: int) -> None:
    for name in ("words alone", "spans"):
        source = sources(readings)[name][0]
        told = lambda found: sorted(tuple(row.tolist()) for step in found for b in step for row in b.inputs["input_ids"])  # noqa: E731
        by = [
            [s.at(seed, epoch, i) for i in range(s.steps(seed, epoch))]
            for s in (replace(source, multiple=64), replace(source, rows=rows, multiple=64))
        ]
        assert told(by[0]) == told(by[1])


@given(length=st.integers(2, 200), rate=st.floats(0.05, 0.6), mean=st.floats(1, 6), seed=st.integers(0, 50))
def test_hidden_spans_and_what_is_left_make_the_text_again(readings: Any, length: int, rate: float, mean: float, seed: int) -> None:
    ids = np.random.default_rng(seed).integers(5, 300, size=length)
    windows = documents.Windows(ids.astype(np.int32), np.asarray([0, length]), 1, 0)
    marks = corruption.sentinels(readings["t5"])
    source = documents.HiddenSpans(windows, marks, 1, rate, mean)
    read, wrote = source.example(seed, 0, 0)
    spans: dict[int, list[int]] = {}
    for token in wrote[:-1]:
        spans.setdefault(int(token), []) if token >= marks.first else spans[max(spans)].append(int(token))
    whole = [part for token in read[1:-1] for part in (spans[int(token)] if token >= marks.first else [int(token)])]
    assert whole == ids.tolist()
    hidden = source.flags(seed, 0, 0)
    assert not hidden[0]
    assert hidden.sum() == min(max(1, round(length * rate)), length - 1) or len(spans) == marks.count
    batch = source._batch([(read, wrote)])
    assert int(batch.targets["hidden"].sum()) == hidden.sum()
    before = corruption._before(batch, 999)[batch.targets["hidden"].numpy()]
    where = np.flatnonzero(hidden)
    assert before[:, 1].tolist() == ids[where - 1].tolist(), "a span's tokens follow what stands before them in the text"


@given(seed=st.integers(0, 200), size=st.integers(1, 60))
def test_whole_words_are_masked_whole_and_about_as_many_tokens(seed: int, size: int) -> None:
    chance = np.random.default_rng(seed)
    joins = chance.random(size) < 0.4
    joins[0] = False
    special = np.zeros(size, dtype=bool)
    _, chosen = masking.mask(np.arange(size) + 10, special, 0.15, 4, 100, chance, joins)
    word = np.cumsum(~joins)
    assert set(np.flatnonzero(np.isin(word, word[chosen]))) == set(chosen), "part of a word was left"
    longest = int(np.bincount(word).max())
    assert len(chosen) <= max(longest, 0.15 * size + longest)


def test_pairs_carry_their_words_and_change_places_in_half_of_the_cases(readings: Any) -> None:
    tokenizer = readings["bert"].tokenizer
    plain, joined = (pairs.corpus(tokenizer, TEXTS, 48, words) for words in (False, True))
    assert plain.ids.tolist() == joined.ids.tolist()
    assert joined.joins is not None
    assert 0 < joined.joins.sum() < len(joined.ids)
    made = [pairs.pair(joined, i % len(joined.windows), masking.generator(1, i, i), order=True) for i in range(300)]
    assert 0.4 < np.mean([pair.follows for pair in made]) < 0.6
    for number, pair in enumerate(made):
        _, first, stop = joined.windows[number % len(joined.windows)]
        parts = [pair.a, pair.b] if pair.follows else [pair.b, pair.a]
        assert np.concatenate(parts).tolist() == joined.tokens(first, stop).tolist()
        assert len(pair.joins) == len(pair.a) + len(pair.b)
    source = MaskedPairs(joined, masked.special_tokens(readings["bert"]), 8)
    assert source.at(0, 0, 0)[0].trained.keys() == {"mlm", "nsp"}


def test_held_out_documents_of_packed_tokens_are_never_learned() -> None:
    ids = [np.arange(5, 25) for _ in range(200)]
    whole = streams.held(ids, 64)
    kept, aside = streams.Kept(whole, 0.2), streams.aside(whole, 0.2, 10**6)
    taught = {int(s["document"]) for n in range(len(kept)) for s in kept.sequence(n).segments if kept.sequence(n).learned[s["at"]]}
    measured = {int(piece.document) for pieces in aside.sequences for piece in pieces}
    assert taught | measured == set(range(200))
    assert not taught & measured
    assert 20 < len(measured) < 60


def test_the_dial_counts_the_weights_that_the_model_has(readings: Any) -> None:
    for shape in (shapes.Bert(), shapes.Albert(embedding=32), shapes.Llama(), shapes.Gpt2(), shapes.T5()):
        derived = dial.derive(dial.Given(shape, "400k", None, 0, 0, 1))
        net = model_of(derived.shape, readings[shape.kind])
        words = (
            "word_embeddings",
            "position_embeddings",
            "token_type",
            "embed_tokens",
            "wte",
            "wpe",
            "shared",
            "embedding_hidden",
            "predictions",
            "cls.",
        )
        found = sum(p.numel() for name, p in net.named_parameters() if not any(part in name for part in words))
        assert abs(found / derived.shape.weights - 1) < 0.1, shape.kind
        assert 0.6 < derived.shape.weights / 400_000 < 1.6


def test_a_tokens_bytes_are_its_letters() -> None:
    from sapwood.text.tokens import vocabulary

    tokenizer = vocabulary.train(["the kettle 水壶很好 " * 20], "bpe", 300)
    size = measuring.spelled(tokenizer, 400)
    text = "the kettle 水壶很好 ñ"
    assert size[tokenizer.encode(text).ids].sum() == len(text.encode())


def test_an_epoch_reads_every_sequence_once_in_the_order_that_the_cursor_names() -> None:
    from sapwood.text.tokens import order

    whole = streams.held([np.arange(5, 15) + number for number in range(70)], 20)
    source = streams.Streams(whole, 4)
    seen = [batch.inputs["input_ids"][:, 0].tolist() for index in range(source.steps(3, 1)) for batch in source.at(3, 1, index)]
    cursor = order.at_step(len(whole), 3, 4, 0, epoch=1)
    numbers, _ = order.take(len(whole), cursor, len(whole))
    assert [first for step in seen for first in step] == [int(whole.sequence(int(n)).tokens[0]) for n in numbers]
    assert sorted(numbers.tolist()) == list(range(len(whole)))
