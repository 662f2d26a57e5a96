"""Wrappers add what their formulas say, do not change with micro-batches, and leave the model as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from sapwood.errors import Interrupted
from sapwood.models import additions, architectures, averaging, checkpoint, train
from sapwood.models.methods.adalora import AdaLora
from sapwood.models.methods.full import Full
from sapwood.models.methods.method import Method
from sapwood.models.objectives import wrapping
from sapwood.models.objectives.classes import classification, multilabel, regression
from sapwood.models.objectives.terms import Batch, Objective
from sapwood.models.objectives.unlikely import places, unlikely
from sapwood.models.objectives.written import written
from sapwood.models.regularise import Regularise
from sapwood.models.remember import Remember
from sapwood.models.sources.labelled import LabelledTexts
from sapwood.models.sources.mixed import Mixed, Twinned
from sapwood.models.sources.packed import Packed
from sapwood.testing import tiny
from sapwood.text.swaps import swapped

settings.register_profile("wrapping", deadline=None, max_examples=3)
settings.load_profile("wrapping")


def small(dropout: float = 0.0, seed: int = 3, labels: int = 2) -> torch.nn.Module:
    from transformers import BertForSequenceClassification

    config = architectures.bert(vocab=60, layers=2, width=32, heads=2, max_tokens=64, dropout=dropout)
    config.num_labels = labels
    with architectures.seeded(seed):
        return BertForSequenceClassification(config)


def labelled(rows: int = 8, tokens: int = 8192, seed: int = 5) -> LabelledTexts:
    chance = np.random.default_rng(seed)
    ids = [chance.integers(5, 60, size=length) for length in chance.integers(3, 20, size=30)]
    return LabelledTexts(ids, np.asarray([int(row[0] > 30) for row in ids]), rows, 0, tokens, 1)


def step(model: torch.nn.Module, micro: list[Batch], objective: Objective) -> tuple[float, torch.Tensor]:
    model.zero_grad(set_to_none=True)
    loss = train.accumulate(model, micro, objective, "fp32")["loss"][0]
    return loss, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def twins(source: LabelledTexts) -> dict[bytes, np.ndarray]:
    return {row.tobytes(): np.where(row == 7, 8, row) for row in source.ids if (row == 7).any()}


def elastic_of(model: torch.nn.Module, strength: float = 3.0) -> Objective:
    old = {name: p.detach().clone() for name, p in model.named_parameters()}
    stiff = wrapping.fisher(model, labelled(rows=1), classification(), 1, 6)
    return wrapping.elastic(classification(), old, stiff, strength)


WRAPPED: dict[str, Callable[[torch.nn.Module], Objective]] = {
    "fgm": lambda _: wrapping.adversarial(classification(), 0.5),
    "pgd": lambda _: wrapping.adversarial(classification(), 0.5, 3, 0.3),
    "r-drop": lambda _: wrapping.r_drop(classification(), "classes", 2.0),
    "elastic": elastic_of,
    "distilled": lambda _: wrapping.distilled(classification(), small(seed=9), "classes", 0.7, 2.0),
    "even": lambda _: wrapping.even(classification(), 1.5),
}


@pytest.mark.parametrize("name", WRAPPED)
@given(tokens=st.integers(1, 300))
def test_a_wrapped_objective_does_not_change_with_micro_batches(name: str, tokens: int) -> None:
    model = small()
    objective = WRAPPED[name](model)
    with torch.no_grad():
        model.classifier.weight.add_(0.1)
    whole, cut = (Twinned(source, twins(source)).at(1, 0, 0) for source in (labelled(13), labelled(13, tokens)))
    one, other = step(model, whole, objective), step(model, cut, objective)
    assert abs(one[0] - other[0]) <= 1e-5 * abs(one[0])
    assert float((one[1] - other[1]).norm()) <= 1e-4 * float(one[1].norm())


def test_fgm_adds_the_loss_at_the_moved_word_vectors_and_leaves_every_weight() -> None:
    model, [batch] = small(), labelled().at(1, 0, 0)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    terms = wrapping.adversarial(classification(), 0.5)(model, batch)
    words = model.get_input_embeddings()(batch.inputs["input_ids"]).detach().requires_grad_(True)
    mask, truth = batch.inputs["attention_mask"], batch.targets["label"]
    loss = F.cross_entropy(model(inputs_embeds=words, attention_mask=mask).logits, truth, reduction="sum")
    [slope] = torch.autograd.grad(loss, words)
    moved = words + 0.5 * slope / slope.flatten(1).norm(dim=1)[:, None, None]
    worse = F.cross_entropy(model(inputs_embeds=moved, attention_mask=mask).logits, truth, reduction="sum")
    assert torch.allclose(terms.sum["class"], loss + worse, rtol=1e-5)
    assert worse > loss
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert not model.get_input_embeddings()._forward_hooks


def test_more_steps_find_a_worse_place_within_the_same_distance() -> None:
    model, [batch] = small(), labelled().at(1, 0, 0)
    plain, fgm, pgd = (
        float(objective(model, batch).sum["class"])
        for objective in (
            classification(),
            wrapping.adversarial(classification(), 2.0),
            wrapping.adversarial(classification(), 2.0, 6, 0.8),
        )
    )
    assert plain * 2 < fgm < pgd * 1.02
    move = torch.full((2, 3, 4), 5.0)
    assert torch.allclose(wrapping._within(move, 2.0).flatten(1).norm(dim=1), torch.tensor([2.0, 2.0]))


def test_r_drop_is_the_mean_loss_and_the_symmetric_divergence_of_two_passes() -> None:
    model, [batch] = small(dropout=0.3), labelled().at(1, 0, 0)
    model.train()
    torch.manual_seed(4)
    a, b = (model(**batch.inputs).logits for _ in range(2))
    logs = [one.log_softmax(-1) for one in (a, b)]
    kl = [(logs[i].exp() * (logs[i] - logs[1 - i])).sum() for i in range(2)]
    wanted = sum(F.cross_entropy(one, batch.targets["label"], reduction="sum") for one in (a, b)) / 2 + 2.0 * (kl[0] + kl[1]) / 2
    torch.manual_seed(4)
    got = wrapping.r_drop(classification(), "classes", 2.0)(model, batch).sum["class"]
    assert torch.allclose(got, wanted, rtol=1e-5)
    assert float((kl[0] + kl[1]).detach()) > 1e-4
    model.eval()
    same = wrapping.r_drop(classification(), "classes", 2.0)(model, batch)
    assert torch.allclose(same.sum["class"], classification()(model, batch).sum["class"], rtol=1e-5)


def test_elastic_weights_cost_nothing_at_the_old_weights_and_grow_with_the_square() -> None:
    model, [batch] = small(), labelled().at(1, 0, 0)
    objective = elastic_of(model, 3.0)
    plain = classification()(model, batch).sum["class"]
    assert torch.equal(objective(model, batch).sum["class"], plain)
    stiff = wrapping.fisher(model, labelled(rows=1), classification(), 1, 6)
    with torch.no_grad():
        model.classifier.bias.add_(0.2)
    part = objective(model, batch).sum["class"] - classification()(model, batch).sum["class"]
    assert torch.allclose(part, 3.0 / 2 * 0.04 * stiff["classifier.bias"].sum() * len(batch.targets["label"]), rtol=1e-3)


def test_the_fisher_information_is_the_mean_squared_gradient_of_single_examples() -> None:
    model, source = small(), labelled(rows=1)
    found = wrapping.fisher(model, source, classification(), 1, 4)["classifier.weight"]
    slopes = []
    for index in range(4):
        [batch] = source.at(1, 0, index)
        model.zero_grad()
        F.cross_entropy(model(**batch.inputs).logits, batch.targets["label"]).backward()
        slopes.append(model.classifier.weight.grad.square().clone())
    assert torch.allclose(found, torch.stack(slopes).mean(0), rtol=1e-4)


@pytest.mark.parametrize("likeness", ["classes", "flags", "numbers"])
def test_answers_are_compared_by_their_formula_and_are_no_distance_from_themselves(likeness: str) -> None:
    torch.manual_seed(1)
    said, wanted = torch.randn(5, 3), torch.randn(5, 3)
    got = wrapping.apart(likeness, said, wanted, 2.0)
    p, q = ((wanted / 2).softmax(-1), (said / 2).softmax(-1)) if likeness == "classes" else ((wanted / 2).sigmoid(), (said / 2).sigmoid())
    kl = p * (p / q).log()
    formulas = {
        "classes": 4 * kl.sum(),
        "flags": 4 * (kl + (1 - p) * ((1 - p) / (1 - q)).log()).sum(),
        "numbers": (said - wanted).square().sum(),
    }
    assert torch.allclose(got, formulas[likeness], rtol=1e-4)
    assert float(wrapping.apart(likeness, said, said)) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize(("objective", "likeness", "labels"), [(multilabel(), "flags", 2), (regression, "numbers", 1)])
def test_other_answers_than_one_class_are_distilled_too(objective: Objective, likeness: str, labels: int) -> None:
    [batch] = labelled().at(1, 0, 0)
    truth = batch.targets["label"]
    batch = replace(batch, targets={"label": F.one_hot(truth, 2) if labels == 2 else truth})
    model, teacher = small(labels=labels), small(labels=labels, seed=9)
    terms = wrapping.distilled(objective, teacher, likeness, 0.5, 1.0)(model, batch)
    own, theirs = (net(**batch.inputs).logits for net in (model, teacher))
    wanted = next(iter(objective(model, batch).sum.values())) + 0.5 * wrapping.apart(likeness, own, theirs)
    assert torch.allclose(next(iter(terms.sum.values())), wanted, rtol=1e-5)
    assert not any(p.requires_grad for p in teacher.parameters())


def test_the_penalty_of_a_text_and_its_twin_is_the_squared_difference_of_their_answers() -> None:
    source = labelled(30)
    model, [batch] = small(), Twinned(source, twins(source)).at(1, 0, 0)
    rows = batch.targets["twin_rows"]
    assert 0 < len(rows) < 30
    gap = model(**batch.inputs).logits[rows] - model(input_ids=batch.targets["twin_ids"], attention_mask=batch.targets["twin_mask"]).logits
    got = wrapping.even(classification(), 1.5)(model, batch).sum["class"] - classification()(model, batch).sum["class"]
    assert torch.allclose(got, 1.5 * gap.square().mean(-1).sum(), rtol=1e-3)


def test_words_are_swapped_whole_in_english_and_anywhere_in_chinese() -> None:
    pairs = [("he", "she"), ("man", "woman"), ("他", "她"), ("男孩", "女孩")]
    assert swapped("He saw the man; she did not. Human heat.", pairs) == "She saw the woman; he did not. Human heat."
    assert swapped("他是男孩，她不是。", pairs) == "她是女孩，他不是。"
    assert swapped(swapped("He and 她 met a woman.", pairs), pairs) == "He and 她 met a woman."


# --------------------------------------------------------------------------- models that write


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> torch.nn.Module:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny.tiny_writer(tmp_path_factory.mktemp("writer") / "m", "llama"))


def examples() -> list[tuple[np.ndarray, np.ndarray]]:
    chance = np.random.default_rng(3)
    return [(chance.integers(5, 90, size=n), np.arange(n) >= n // 2) for n in (6, 9, 7, 12)]


PHRASES = [np.asarray([20, 21, 22]), np.asarray([30, 31])]


def test_unlikelihood_is_of_the_phrase_where_the_answer_begins(writer: torch.nn.Module) -> None:
    [batch] = Packed(examples()[:1], 1, 0, False).at(1, 0, 0)
    [place] = places(batch)
    assert place.context.tolist() == examples()[0][0][:3].tolist()
    got = unlikely(written(), PHRASES[:1], 2.0)(writer, batch).sum["token"] - written()(writer, batch).sum["token"]
    ids = torch.tensor([[*place.context, 20, 21, 22]])
    shares = writer(input_ids=ids).logits[0].softmax(-1)
    wanted = torch.stack([-(1 - shares[3, 21]).log(), -(1 - shares[4, 22]).log()]).mean() * 2.0 * place.learned
    assert torch.allclose(got, wanted, rtol=1e-4)


def test_unlikelihood_is_the_same_packed_and_unpacked(writer: torch.nn.Module) -> None:
    objective = unlikely(written(), PHRASES, 1.0)
    losses = [
        train.accumulate(writer, Packed(examples(), 4, 0, packed).at(1, 0, 0), objective, "fp32")["unlikely"] for packed in (False, True)
    ]
    assert losses[0][1] == losses[1][1]
    assert losses[0][0] == pytest.approx(losses[1][0], rel=1e-4)
    writer.zero_grad()


def test_training_on_unlikelihood_makes_a_phrase_unlikely(writer: torch.nn.Module) -> None:
    from copy import deepcopy

    said = [(np.concatenate([ids[:4], PHRASES[0]]), np.arange(7) >= 4) for ids, _ in examples()]
    source, chances = Packed([*examples(), *said], 8, 0, True), []
    for weight in (1e-6, 30.0):
        net = deepcopy(writer)
        objective = unlikely(written(), PHRASES[:1], weight)
        optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
        for _ in range(20):
            train.accumulate(net, source.at(1, 0, 0), objective, "fp32")
            optimiser.step()
            optimiser.zero_grad()
        context = [int(i) for i in examples()[0][0][:4]]
        chances.append(float(net(input_ids=torch.tensor([[*context, 20]])).logits[0, -1].softmax(-1)[21]))
    assert chances[1] < chances[0] / 2


@pytest.mark.parametrize("kind", ["prompt", "prefix", "adapters"])
def test_additions_keep_packed_texts_apart_and_the_cache_right(writer: torch.nn.Module, kind: str) -> None:
    from copy import deepcopy

    from pydantic import TypeAdapter

    from sapwood.models.methods.catalogue import AnyMethod

    method = TypeAdapter(AnyMethod).validate_python({"kind": kind})
    net = method.apply(deepcopy(writer), "fp32", 3)
    with torch.no_grad():
        for p in additions.of(net).parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
    sums = [train.accumulate(net, Packed(examples(), 4, 0, packed).at(1, 0, 0), written(), "fp32")["loss"][0] for packed in (False, True)]
    assert sums[0] == pytest.approx(sums[1], rel=1e-5)
    ids = torch.from_numpy(examples()[1][0])[None]
    net.eval()
    said = net.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, min_new_tokens=6, do_sample=False)
    for length in range(ids.shape[1], said.shape[1]):
        with torch.no_grad():
            assert int(net(input_ids=said[:, :length]).logits[0, -1, 4:].argmax()) + 4 == int(said[0, length]) or int(said[0, length]) < 4


# --------------------------------------------------------------------------- averages, ranks, replay


def run(home: Path, method: Method, extras: Callable[[], dict], stop: int = 0) -> tuple[dict, dict]:
    """Nine steps, stopped once after step `stop`; the weights and the logs."""

    def once(until: int) -> tuple[torch.nn.Module, train.Progress]:
        net, seen = method.apply(small(0.1), "fp32", 3), {"steps": 0}
        advance = lambda amount: seen.update(steps=seen["steps"] + int(amount))  # noqa: E731
        calls = train.Calls(advance=advance, stopping=lambda: seen["steps"] + 1 > until > 0, extras={**method.extras(net, 9), **extras()})
        plan = train.Plan(steps=9, lr=1e-2, log_every=2)
        return net, train.train(net, labelled(), method.taught(classification()), plan, 7, home, calls)

    if stop:
        with pytest.raises(Interrupted):
            once(stop)
    net, progress = once(0)
    return {name: t.clone() for name, t in checkpoint.trained(net).items()}, vars(progress)


@pytest.mark.parametrize("name", ["ema", "tail", "adalora"])
def test_a_stopped_training_with_extras_resumes_bit_for_bit(tmp_path: Path, name: str) -> None:
    method: Method = AdaLora(r=4, target=2, wait=0.2, settle=0.3) if name == "adalora" else Full()
    block = Regularise(average={"kind": name} if name != "adalora" else None)
    straight, history = run(tmp_path / "straight", method, lambda: dict(block.extras(9)))
    for stop in (3, 7, 8):
        resumed, again = run(tmp_path / f"stopped-{stop}", method, lambda: dict(block.extras(9)), stop)
        assert all(torch.equal(straight[key], resumed[key]) for key in straight), f"stopped after {stop}"
        assert again == history


def test_adalora_ends_with_the_ranks_that_it_was_given(tmp_path: Path) -> None:
    weights, history = run(tmp_path, AdaLora(r=4, target=2, wait=0.1, settle=0.4), dict)
    left = [int((t != 0).sum()) for name, t in weights.items() if "lora_E" in name]
    assert sum(left) <= 2 * len(left)
    assert len(set(left)) > 1, "every matrix kept as many"
    assert all(point["orthogonal"] > 0 for point in history["points"])


def test_the_tail_is_the_plain_mean_and_judging_swaps_it_in_and_out() -> None:
    model, average = small(), averaging.Average("tail", 0.0, 3)
    seen = []
    for step_ in range(1, 6):
        with torch.no_grad():
            model.classifier.weight.fill_(float(step_))
        average.moved(model, step_)
        seen.append(float(step_))
    own = {name: p.detach().clone() for name, p in model.named_parameters()}
    with average.judged(model):
        assert torch.allclose(model.classifier.weight, torch.full_like(model.classifier.weight, sum(seen[2:]) / 3))
        assert torch.equal(model.classifier.bias, own["classifier.bias"])
    assert all(torch.equal(p, own[name]) for name, p in model.named_parameters())


def test_a_forgetting_mean_follows_its_recursion() -> None:
    model, average = small(), averaging.Average("ema", 0.9, 1)
    mean = 0.0
    for n in range(1, 7):
        with torch.no_grad():
            model.classifier.bias.fill_(float(n))
        average.moved(model, n)
        share = 1.0 if n == 1 else 1 - min(0.9, (1 + n) / (10 + n))
        mean += share * (n - mean)
    with average.judged(model):
        assert float(model.classifier.bias[0]) == pytest.approx(mean, rel=1e-6)


@given(epoch=st.integers(0, 5), index=st.integers(0, 3))
def test_replay_puts_old_examples_into_every_step_wherever_one_seeks(epoch: int, index: int) -> None:
    new, old = labelled(8), labelled(3, seed=11)
    mixed = Mixed(new, old)
    got = mixed.at(1, epoch, index)
    assert [batch.trained["class"] for batch in got] == [batch.trained["class"] for batch in (*new.at(1, epoch, index), *got[1:])]
    place = epoch * new.steps(1, 0) + index
    turn, at = divmod(place, old.steps(1, 0))
    assert torch.equal(got[-1].inputs["input_ids"], old.at(1, turn, at)[-1].inputs["input_ids"])


def test_what_makes_no_sense_together_is_refused_with_the_reason() -> None:
    block = Regularise.model_validate({"adversary": {"kind": "fgm"}, "r_drop": 1.0, "avoid": {"phrases": ["bad"]}, "even": {}})
    assert len(block.refusals("chat", 0.1)) == 2
    assert len(block.refusals("classification", 0.1)) == 1
    assert "dropout" in block.refusals("classification", 0.0)[0]
    assert len(block.refusals("embedding", 0.1)) == 4
    assert Regularise(label_smoothing=0.1).refusals("regression", 0.1)
    assert Remember(elastic=1.0).refusals("classification", "lora")
    assert Remember(distil=1.0).refusals("chat", "full")
    assert not Remember(replay=0.2, elastic=1.0, distil=1.0).refusals("classification", "full")
