"""What a scaling law's study makes of its rungs, without running any."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sapwood.metrics import scaling
from sapwood.metrics.scaling import Law
from sapwood.recipe.study import Purse
from sapwood.runs.studies import scale_law, scale_report

TRUE = Law(2.0, 120.0, 800.0, 0.40, 0.42)


def ladder(noise, seed=0):
    rng = np.random.default_rng(seed)
    return [
        scale_law.Rung(
            i, j, 7, n, d, float(TRUE.loss(n, d)) * float(np.exp(rng.normal(0, noise))), 2 + 6 * n * d / 5e10, f"run-{i}{j}", False
        )
        for i, n in enumerate((1e5, 4e5, 16e5))
        for j, d in enumerate((1e5, 5e5, 25e5, 125e5))
    ]


def scaled(rungs):
    n, d, loss = scale_law.arrays(rungs)
    law = scaling.fit(n, d, loss)
    spread = scaling.draws(law, n, d, loss, 30)
    held, foretold = scale_law._foretell(rungs, 2, 7)
    bought = [scale_law._buy(purse, law, spread, 2.0, 5e10) for purse in (Purse(flops=1e15), Purse(seconds=3602))]
    study = type("Named", (), {"name": "梯子", "description": ""})()
    return scale_law.Scaled(study, "x", rungs, law, spread, held, foretold, bought, 2.0, 5e10)


def test_the_rungs_of_the_most_compute_are_foretold_from_the_others(tmp_path):
    found = scaled(ladder(0.001))
    assert [one.rung.run for one in found.foretold] == ["run-13", "run-23"]
    assert all(one.loss == pytest.approx(one.rung.loss, rel=0.01) for one in found.foretold)
    assert found.splits
    assert found.bought[0].parameters == pytest.approx(TRUE.best(1e15)[0], rel=0.5)
    assert found.bought[1].flops == pytest.approx(3600 * 5e10)
    scale_report.write(found, tmp_path, 1.0)
    body = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert [block["title"] for block in body["blocks"] if block["type"] == "lines"] == [
        "Loss by data",
        "Loss by compute",
        "The best split of compute",
    ]


def test_a_ladder_that_cannot_tell_the_split_says_so_and_draws_no_frontier(tmp_path):
    """Losses that do not fall with size."""
    rungs = [
        rung.__class__(**{**vars(rung), "loss": 5 - 0.3 * rung.amount + 0.2 * ((rung.size + rung.amount) % 2)}) for rung in ladder(0.0)
    ]
    found = scaled(rungs)
    assert not found.splits
    scale_report.write(found, tmp_path, 1.0)
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    assert "cannot be told from this ladder" in text
    assert "Loss by compute" not in text
