"""Likely label errors: planted flips in reviews of both languages are found; near copies stay in one fold."""

import itertools
import json
import random

import numpy as np
import pytest

pytest.importorskip("cleanlab")

from sapwood import report
from sapwood.artifact import Examples
from sapwood.errors import InputError, MissingExtra
from sapwood.probes import label_errors
from sapwood.stages.label_errors import LabelErrors
from sapwood.store.local import LocalStore
from sapwood.testing.stages import check_stage, make_work
from sapwood.text import rows

THINGS = (
    ("the lamp", "台灯"),
    ("this kettle", "水壶"),
    ("a novel", "小说"),
    ("our room", "房间"),
    ("the camera", "相机"),
    ("the bicycle", "自行车"),
)
WHO = (
    ("My sister bought", "妹妹买了"),
    ("We tried", "我们试了"),
    ("A friend sent", "朋友寄来"),
    ("Yesterday I got", "昨天收到"),
    ("They gave us", "他们给了"),
)
GOOD = (
    ("and it is wonderful", "非常满意"),
    ("and we love it", "我们都很喜欢"),
    ("excellent in every way", "各方面都很优秀"),
    ("it works very well", "真的很好用"),
)
BAD = (
    ("and it is terrible", "非常糟糕"),
    ("and we hate it", "我们都很讨厌"),
    ("poor in every way", "各方面都很差劲"),
    ("it broke at once", "一用就坏了"),
)


def reviews():
    """240 reviews, half in each language and with each label; 24 labels are turned round."""
    made = []
    for number, (who, thing, verdict) in enumerate(itertools.product(WHO, THINGS, range(4))):
        for side, name in ((GOOD, "positive"), (BAD, "negative")):
            language = (number + (side is BAD)) % 2
            text = (" ", "，")[language].join([who[language], thing[language], side[verdict][language], f"{number * 7919 % 1000}"])
            made.append({**rows.document("reviews", f"{name}/{number}", text, language=("en", "zh")[language]), "label": name})
    flipped = {row["id"] for row in random.Random(5).sample(made, 24)}
    other = {"positive": "negative", "negative": "positive"}
    return [{**row, "label": other[row["label"]] if row["id"] in flipped else row["label"]} for row in made], flipped


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


@pytest.fixture
def work(store, tmp_path):
    return make_work(store, tmp_path / "scratch", tmp_path)


def put(store, folder, made):
    folder.mkdir()
    rows.write(folder, rows.table(made, rows.EXAMPLES))
    return store.put(Examples, folder)


def test_planted_flips_are_found_in_both_languages(store, work, tmp_path):
    made, flipped = reviews()
    kept, suspects, told = LabelErrors(near=1.0).run(work, put(store, tmp_path / "in", made))
    found = rows.read(work.path(suspects)).to_pylist()
    right = [row for row in found if row["id"] in flipped]
    assert len(right) >= 0.85 * len(found), "precision"
    assert len(right) >= 0.7 * len(flipped), "recall"
    assert {row["language"] for row in right} == {"en", "zh"}
    meta = json.loads(right[0]["meta"])
    assert float(meta["suspect"]) < 0.5
    assert meta["suggested"] != right[0]["label"]
    assert rows.count(work.path(kept)) + len(found) == len(made)
    body = report.read(work.path(told))
    assert body["data"]["suspects"] == len(found)
    assert len(body["blocks"][1]["rows"]) == min(20, len(found))


def test_a_label_with_too_few_examples_is_not_judged(store, work, tmp_path):
    made, _ = reviews()
    rare = [{**row, "id": f"{n:032x}", "label": "mixed"} for n, row in enumerate(made[:2])]
    _, suspects, told = LabelErrors(near=1.0).run(work, put(store, tmp_path / "in", [*made, *rare]))
    assert report.read(work.path(told))["data"]["unjudged_labels"] == ["mixed"]
    assert "mixed" not in rows.read(work.path(suspects)).column("label").to_pylist()


def test_a_lower_limit_leaves_only_the_surest_suspects(store, work, tmp_path):
    examples = put(store, tmp_path / "in", reviews()[0])
    all_of_them = rows.read(work.path(LabelErrors(near=1.0, below=1.0).run(work, examples).suspects)).to_pylist()
    limit = sorted(float(json.loads(row["meta"])["suspect"]) for row in all_of_them)[len(all_of_them) // 2] + 1e-4
    fewer = rows.read(work.path(LabelErrors(near=1.0, below=limit).run(work, examples).suspects)).to_pylist()
    assert 0 < len(fewer) < len(all_of_them)
    assert all(float(json.loads(row["meta"])["suspect"]) <= limit for row in fewer)


def test_clusters_stay_in_one_fold_and_labels_are_spread():
    chance = np.random.default_rng(2)
    cluster, labels = chance.integers(0, 60, 300), chance.integers(0, 2, 300)
    fold = label_errors.assigned(cluster, labels, 5, seed=1)
    assert all(len(set(fold[cluster == one])) == 1 for one in set(cluster.tolist()))
    assert np.bincount(fold, minlength=5).min() > 35
    assert (fold == label_errors.assigned(cluster, labels, 5, seed=1)).all()


def test_an_example_without_a_label_is_refused(store, work, tmp_path):
    made, _ = reviews()
    with pytest.raises(InputError, match="1 examples have no label"):
        LabelErrors().run(work, put(store, tmp_path / "in", [{**made[0], "label": ""}, *made[1:]]))


def test_a_run_in_which_most_of_a_label_is_suspect_stops(store, work, tmp_path):
    with pytest.raises(InputError, match="more than max_share"):
        LabelErrors(near=1.0, max_share=0.01).run(work, put(store, tmp_path / "in", reviews()[0]))


def test_without_cleanlab_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(label_errors, "missing", lambda: True)
    with pytest.raises(MissingExtra, match="cleanlab"):
        label_errors.find(label_errors.Labelled([], np.zeros(0, dtype=np.int64)), [], label_errors.Settings(), 1, lambda: None)


def test_it_keeps_the_contract_of_a_stage(store, tmp_path):
    check_stage(LabelErrors, store, {"examples": put(store, tmp_path / "in", reviews()[0][:96])}, tmp_path)
