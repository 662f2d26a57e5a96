"""Prediction: input order, no influence of the batch, and LoRA that merges into a plain model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sapwood.errors import InputError
from sapwood.models import architectures, predict, texts
from sapwood.models.card import Card
from sapwood.models.methods.full import Full
from sapwood.models.methods.lora import Lora
from sapwood.testing import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_model(tmp_path_factory.mktemp("model"))


def test_answers_come_in_input_order_and_do_not_depend_on_the_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = predict.load_classifier(folder, threads=1)
    asked = [row["text"] for row in tiny.tiny_corpus()] + ["", "好"]
    seen: list[float] = []
    together = classifier.predict(asked, seen.append)
    assert together.shape == (74, 2)
    assert together.dtype == np.float32
    assert sum(seen) == 74
    assert np.allclose(together.sum(1), 1, atol=1e-5)
    monkeypatch.setattr(predict, "TOKENS_PER_BATCH", 1)
    assert np.abs(together - classifier.predict(asked)).max() < 1e-5
    assert classifier.predict([]).shape == (0, 2)
    assert classifier.labels == tiny.LABELS


def test_plain_transformers_gives_the_same_answer(folder: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    text = tiny.tiny_corpus()[3]["text"]
    with architectures.quiet():
        model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        given = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.no_grad():
        theirs = model(**given).logits.softmax(-1).numpy()
    assert np.allclose(predict.load_classifier(folder).predict([text]), theirs, atol=1e-6)
    assert model.config.id2label == {0: "negative", 1: "positive"}


def test_a_model_that_does_not_classify_is_refused(tmp_path: Path) -> None:
    tiny.tiny_model(tmp_path, labels=())
    with pytest.raises(InputError, match="not for classification"):
        predict.load_classifier(tmp_path)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_lora_trains_little_and_merges_into_a_plain_model(folder: Path, tmp_path: Path, precision: str) -> None:
    method = Lora(r=2, targets="all")
    net = architectures.classifier(folder, tiny.LABELS, 1, precision, 0.0)
    before = {name: p.clone() for name, p in net.named_parameters()}
    net = method.apply(net, precision, 1)
    free = {name for name, p in net.named_parameters() if p.requires_grad}
    assert all("lora" in name or "classifier" in name or "pooler" in name for name in free)
    with torch.no_grad():
        for name, p in net.named_parameters():
            if "lora_B" in name:
                p.fill_(0.05)
    ids = texts.encode(texts.load_tokenizer(folder), ["I love this lamp", "质量差"])
    net.eval()
    adapted = predict.probabilities(net, ids, 0, autocast=precision == "bf16")
    plain = method.finish(net)
    architectures.save_model(tmp_path, plain, folder, Card(task="classification", labels=tiny.LABELS, max_tokens=64))
    merged = predict.load_classifier(tmp_path).predict(["I love this lamp", "质量差"])
    assert np.abs(adapted - merged).max() < (1e-5 if precision == "fp32" else 0.02)
    after = dict(plain.named_parameters())
    assert after.keys() == before.keys()
    untouched = "bert.embeddings.word_embeddings.weight"
    assert torch.equal(after[untouched], before[untouched]), "frozen weights come back as they were, not as bf16 held them"
    adapted_weight = "bert.encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(after[adapted_weight], before[adapted_weight])


def test_frozen_embeddings_have_neither_gradient_nor_optimiser_state(folder: Path) -> None:
    net = Full(embeddings=False).apply(architectures.classifier(folder, tiny.LABELS, 1), "fp32", 1)
    assert not net.get_input_embeddings().weight.requires_grad


def test_precision_is_measured_once_and_only_for_auto() -> None:
    assert predict.resolve("fp32") == "fp32"
    assert predict.resolve("auto") == predict.resolve("auto") == predict.measure_precision()
