"""What does not change a training: the side of the padding, the number of processes, a stop between two steps under any optimiser."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sapwood.errors import InputError, Interrupted, ResourceError, SapwoodError
from sapwood.models import allocation, architectures, checkpoint, guarding, train
from sapwood.models.objectives.classes import classification
from sapwood.models.objectives.contrastive import in_batch
from sapwood.models.objectives.masked import masked_words
from sapwood.models.objectives.terms import Batch, Terms
from sapwood.models.processes import Team
from sapwood.models.sources.comparing import Pair, PairsOfTexts
from sapwood.models.sources.documents import MaskedWindows, Windows
from sapwood.models.sources.labelled import LabelledTexts
from sapwood.models.sources.masked import SpecialTokens

FIXED = settings(deadline=None, max_examples=8)
VOCABULARY = 60
SPECIAL = SpecialTokens(cls=2, sep=3, mask=4, pad=0, vocab=VOCABULARY)
OPTIMISERS = (
    {"kind": "adamw"},
    {"kind": "adam"},
    {"kind": "sgd"},
    {"kind": "sgd", "momentum": 0.0},
    {"kind": "adafactor"},
)


def encoder(dropout: float = 0.0) -> torch.nn.Module:
    model = architectures.pretraining_model(architectures.bert(VOCABULARY, 2, 32, 2, 64, dropout), 3)
    model.train()
    return model


def classifier(dropout: float = 0.0) -> torch.nn.Module:
    from transformers import BertForSequenceClassification

    with architectures.seeded(3):
        return BertForSequenceClassification(architectures.bert(VOCABULARY, 1, 16, 2, 32, dropout))


def words(rows: int = 11, **changes: int) -> MaskedWindows:
    chance = np.random.default_rng(5)
    lengths = chance.integers(3, 40, size=40)
    ids = chance.integers(5, VOCABULARY, size=lengths.sum()).astype(np.int32)
    return replace(MaskedWindows(Windows(ids, np.concatenate([[0], np.cumsum(lengths)]), 40, 0), SPECIAL, rows), **changes)


def labelled() -> LabelledTexts:
    chance = np.random.default_rng(5)
    ids = [chance.integers(5, VOCABULARY, size=length) for length in chance.integers(3, 20, size=30)]
    return LabelledTexts(ids, np.asarray([int(row[0] > 30) for row in ids]), 8)


def compared(tokens: int, team: Team) -> dict[str, Any]:
    """Loss, accuracy and gradient of a step whose 7 queries are compared with 14 texts, encoded at once or `tokens` at a time."""
    from transformers import BertModel

    chance = np.random.default_rng(5)
    ids = [np.array([2, *chance.integers(5, VOCABULARY, size=n), 3]) for n in chance.integers(2, 12, size=21)]
    pairs = [Pair(n, n + 7, (n + 14,)) for n in range(7)]
    config = architectures.bert(VOCABULARY, 1, 16, 2, 32, 0.0)
    config.sapwood_embedding = {"pooling": "mean"}
    with architectures.seeded(3):
        model = BertModel(config)
    encoded: set[tuple[int, ...]] = set()
    model.register_forward_pre_hook(lambda _, __, given: encoded.update(map(tuple, given["input_ids"].tolist())), with_kwargs=True)
    sums = train.accumulate(model, PairsOfTexts(ids, pairs, 7).at(1, 0, 0), in_batch(0.05, tokens), "fp32", team)
    return {"encoded": len(encoded), "sums": sums, "grads": {name: p.grad for name, p in model.named_parameters() if p.grad is not None}}


def gradients(model: torch.nn.Module, micro: list[Batch], precision: str = "fp32") -> tuple[float, Tensor]:
    model.zero_grad(set_to_none=True)
    loss = train.accumulate(model, micro, masked_words, precision)["loss"][0]
    return loss, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def same(one: tuple[float, Tensor], other: tuple[float, Tensor], within: float = 1e-5) -> bool:
    return abs(one[0] - other[0]) <= within * abs(one[0]) and float((one[1] - other[1]).norm()) <= within * float(one[1].norm())


def padded_left(batch: Batch) -> Batch:
    """The same rows with their padding in front; positions count from the first token, as they did."""
    mask = batch.inputs["attention_mask"]
    width = mask.shape[1]
    shift = width - mask.sum(1, keepdim=True)
    moved = (torch.arange(width) - shift) % width
    inputs = {name: t.gather(1, moved) for name, t in batch.inputs.items()}
    inputs["position_ids"] = (torch.arange(width) - shift).clamp(min=0)
    at = batch.targets["positions"]
    row = at // width
    return Batch(inputs, {**batch.targets, "positions": at + shift[row, 0]}, batch.trained)


@given(seed=st.integers(0, 99), tokens=st.integers(1, 500), multiple=st.sampled_from([1, 8, 32]))
@FIXED
def test_masked_words_do_not_change_with_micro_batch_padding_or_its_side(seed: int, tokens: int, multiple: int) -> None:
    model = encoder()
    whole = words(multiple=1).at(seed, 0, 1)
    cut = words(tokens_per_batch=tokens, multiple=multiple).at(seed, 0, 1)
    left = [padded_left(batch) for batch in cut]
    expected = gradients(model, whole)
    assert len(whole) == 1
    assert same(expected, gradients(model, cut))
    assert same(expected, gradients(model, left))


def test_the_narrow_stream_gives_the_gradient_of_plain_autocast_up_to_the_rounding_of_bf16() -> None:
    from sapwood.models.stream import PLAIN, narrow

    model, micro = encoder(), words(tokens_per_batch=200).at(1, 0, 0)
    model.config._attn_implementation = "eager"
    exact, usual = gradients(model, micro), gradients(model, micro, "bf16")
    with narrow(model, "bf16"):
        assert model.config._attn_implementation == PLAIN
        ours = gradients(model, micro, "bf16")
    assert model.config._attn_implementation == "eager"
    assert same(gradients(model, micro), exact, 0.0)
    assert same(exact, ours, 0.03)
    assert float((ours[1] - exact[1]).norm()) < 2 * float((usual[1] - exact[1]).norm())


@given(heads=st.sampled_from([1, 2, 4]), tokens=st.integers(1, 9), whole=st.booleans(), masked=st.booleans())
@FIXED
def test_plain_attention_is_the_attention_of_torch(heads: int, tokens: int, whole: bool, masked: bool) -> None:
    from sapwood.models.stream import attend

    with architectures.seeded(tokens):
        query, key, value = torch.randn(3, 2, heads, tokens, 8).unbind()
        mask = torch.randn(2, 1, tokens if whole else 1, tokens) if masked else None
    module = torch.nn.Module().eval()
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    assert torch.allclose(attend(module, query, key, value, mask)[0], expected.transpose(1, 2), atol=1e-5)


MEMBER = """
import sys
from pathlib import Path
import torch
from test_models_exactness import classification, compared, labelled, classifier, encoder, masked_words, words
from sapwood.models import processes, train

torch.use_deterministic_algorithms(True)
out = Path(sys.argv[1])
with processes.joined() as team:
    model = encoder()
    sums = train.accumulate(model, words(tokens_per_batch=150).at(1, 0, 0), masked_words, "fp32", team)
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    near = [compared(tokens, team) for tokens in (10000, 60)]
    net, losses = classifier(), []
    plan = train.Plan(steps=6, lr=1e-2, log_every=1, save_every=2)
    calls = train.Calls(log=lambda **point: losses.append(point["loss"]), team=team)
    source = labelled()
    progress = train.train(net, type(source)(source.ids, source.labels, 8, 0, 40), classification(), plan, 7, out / "home", calls)
    torch.save({"sums": sums, "grads": grads, "near": near, "losses": losses, "weights": net.state_dict()}, out / f"rank-{team.rank}-of-{team.size}.pt")
"""


def launched(folder: Path, processes: int) -> list[dict[str, Any]]:
    """What each member of torch's launcher found."""
    (folder / "member.py").write_text(MEMBER, encoding="utf-8")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), str(folder / "member.py"), str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder / f"rank-{rank}-of-{processes}.pt", weights_only=True) for rank in range(processes)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    [found] = launched(tmp_path_factory.mktemp("alone"), 1)
    return found


def test_two_processes_have_the_losses_gradients_and_weights_of_one(alone: dict[str, Any], tmp_path: Path) -> None:
    for member in launched(tmp_path, 2):
        assert member["losses"] == pytest.approx(alone["losses"], rel=1e-5)
        assert member["sums"]["loss"] == pytest.approx(alone["sums"]["loss"], rel=1e-5)
        assert member["sums"]["mlm_accuracy"] == alone["sums"]["mlm_accuracy"]
        assert member["grads"].keys() == alone["grads"].keys()
        for name, grad in alone["grads"].items():
            assert float((member["grads"][name] - grad).norm()) <= 1e-5 * float(grad.norm()) + 1e-9, name
        for name, weight in alone["weights"].items():
            assert torch.allclose(member["weights"][name], weight, rtol=1e-4, atol=1e-5), name
    assert checkpoint.newest(tmp_path / "home") is not None


def test_texts_that_are_compared_are_shared_among_processes_with_the_gradient_of_one(alone: dict[str, Any], tmp_path: Path) -> None:
    for member in launched(tmp_path, 3):
        for one, other in zip(alone["near"], member["near"], strict=True):
            assert (one["encoded"], other["encoded"]) == (21, 7)
            assert other["sums"]["loss"] == pytest.approx(one["sums"]["loss"], rel=1e-5)
            assert other["sums"]["in_batch_accuracy"] == one["sums"]["in_batch_accuracy"]
            for name, grad in one["grads"].items():
                assert float((other["grads"][name] - grad).norm()) <= 1e-5 * float(grad.norm()) + 1e-7, name


def plan(**changes: object) -> train.Plan:
    return train.Plan.model_validate({"steps": 9, "lr": 1e-3, "log_every": 2, **changes})


def trained(home: Path, chosen: train.Plan, stop: int = 0, poison: tuple[int, ...] = ()) -> tuple[dict[str, Tensor], train.Progress]:
    """Weights and history at the end, after one stop and resume where `stop` is given. In the steps of `poison` the loss is NaN."""
    objective = classification()
    at = {"step": 0}

    def poisoned(model: object, batch: Batch) -> Terms:
        terms = objective(model, batch)
        bad = at["step"] + 1 in poison
        return Terms({name: total * float("nan") if bad else total for name, total in terms.sum.items()}, terms.count, terms.logs)

    def once(end: int) -> tuple[torch.nn.Module, train.Progress]:
        def advance(steps: float) -> None:
            at["step"] += int(steps)

        at["step"], model = 0, classifier(0.1)
        calls = train.Calls(advance=advance, stopping=lambda: at["step"] >= end > 0)
        return model, train.train(model, labelled(), poisoned, chosen, 7, home, calls)

    if stop:
        with pytest.raises(Interrupted):
            once(stop)
    model, progress = once(0)
    return {name: t.clone() for name, t in model.state_dict().items()}, progress


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=["adamw", "adam", "sgd", "sgd-without-momentum", "adafactor"])
def test_every_optimiser_is_resumed_bit_for_bit(tmp_path: Path, optimiser: dict[str, object]) -> None:
    chosen = plan(optimiser=optimiser, schedule={"kind": "cosine"})
    straight, history = trained(tmp_path / "straight", chosen)
    resumed, again = trained(tmp_path / "resumed", chosen, stop=4)
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
    assert vars(again) == vars(history)


def test_a_resumed_training_with_skipped_steps_is_exact(tmp_path: Path) -> None:
    chosen = plan(rules={"not_finite": "skip"})
    straight, history = trained(tmp_path / "straight", chosen, poison=(3, 4, 7))
    assert [incident["step"] for incident in history.incidents] == [3, 4, 7]
    assert {incident["did"] for incident in history.incidents} == {"skip"}
    for stop in (3, 5):
        resumed, again = trained(tmp_path / f"stopped-{stop}", chosen, stop=stop, poison=(3, 4, 7))
        assert all(torch.equal(straight[name], resumed[name]) for name in straight), stop
        assert json.loads(json.dumps(vars(again), default=str)) == json.loads(json.dumps(vars(history), default=str))
    assert all(bool(t.isfinite().all()) for t in straight.values())


def test_one_skip_more_than_allowed_stops_training(tmp_path: Path) -> None:
    chosen = plan(rules={"not_finite": "skip", "skips": 2})
    assert trained(tmp_path / "two", chosen, poison=(3, 4))[1].step == 9
    with pytest.raises(SapwoodError, match="step 5: loss or gradient was nan"):
        trained(tmp_path / "three", chosen, poison=(3, 4, 5))


def test_a_spike_is_left_out_or_stops_by_rule_and_is_told() -> None:
    rules = guarding.Rules(spike=10.0)
    norms = [1.0] * guarding.FEWEST
    assert guarding.judge(rules, 0.5, 9.9, norms, 0).deed == "go"
    assert guarding.judge(rules, 0.5, 10.1, norms, 0) == ("skip", "spike", 10.1, 1.0)
    assert guarding.judge(rules, 0.5, 10.1, norms[1:], 0).deed == "go"
    assert guarding.judge(rules.model_copy(update={"on_spike": "stop"}), 0.5, 10.1, norms, 0).deed == "stop"
    told = guarding.told({"step": 12, "what": "spike", "value": 10.1, "usual": 1.0, "did": "skip"})
    assert told.startswith("step 12: the gradient's norm was 10.1, usually 1")


def test_a_spike_costs_its_step_and_no_weight_moves_in_it(tmp_path: Path) -> None:
    model, source, objective = classifier(), labelled(), classification()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    progress = train.Progress(norms=[1e-9] * guarding.FEWEST)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    found: list[dict[str, object]] = []
    calls = train.Calls(note=found.append)
    train.one_step(model, source.at(7, 0, 0), objective, plan(rules={"spike": 5.0}), optimiser, progress, calls)
    assert [(one["what"], one["did"]) for one in found] == [("spike", "skip")]
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert (progress.step, progress.skipped, progress.since) == (1, 1, {})


def test_a_loss_that_does_not_fall_stops_when_asked(tmp_path: Path) -> None:
    with pytest.raises(SapwoodError, match="the loss has not fallen"):
        trained(tmp_path / "asked", plan(steps=40, lr=1e-12, rules={"stuck": 4}))
    assert trained(tmp_path / "usual", plan(steps=12, lr=1e-12))[1].step == 12


def test_permanent_checkpoints_stay_and_rolling_ones_leave(tmp_path: Path) -> None:
    trained(tmp_path, plan(steps=10, save_every=3, keep_every=4))
    assert [checkpoint.number(folder) for folder in sorted(checkpoint.complete(tmp_path))] == [4, 8, 10]
    trained(tmp_path / "rolling", plan(steps=10, save_every=3))
    assert [checkpoint.number(folder) for folder in checkpoint.complete(tmp_path / "rolling")] == [10]


def test_a_checkpoint_that_does_not_fit_is_refused_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(checkpoint, "save_file", lambda *_: pytest.fail("it was written"))
    with pytest.raises(ResourceError, match="MB are free"):
        trained(tmp_path, plan())


def test_members_share_every_micro_batch_once() -> None:
    micro = words(tokens_per_batch=60).at(1, 0, 0)
    shares = [Team(rank, 3).share(micro) for rank in range(3)]
    assert sorted(id(batch) for share in shares for batch, counts in share if counts) == sorted(id(batch) for batch in micro)


def test_the_loop_says_how_long_it_waited_for_batches(tmp_path: Path) -> None:
    said: list[str] = []
    train.train(classifier(), labelled(), classification(), plan(steps=2), 7, tmp_path, train.Calls(say=said.append))
    assert len(said) == 1
    assert said[0].endswith("s of training waited for batches")


def test_batches_made_with_the_model_are_refused_to_several_processes(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Rollouts(LabelledTexts):
        ahead: ClassVar[bool] = False

    texts = labelled()
    source = Rollouts(texts.ids, texts.labels, 8)
    with pytest.raises(InputError, match="batches with the model as it is now"):
        train.train(classifier(), source, classification(), plan(), 7, tmp_path, train.Calls(team=Team(0, 2)))


@pytest.mark.skipif(allocation._glibc() is None, reason="another C library")
def test_freed_memory_is_kept_inside_and_soon_costs_no_page_faults() -> None:
    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(16 << 20)  # 64 MB are 16,384 pages
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    with allocation.kept():
        found = [faults() for _ in range(40)]  # glibc 2.36 takes a few to find one that fits again: small blocks come to lie between them
    assert sorted(found)[20] < 1000, found
    assert faults() > 1000
