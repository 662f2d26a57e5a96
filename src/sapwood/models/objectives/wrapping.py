"""Wrappers: an objective with a penalty or a perturbation. Each adds to a term of the objective that it wraps, in the same unit, so that
micro-batches and padding change nothing; its own part is in `logs`.

Where answers are compared (`Likeness`), the answer is the model's `logits`: of each text, or of the tokens that `targets["positions"]`
names. Objectives whose answers are never whole (a vocabulary in chunks) cannot be compared here; `Task.compared` says which can.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from sapwood.models import placing
from sapwood.models.objectives.terms import Batch, Objective, Terms
from sapwood.models.sources.source import Source

Likeness = Literal["classes", "flags", "numbers"]
"""How two answers are compared: as one distribution over classes, as one over yes and no for each class, or as numbers."""


def charged(terms: Terms, name: str, penalty: Tensor, units: int = 0) -> Terms:
    """The terms with a penalty on the first one: a sum over the term's `units`, or, with 0, one number for the whole step."""
    first = next(iter(terms.sum))
    total = penalty if units else penalty * terms.count[first]
    told = (float(total.detach()), units or terms.count[first])
    return replace(terms, sum={**terms.sum, first: terms.sum[first] + total}, logs={**terms.logs, name: told})


def apart(likeness: Likeness, said: Tensor, wanted: Tensor, temperature: float = 1.0) -> Tensor:
    """How far the logits `said` (units, classes) are from `wanted`, summed over units: T^2 KL(wanted || said), or the squared difference."""
    said, wanted = said.float(), wanted.float()
    if likeness == "numbers":
        return F.mse_loss(said, wanted, reduction="sum")
    if likeness == "flags":
        said, wanted = torch.stack([said, torch.zeros_like(said)], -1), torch.stack([wanted, torch.zeros_like(wanted)], -1)
    logs = [(one / temperature).log_softmax(-1) for one in (said, wanted)]
    return temperature**2 * F.kl_div(logs[0], logs[1], reduction="sum", log_target=True)


@contextmanager
def heard(model: Any) -> Iterator[list[Tensor]]:
    """Inside, the logits of each pass through the model are put into the list."""
    found: list[Tensor] = []
    hook = model.register_forward_hook(lambda _, __, output: found.append(output.logits))
    try:
        yield found
    finally:
        hook.remove()


def units(logits: Tensor, batch: Batch) -> Tensor:
    """(units, classes): one row a text, or one a token that is learned."""
    return logits.flatten(0, 1)[batch.targets["positions"]] if "positions" in batch.targets else logits


# --------------------------------------------------------------------------- perturbations


def adversarial(inner: Objective, size: float, steps: int = 1, stride: float = 0.0) -> Objective:
    """L(x) + L(x + d), where d moves the word vectors of each row to where the loss rises, by `size` (L2 norm over the row).

    One step is FGM (Miyato et al. 2017): d = size g / |g|. More are PGD (Madry et al. 2018): each goes `stride` along the gradient at
    x + d, and d is drawn back to `size`. What is moved is what the embedding gives, so no weight has to be put back.
    """

    def objective(model: Any, batch: Batch) -> Terms:
        words = model.get_input_embeddings()
        with nudged(words) as moves:
            terms = inner(model, batch)
        slopes = torch.autograd.grad(_total(terms), moves, retain_graph=True)
        moves = [(size if steps == 1 else min(stride, size)) * _unit(slope) for slope in slopes]
        for _ in range(steps - 1):
            with nudged(words, moves) as moves:
                again = inner(model, batch)
            moves = [_within(m.detach() + stride * _unit(g), size) for m, g in zip(moves, _slopes(again, moves), strict=True)]
        with nudged(words, moves):
            worse = inner(model, batch)
        gap = {"adversarial": (float(_total(worse).detach()), sum(terms.count.values()))}
        return replace(terms, sum={name: total + worse.sum[name] for name, total in terms.sum.items()}, logs={**terms.logs, **gap})

    return objective


@contextmanager
def nudged(words: Any, by: list[Tensor] | None = None) -> Iterator[list[Tensor]]:
    """Inside, what the embedding gives at its n-th call is moved by the n-th entry; the list holds the moves, which have a gradient."""
    moves = [move.detach().requires_grad_(True) for move in by or []]
    calls = iter(range(len(moves)))

    def hook(_: Any, __: Any, output: Tensor) -> Tensor:
        if by is None:
            moves.append(torch.zeros_like(output, dtype=torch.float32, requires_grad=True))
            return output + moves[-1].to(output.dtype)
        return output + moves[next(calls)].to(output.dtype)

    handle = words.register_forward_hook(hook)
    try:
        yield moves
    finally:
        handle.remove()


def _total(terms: Terms) -> Tensor:
    return torch.stack(list(terms.sum.values())).sum()


def _slopes(terms: Terms, moves: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(_total(terms), moves)


def _unit(slope: Tensor) -> Tensor:
    """Each row's slope with norm 1."""
    return slope / slope.flatten(1).norm(dim=1).clamp(min=1e-12)[:, None, None]


def _within(move: Tensor, size: float) -> Tensor:
    norms = move.flatten(1).norm(dim=1).clamp(min=1e-12)[:, None, None]
    return move * (size / norms).clamp(max=1.0)


def r_drop(inner: Objective, likeness: Likeness, weight: float) -> Objective:
    """Mean loss of two passes with other dropout + weight x (KL(1 || 2) + KL(2 || 1)) / 2 (Liang et al. 2021)."""

    def objective(model: Any, batch: Batch) -> Terms:
        with heard(model) as answers:
            one, two = inner(model, batch), inner(model, batch)
        a, b = (units(answer, batch) for answer in answers)
        gap = weight / 2 * (apart(likeness, a, b) + apart(likeness, b, a))
        mean = {name: (total + two.sum[name]) / 2 for name, total in one.sum.items()}
        return charged(replace(one, sum=mean), "r_drop", gap, len(a))

    return objective


# --------------------------------------------------------------------------- against forgetting


def distilled(inner: Objective, teacher: Any, likeness: Likeness, weight: float, temperature: float) -> Objective:
    """Loss + weight x T^2 KL(teacher || model) on the same inputs (Hinton et al. 2015; Li and Hoiem 2016). `teacher` is not trained."""
    teacher.eval().requires_grad_(False)

    def objective(model: Any, batch: Batch) -> Terms:
        with heard(model) as answers:
            terms = inner(model, batch)
        with torch.no_grad():
            wanted = units(teacher.to(placing.of(model))(**batch.inputs).logits, batch)
        gap = weight * apart(likeness, units(answers[0], batch), wanted, temperature)
        return charged(terms, "distilled", gap, len(wanted))

    return objective


def elastic(inner: Objective, old: Mapping[str, Tensor], stiffness: Mapping[str, Tensor], strength: float) -> Objective:
    """Loss + strength / 2 x the sum of F (w - w_old)^2 over trained weights (Kirkpatrick et al. 2017). 0 at the old weights."""

    def objective(model: Any, batch: Batch) -> Terms:
        trained = [(p, old[name].to(p.device), stiffness[name].to(p.device)) for name, p in model.named_parameters() if name in stiffness]
        parts = [(stiff * (p - was).square()).sum() for p, was, stiff in trained]
        return charged(inner(model, batch), "elastic", strength / 2 * torch.stack(parts).sum())

    return objective


def fisher(model: Any, source: Source, objective: Objective, seed: int, examples: int) -> dict[str, Tensor]:
    """Mean squared gradient of each trained weight over the first examples of a source of one example a step, without dropout.

    It is the empirical Fisher information: with the labels of the examples, not with labels drawn from the model.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    found = {name: torch.zeros_like(p) for name, p in trained.items()}
    was, count = model.training, min(examples, source.steps(seed, 0))
    model.eval()
    with torch.random.fork_rng(devices=[]):
        for index in range(count):
            total = torch.stack([_total(objective(model, batch)) for batch in source.at(seed, 0, index)]).sum()
            slopes = torch.autograd.grad(total, list(trained.values()), allow_unused=True)
            for name, slope in zip(trained, slopes, strict=True):
                if slope is not None:
                    found[name] += slope.square() / count
    model.train(was)
    return found


# --------------------------------------------------------------------------- against harm


def even(inner: Objective, weight: float) -> Objective:
    """Loss + weight x the mean squared difference of the logits of a text and its twin, in which identities are swapped (counterfactual
    logit pairing, Garg et al. 2019). targets: `twin_rows` (k,) the rows that have a twin, `twin_ids` and `twin_mask` (k, width)."""

    def objective(model: Any, batch: Batch) -> Terms:
        with heard(model) as answers:
            terms = inner(model, batch)
        rows = batch.targets["twin_rows"]
        if not len(rows):
            return charged(terms, "counterfactual", answers[0].sum() * 0, len(answers[0]))
        twins = model(input_ids=batch.targets["twin_ids"], attention_mask=batch.targets["twin_mask"]).logits
        gap = (answers[0][rows].float() - twins.float()).square().mean(-1).sum()
        return charged(terms, "counterfactual", weight * gap, len(answers[0]))

    return objective
