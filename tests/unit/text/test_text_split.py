import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.text import duplicates, split, units

RATIOS = {"train": 0.8, "dev": 0.1, "test": 0.1, "later": 0.0}
CHANCE = random.Random(3)
TEXTS = ["".join(CHANCE.choices("天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往", k=24)) for _ in range(300)]
TEXTS += [text + "好" for text in TEXTS[:60]] + TEXTS[:40]
IDS = [f"id{row}" for row in range(len(TEXTS))]
STRATA = [["pos", "neg"][row % 2] for row in range(len(TEXTS))]
CLUSTER = duplicates.clusters(TEXTS)


def test_clusters_stay_whole_and_nothing_crosses():
    part = split.split(IDS, CLUSTER, STRATA, RATIOS, seed=1)
    assert all(len(set(part[name == CLUSTER].tolist())) == 1 for name in set(CLUSTER.tolist()))
    found = split.crossings(units.shingle(TEXTS), part, 0.7)
    assert (found.exact, found.near) == (0, 0)
    assert np.bincount(part, minlength=4)[0] / len(TEXTS) == pytest.approx(0.8, abs=0.02)


def test_a_careless_split_is_caught_and_rejoining_mends_it():
    alone = np.arange(len(TEXTS))
    shingled = units.shingle(TEXTS)
    found = split.crossings(shingled, split.split(IDS, alone, STRATA, RATIOS, seed=1), 0.7)
    assert found.exact > 0
    assert found.near > 0
    mended = duplicates.exact(TEXTS)
    mended = split.rejoined(mended, found)
    again = split.crossings(shingled, split.split(IDS, mended, STRATA, RATIOS, seed=1), 0.7)
    assert (again.exact, again.near) == (0, 0)


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 99))
def test_a_rows_part_does_not_change_with_the_order_of_rows(chance, seed):
    order = list(range(len(TEXTS)))
    chance.shuffle(order)
    part = split.split(IDS, CLUSTER, ["one"] * len(TEXTS), RATIOS, seed)
    texts = [TEXTS[i] for i in order]
    shuffled = split.split([IDS[i] for i in order], duplicates.clusters(texts), ["one"] * len(TEXTS), RATIOS, seed)
    assert part[order].tolist() == shuffled.tolist()


def test_held_out_rows_take_their_copies_to_later():
    held = np.zeros(len(TEXTS), dtype=bool)
    held[[0, 5]] = True
    part = split.split(IDS, CLUSTER, STRATA, RATIOS, 1, held)
    assert set(np.flatnonzero(part == split.LATER).tolist()) == set(np.flatnonzero(np.isin(CLUSTER, CLUSTER[[0, 5]])).tolist())


def test_caps_take_the_surplus_out_of_every_part():
    part = split.split(IDS, CLUSTER, STRATA, RATIOS, 1)
    fewer = split.capped(part, IDS, {"train": 50}, 1)
    assert (fewer == 0).sum() == 50
    assert (fewer == split.NOWHERE).sum() == (part == 0).sum() - 50
    assert fewer.tolist() == split.capped(part, IDS, {"train": 50}, 1).tolist()


def test_a_plain_split_of_copies_leaks():
    test, exact, either = split.naive_leak(TEXTS[:60] * 5, RATIOS, 3, 0.7)
    assert 0 < exact <= either <= test
    assert exact / test > 0.8
