"""Chunked cross-entropy: the same numbers as the plain one, in memory that does not grow with tokens x words."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from sapwood.models.methods.lora import Lora
from sapwood.models.objectives import vocabulary

settings.register_profile("vocabulary", deadline=None, max_examples=15)
settings.load_profile("vocabulary")


def parts(seed: int, tokens: int, words: int, kind: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    """states, weight, bias, targets."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        leaves = (torch.randn(tokens, 24), torch.randn(words, 24) * 0.5, torch.randn(words))
        targets = torch.randint(-1, words, (tokens,))  # a few are -1: they do not count
        return *(leaf.to(kind).requires_grad_() for leaf in leaves), targets


def near(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-5) -> bool:
    return float((a - b).abs().max()) <= tolerance * max(1.0, float(b.abs().max()))


CUTS = st.tuples(st.integers(1, 6000), st.sampled_from([1, 8, 32]))
"""Logits of a chunk, and what its tokens are a multiple of."""


@given(st.integers(0, 99), st.integers(2, 90), st.integers(3, 300), st.sampled_from([0.0, 0.1]), st.booleans(), CUTS)
def test_loss_and_gradients_equal_plain_cross_entropy_however_it_is_cut(
    seed: int, tokens: int, words: int, smoothing: float, weighed: bool, cuts: tuple[int, int]
) -> None:
    states, weight, bias, targets = parts(seed, tokens, words)
    shares = torch.linspace(0.1, 2, tokens) if weighed else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "ROOM", cuts[0])
        patch.setattr(vocabulary, "FEWEST", cuts[1])
        found = vocabulary.cross_entropy(states, weight, targets, bias, smoothing, shares)
        got = torch.autograd.grad(found.loss * 0.37, (states, weight, bias))
    logits = states @ weight.T + bias
    each = F.cross_entropy(logits, targets, reduction="none", ignore_index=-1, label_smoothing=smoothing)
    plain = (each if shares is None else each * shares).sum()
    wanted = torch.autograd.grad(plain * 0.37, (states, weight, bias))
    assert near(found.loss, plain)
    assert all(near(a, b) for a, b in zip(got, wanted, strict=True))
    assert found.right == (float(((logits.argmax(-1) == targets) & (targets >= 0)).sum()), int((targets >= 0).sum()))


@given(st.integers(0, 99), st.integers(1, 60), st.integers(3, 300), CUTS)
def test_log_probabilities_of_tokens_equal_plain_ones_and_have_the_same_gradient(
    seed: int, tokens: int, words: int, cuts: tuple[int, int]
) -> None:
    states, weight, bias, targets = parts(seed, tokens, words)
    targets, factors = targets.clamp(min=0), torch.linspace(-1, 2, tokens)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "ROOM", cuts[0])
        patch.setattr(vocabulary, "FEWEST", cuts[1])
        found = vocabulary.token_log_probs(states, weight, targets, bias)
        got = torch.autograd.grad((found * factors).sum(), (states, weight, bias))
    plain = (states @ weight.T + bias).log_softmax(-1)[torch.arange(tokens), targets]
    wanted = torch.autograd.grad((plain * factors).sum(), (states, weight, bias))
    assert near(found, plain)
    assert all(near(a, b) for a, b in zip(got, wanted, strict=True))


def test_a_frozen_weight_gets_no_gradient_and_none_is_made_without_grad(monkeypatch: pytest.MonkeyPatch) -> None:
    states, weight, bias, targets = parts(1, 20, 50)
    made: list[bool] = []
    real = vocabulary._Chunks.add
    monkeypatch.setattr(vocabulary._Chunks, "add", lambda self, *given: (made.append(self.of_weight is None), real(self, *given))[1])
    vocabulary.cross_entropy(states, weight.detach(), targets).loss.backward()
    assert made == [True]
    assert states.grad is not None
    with torch.no_grad():
        assert not vocabulary.cross_entropy(states, weight, targets, bias).loss.requires_grad
    assert made == [True]


def test_under_bf16_products_are_bf16_and_the_loss_is_fp32() -> None:
    states, weight, _, targets = parts(2, 64, 500)
    plain = F.cross_entropy(states @ weight.T, targets, reduction="sum", ignore_index=-1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = vocabulary.cross_entropy(states, weight, targets).loss
    loss.backward()
    assert (loss.dtype, weight.grad.dtype) == (torch.float32, torch.float32)
    assert loss.item() != plain.item()
    assert near(loss, plain, 2e-2)


def test_no_token_that_counts_is_a_loss_of_nothing() -> None:
    states, weight, _, targets = parts(3, 5, 7)
    found = vocabulary.cross_entropy(states, weight, torch.full_like(targets, vocabulary.IGNORE))
    found.loss.backward()
    assert (float(found.loss.detach()), found.right) == (0.0, (0.0, 0))
    assert not states.grad.any()


def test_a_loss_cannot_be_gone_back_through_twice_unless_kept() -> None:
    states, weight, _, targets = parts(4, 9, 7)
    kept = vocabulary.cross_entropy(states, weight, targets).loss
    first = torch.autograd.grad(kept, states, retain_graph=True)[0]
    assert torch.equal(first, torch.autograd.grad(kept, states)[0])
    with pytest.raises(RuntimeError, match="second time"):
        kept.backward()


SIZES = {"vocab_size": 90, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}


def llama() -> torch.nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**SIZES)).eval()


def masked() -> torch.nn.Module:
    from transformers import BertConfig, BertForMaskedLM

    return BertForMaskedLM(BertConfig(**SIZES)).eval()


def writer() -> torch.nn.Module:
    from transformers import T5Config, T5ForConditionalGeneration

    sizes = {"vocab_size": 90, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
    return T5ForConditionalGeneration(T5Config(**sizes, decoder_start_token_id=0)).eval()


@pytest.mark.parametrize("make", [llama, masked, writer, lambda: Lora(r=2, targets="all").apply(llama(), "fp32", 0)])
def test_the_head_of_any_language_model_gives_the_models_own_logits(make: object) -> None:
    model = make()  # type: ignore[operator]
    ids = torch.arange(2, 16).reshape(2, 7)
    inputs = {"input_ids": ids, **({"decoder_input_ids": ids} if model.config.is_encoder_decoder else {})}
    found = vocabulary.head(model, inputs)
    logits = found.states @ found.weight.T + (0 if found.bias is None else found.bias)
    assert torch.allclose(logits, model(**inputs).logits, atol=1e-5)


PEAK = """
import resource, sys, torch
from sapwood.models.objectives import vocabulary
vocabulary.ROOM = 1 << 20
torch.set_num_threads(1)
tokens, words = int(sys.argv[1]), 20_000
states, weight = torch.randn(tokens, 8, requires_grad=True), torch.randn(words, 8)
vocabulary.cross_entropy(states[:52], weight, torch.zeros(52, dtype=torch.long)).loss.backward()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
vocabulary.cross_entropy(states, weight, torch.randint(0, words, (tokens,))).loss.backward()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_peak_memory_does_not_grow_with_tokens_times_words() -> None:
    """2,048 tokens x 20,000 words are 164 MB of fp32 logits; the chunks beside them take 4."""
    done = subprocess.run([sys.executable, "-c", PEAK, "2048"], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 16
