"""The loop: resumed is the same as uninterrupted, bit for bit; how a step is cut into batches does not change what it teaches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.errors import Interrupted, ResourceError, SapwoodError
from sapwood.models import architectures, checkpoint, pairs, schedules, texts, train
from sapwood.models.methods.full import Full
from sapwood.models.methods.lora import Lora
from sapwood.models.methods.method import Method
from sapwood.models.objectives.classes import classification
from sapwood.models.objectives.masked import masked_words_and_sentences
from sapwood.models.objectives.terms import Batch, Objective
from sapwood.models.sources.labelled import LabelledTexts
from sapwood.models.sources.masked import MaskedPairs, SpecialTokens
from sapwood.testing import tiny

settings.register_profile("models", deadline=None, max_examples=8)
settings.load_profile("models")
CONFIG = {"vocab": 60, "layers": 2, "width": 32, "heads": 2, "max_tokens": 64}


def small_classifier(dropout: float) -> torch.nn.Module:
    from transformers import BertForSequenceClassification

    with architectures.seeded(3):
        return BertForSequenceClassification(architectures.bert(**CONFIG, dropout=dropout))


def labelled(rows: int = 8, tokens_per_batch: int = 8192, multiple: int = 1) -> LabelledTexts:
    chance = np.random.default_rng(5)
    ids = [chance.integers(5, 60, size=length) for length in chance.integers(3, 20, size=30)]
    return LabelledTexts(ids, np.asarray([int(row[0] > 30) for row in ids]), rows, 0, tokens_per_batch, multiple)


def plan(**changes: object) -> train.Plan:
    return train.Plan.model_validate({"steps": 9, "lr": 1e-3, "evaluate_every": 4, "keep_best": "score", "log_every": 2, **changes})


def run(home: Path, stop_at: int = 0, method: Method = Full(), **changes: object) -> tuple[dict, dict]:
    """Train to the end, being stopped once after step `stop_at`; the weights and the history."""
    scores = {4.0: 0.5, 8.0: 0.9, 9.0: 0.7}
    seen = {"steps": 0}

    def model() -> torch.nn.Module:
        return method.apply(small_classifier(0.1), "fp32", 3)

    def evaluate(_: object) -> dict[str, float]:
        torch.rand(3), np.random.rand()  # an evaluation that draws numbers must not change training
        return {"score": scores[float(seen["steps"])]}

    def advance(amount: float) -> None:
        seen["steps"] += int(amount)

    def once(net: torch.nn.Module, stop: int) -> train.Progress:
        seen["steps"] = 0
        calls = train.Calls(advance=advance, stopping=lambda: seen["steps"] + 1 > stop > 0, evaluate=evaluate)
        return train.train(net, labelled(), classification(0.1), plan(**changes), 7, home, calls)

    if stop_at:
        with pytest.raises(Interrupted, match="stopped and saved after step"):
            once(model(), stop_at)
    net = model()
    with architectures.seeded(99):  # the state of the generators before a resume does not matter
        progress = once(net, 0)
    return {k: v.clone() for k, v in checkpoint.trained(net).items()}, vars(progress)


@pytest.mark.parametrize("method", [Full(), Lora(r=4, dropout=0.1)], ids=["full", "lora"])
def test_resumed_training_equals_uninterrupted_training_bit_for_bit(tmp_path: Path, method: Method) -> None:
    straight, history = run(tmp_path / "straight", method=method)
    for stop in (2, 4, 7):
        resumed, again = run(tmp_path / f"stopped-{stop}", stop_at=stop, method=method)
        assert straight.keys() == resumed.keys()
        assert all(torch.equal(straight[name], resumed[name]) for name in straight), f"stopped after {stop}"
        assert again == history


def test_the_best_weights_are_kept_and_patience_ends_training(tmp_path: Path) -> None:
    _, history = run(tmp_path)
    assert (history["best"], history["best_step"], history["step"]) == (0.9, 8, 9)
    calls = train.Calls(evaluate=lambda _: {"score": 0.5})
    waiting = plan(evaluate_every=2, patience=2)
    progress = train.train(small_classifier(0.0), labelled(), classification(), waiting, 7, tmp_path / "patience", calls)
    assert progress.step == 6


def test_a_checkpoint_cut_off_or_changed_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train.train(small_classifier(0.0), labelled(), classification(), plan(), 7, tmp_path, train.Calls(stopping=lambda: True))
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert found.name == "step-000000001"
    weights = found / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x07")
    assert checkpoint.newest(tmp_path) is None
    (found / checkpoint.MANIFEST).unlink()
    assert checkpoint.complete(tmp_path) == []


def test_a_full_disk_is_said_and_leaves_no_half_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(ResourceError, match="disk is full"):
        train.train(small_classifier(0.0), labelled(), classification(), plan(), 7, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_not_finite_stops_with_the_step(tmp_path: Path) -> None:
    model = small_classifier(0.0)
    with torch.no_grad():
        model.classifier.weight.fill_(float("nan"))
    with pytest.raises(SapwoodError, match="step 1: loss or gradient was nan"):
        train.train(model, labelled(), classification(), plan(), 7, tmp_path)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_the_rate_rises_to_its_peak_and_ends_low(schedule: str) -> None:
    block = plan(schedule={"kind": schedule, "warmup": 0.1}).schedule
    rates = [schedules.share(block, step, 100) for step in range(100)]
    assert max(rates) == 1.0
    assert rates[0] < 0.1
    assert rates[:10] == sorted(rates[:10])
    assert schedule == "constant" or rates[-1] < 0.02


def gradients(model: torch.nn.Module, micro: list[Batch], objective: Objective) -> tuple[float, torch.Tensor]:
    model.zero_grad(set_to_none=True)
    loss = train.accumulate(model, micro, objective, "fp32")["loss"][0]
    return loss, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def same(one: tuple[float, torch.Tensor], other: tuple[float, torch.Tensor]) -> bool:
    return abs(one[0] - other[0]) <= 1e-5 * abs(one[0]) and float((one[1] - other[1]).norm()) <= 1e-5 * float(one[1].norm())


@given(tokens=st.integers(1, 400), multiple=st.sampled_from([1, 8, 32]))
def test_classification_does_not_change_with_micro_batch_or_padding(tokens: int, multiple: int) -> None:
    model = small_classifier(0.0)
    model.train()
    objective = classification(0.1)
    whole = labelled(rows=13).at(1, 0, 0)
    assert len(whole) == 1
    cut = labelled(rows=13, tokens_per_batch=tokens, multiple=multiple).at(1, 0, 0)
    assert same(gradients(model, whole, objective), gradients(model, cut, objective))


@pytest.fixture(scope="module")
def masked_pairs(tmp_path_factory: pytest.TempPathFactory) -> MaskedPairs:
    tokenizer = texts.load_tokenizer(tiny.tiny_tokenizer(tmp_path_factory.mktemp("tokenizer")))
    corpus = pairs.corpus(tokenizer, [row["text"] for row in tiny.tiny_corpus()], 48)
    special = SpecialTokens(2, 3, 4, 0, tokenizer.get_vocab_size())
    return MaskedPairs(corpus, special, rows=12)


@given(tokens=st.integers(1, 900), multiple=st.sampled_from([1, 8, 16]))
def test_pretraining_does_not_change_with_micro_batch_or_padding(masked_pairs: MaskedPairs, tokens: int, multiple: int) -> None:
    from dataclasses import replace

    config = architectures.bert(masked_pairs.special.vocab, 2, 32, 2, 64, dropout=0.0)
    model = architectures.pretraining_model(config, 1)
    model.train()
    whole = replace(masked_pairs, multiple=1).at(1, 0, 2)
    cut = replace(masked_pairs, tokens_per_batch=tokens, multiple=multiple).at(1, 0, 2)
    objective = masked_words_and_sentences
    assert same(gradients(model, whole, objective), gradients(model, cut, objective))


def test_the_masked_head_gives_the_loss_of_the_whole_head(masked_pairs: MaskedPairs) -> None:
    model = architectures.pretraining_model(architectures.bert(masked_pairs.special.vocab, 2, 32, 2, 64, dropout=0.0), 1)
    batch = masked_pairs.at(1, 0, 0)[0]
    terms = masked_words_and_sentences(model, batch)
    labels = torch.full_like(batch.inputs["input_ids"], -100)
    labels.view(-1)[batch.targets["positions"]] = batch.targets["tokens"]
    theirs = model(**batch.inputs, labels=labels, next_sentence_label=batch.targets["next"]).loss
    ours = sum(terms.sum[name] / terms.count[name] for name in terms.sum)
    assert torch.allclose(ours, theirs, rtol=1e-5)
