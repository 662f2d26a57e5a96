"""New rows of embeddings start from their parts; old rows and old answers stay, bit for bit."""

import pytest
import torch

from sapwood.errors import InputError
from sapwood.models import architectures, extending
from sapwood.models.card import Card, read_card
from sapwood.testing import tiny

IDS, PARTS = [300, 301, 302], [(5, 6), (7,), ()]


def causal(folder, tied):
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"vocab_size": 300, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    with architectures.seeded(1):
        model = LlamaForCausalLM(LlamaConfig(**shape, max_position_embeddings=32, tie_word_embeddings=tied))
    return model, tiny.tiny_tokenizer(folder)


def extended(model, folder, words, ids, parts):
    folder.mkdir()
    architectures.save_model(folder / ".", model, words, Card(name="old"))
    grown = folder.with_name(f"{folder.name}-grown")
    grown.mkdir()
    extending.extend(folder, words, grown, ids, parts, Card(name="new"))
    return extending.opened(grown), grown


@pytest.mark.parametrize("tied", [True, False])
def test_a_causal_model_gets_rows_in_both_tables_and_answers_old_text_as_before(tmp_path, tied):
    old, words = causal(tmp_path / "words", tied)
    new, folder = extended(old, tmp_path / "model", words, IDS, PARTS)
    for table, before in (
        (new.get_input_embeddings().weight, old.get_input_embeddings().weight),
        (new.get_output_embeddings().weight, old.get_output_embeddings().weight),
    ):
        assert table.shape == (303, 16)
        assert torch.equal(table[:300], before)
        assert torch.equal(table[300], before[[5, 6]].mean(dim=0))
        assert torch.equal(table[301], before[7])
        assert torch.allclose(table[302], before.mean(dim=0))
    assert new.config.vocab_size == 303
    assert (new.get_input_embeddings().weight is new.get_output_embeddings().weight) == tied
    text = torch.tensor([[5, 17, 250, 9]])
    with torch.no_grad():
        assert torch.equal(new(text).logits[..., :300], old(text).logits)
    assert len(read_card(folder).tokenizer) == 64


def test_a_masked_model_keeps_its_heads_and_gets_a_bias(tmp_path):
    old_folder = tiny.tiny_model(tmp_path / "model", labels=())
    old = extending.opened(old_folder)
    first = len(old.get_input_embeddings().weight)
    with torch.no_grad():
        old.cls.predictions.bias.copy_(torch.arange(first, dtype=torch.float32) / 100)
    new, _ = extended(old, tmp_path / "biased", old_folder, [first, first + 1], [(8, 10), (12,)])
    bias = new.get_output_embeddings().bias
    assert bias[first].item() == pytest.approx(0.09)
    assert bias[first + 1].item() == pytest.approx(0.12)
    assert torch.equal(bias[:first], old.get_output_embeddings().bias)
    text = {"input_ids": torch.tensor([[2, 9, 11, 3]]), "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    with torch.no_grad():
        one, two = old.eval()(**text), new.eval()(**text)
    assert torch.equal(one.prediction_logits, two.prediction_logits[..., :first])
    assert torch.equal(one.seq_relationship_logits, two.seq_relationship_logits)


def test_rows_that_a_model_has_to_spare_are_used_before_it_grows(tmp_path):
    old, words = causal(tmp_path / "words", True)
    new, _ = extended(old, tmp_path / "model", words, [298, 299], [(5, 6), (7,)])
    before = old.get_input_embeddings().weight
    assert new.config.vocab_size == 300
    assert torch.equal(new.get_input_embeddings().weight[298], before[[5, 6]].mean(dim=0))
    assert torch.equal(new.get_input_embeddings().weight[:298], before[:298])


def test_a_class_that_transformers_does_not_have_is_refused(tmp_path):
    folder = tiny.tiny_model(tmp_path / "model")
    config = folder / "config.json"
    config.write_text(config.read_text().replace("BertForSequenceClassification", "AutoTokenizer"))
    with pytest.raises(InputError, match="no model class 'AutoTokenizer'"):
        extending.opened(folder)
