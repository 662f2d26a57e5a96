"""Embeddings in two parts, and dropout with fewer draws: the same training, for less."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.models import architectures, checkpoint, compact, dropping, train
from sapwood.models.methods.full import Full
from sapwood.models.objectives.classes import classification
from sapwood.models.optimisers import Adam, AdamW, Sgd
from sapwood.models.sources.labelled import LabelledTexts

settings.register_profile("compact", deadline=None, max_examples=6)
settings.load_profile("compact")
WORDS = 300


def classifier(precision: str = "fp32", dropout: float = 0.0) -> torch.nn.Module:
    from transformers import BertForSequenceClassification

    config = architectures.bert(WORDS, 1, 16, 2, 64, dropout)
    config._attn_implementation = architectures.attention(precision)
    with architectures.seeded(3):
        return BertForSequenceClassification(config)


def texts(seed: int, highest: int = 40) -> LabelledTexts:
    chance = np.random.default_rng(seed)
    ids = [chance.integers(5, highest, size=length) for length in chance.integers(3, 20, size=24)]
    return LabelledTexts(ids, np.asarray([int(row[0] > 20) for row in ids]), 8)


def trained(model: torch.nn.Module, source: LabelledTexts, home: Path, optimiser: object, steps: int = 4) -> torch.nn.Module:
    plan = train.Plan(steps=steps, lr=1e-2, optimiser=optimiser)
    train.train(model, source, classification(), plan, 1, home, train.Calls())
    return model


@given(st.integers(0, 99), st.sampled_from([AdamW(weight_decay=0.0), Adam(), Sgd(momentum=0.9, lr=None)]))
def test_training_the_used_rows_gives_the_weights_that_training_all_rows_gives(seed: int, optimiser: object) -> None:
    import tempfile

    source = texts(seed)
    method = Full()
    with tempfile.TemporaryDirectory() as folder:
        dense = trained(classifier(), source, Path(folder) / "dense", optimiser).state_dict()
        parted = method.apply(classifier(), "fp32", 0)
        method.suit(parted, source.used)
        assert isinstance(parted.get_input_embeddings(), compact.Parted)
        got = method.finish(trained(parted, source, Path(folder) / "parted", optimiser)).state_dict()
    assert got.keys() == dense.keys()
    assert all(torch.allclose(got[name], dense[name], rtol=1e-4, atol=1e-6) for name in dense)
    start = classifier().state_dict()["bert.embeddings.word_embeddings.weight"]
    unused = np.setdiff1d(np.arange(WORDS), source.used)
    assert torch.equal(got["bert.embeddings.word_embeddings.weight"][unused], start[unused])


def test_a_parted_table_reads_text_of_any_tokens_and_its_checkpoint_is_small(tmp_path: Path) -> None:
    source = texts(1)
    whole, parted = classifier().eval(), classifier().eval()
    assert compact.part(parted, source.used)
    ids = torch.arange(0, 60).reshape(2, 30)  # half of them never occur in the training text
    assert torch.equal(whole(input_ids=ids).logits, parted(input_ids=ids).logits)
    assert sum(p.numel() for p in parted.parameters()) == sum(p.numel() for p in whole.parameters())
    trained(parted, source, tmp_path, AdamW(), 1)
    [saved] = checkpoint.complete(tmp_path)
    from safetensors.torch import load_file

    stored = load_file(saved / "weights.safetensors")
    assert len(stored["bert.embeddings.word_embeddings.weight"]) == len(source.used)
    assert not any(name.endswith(("rest", "slot")) for name in stored)


def test_a_table_stays_whole_where_it_is_shared_frozen_or_mostly_used() -> None:
    from transformers import BertConfig, BertForMaskedLM

    assert not compact.part(classifier(), np.arange(WORDS // 2 + 1))
    frozen = Full(embeddings=False).apply(classifier(), "fp32", 0)
    assert not compact.part(frozen, np.arange(9))
    config = BertConfig(vocab_size=WORDS, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    assert not compact.part(BertForMaskedLM(config), np.arange(9))


@pytest.mark.parametrize("chance", [0.1, 0.5])
def test_dropout_drops_that_share_keeps_the_mean_and_repeats_with_the_generator(chance: float) -> None:
    values = torch.ones(2, 301, 499)
    with architectures.seeded(5):
        first = dropping.dropped(values, chance)
    with architectures.seeded(5):
        assert torch.equal(first, dropping.dropped(values, chance))
    zero = (first == 0).float()
    spread = 5 * (chance * (1 - chance) / first.numel()) ** 0.5
    assert abs(float(zero.mean()) - chance) < spread
    assert abs(float(first.mean()) - 1) < spread / (1 - chance)
    assert float(first.max()) == pytest.approx(1 / (1 - chance))
    flat = zero.flatten() - chance
    assert all(abs(float((flat[lag:] * flat[:-lag]).mean())) < spread for lag in (1, 2, 3, 4, 8))  # bits of one draw are independent


def test_a_quickened_model_answers_as_before_and_drops_while_it_trains() -> None:
    model = classifier("fp32", 0.1).eval()
    ids = torch.arange(5, 45).reshape(2, 20)
    before = model(input_ids=ids).logits
    dropping.quicken(model)
    assert not any(type(module) is torch.nn.Dropout for module in model.modules())
    assert torch.equal(before, model(input_ids=ids).logits)
    assert not torch.equal(before, model.train()(input_ids=ids).logits)
