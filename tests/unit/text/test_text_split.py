import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.errors import InputError
from sapwood.text import rows
from sapwood.text.near import index
from sapwood.text.parts import leakproof, moments, sides, split

RATIOS = {"train": 0.8, "dev": 0.1, "test": 0.1, "later": 0.0}
CHANCE = random.Random(3)
ALPHABETS = ("天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往", "體國經野設官分職以為民極惟王建國辨方正位", "abcdefghijklmnop")


def invented(count, chance=CHANCE):
    """Texts in zh, zh-TW, en-like words, a mixture and code, all different."""
    for row in range(count):
        letters = "".join(chance.choices(ALPHABETS[row % 3], k=24))
        words = " ".join("".join(chance.choices(ALPHABETS[2], k=5)) for _ in range(12))
        yield [letters if row % 3 < 2 else words, words, f"{letters[:12]} {words}", f"def {words.replace(' ', '_(')}: return {row}"][
            row % 4
        ]


TEXTS = list(invented(300))
TEXTS += [text + (" more" if text.isascii() else "好") for text in TEXTS[:60]] + TEXTS[:40]
IDS = [f"id{row}" for row in range(len(TEXTS))]
LABELS = [["pos", "neg"][row % 2] for row in range(len(TEXTS))]
CUSTOMERS = [f"c{row // 100}-{row % 12}" if row % 5 < 2 else "" for row in range(len(TEXTS))]
DAYS = [f"2024-{1 + row % 12:02d}-{1 + row % 28:02d}" for row in range(len(TEXTS))]


def made_of(plan, order=None, seed=1, batch=97, **asked):
    """The split of these rows in this order, fed in batches; with it the sides."""
    order = list(range(len(TEXTS))) if order is None else order
    found, indexed = sides.Sides(sides.Asked(**{"stratify": ("label",), **asked}), seed), index.Index()
    for start in range(0, len(order), batch):
        mine = order[start : start + batch]
        indexed.add([TEXTS[row] for row in mine])
        found.add(_batch(mine))
    return leakproof.make(indexed, found, plan), found, indexed


def _batch(mine):
    made = [
        {
            **rows.document("s", "x", TEXTS[row], meta={"customer": CUSTOMERS[row]}),
            "id": IDS[row],
            "label": LABELS[row],
            "collected_at": DAYS[row],
        }
        for row in mine
    ]
    return rows.table(made, rows.EXAMPLES).to_batches()[0]


def shares(part):
    return np.bincount(part[part >= 0], minlength=4) / len(part)


def test_clusters_stay_whole_nothing_crosses_and_every_stratum_has_its_shares():
    made, _, indexed = made_of(leakproof.Plan(RATIOS, 0.7))
    cluster = indexed.clusters(0.7)
    assert all(len(set(made.part[name == cluster].tolist())) == 1 for name in set(cluster.tolist()))
    assert made.proof.total == 0
    assert shares(made.part) == pytest.approx([0.8, 0.1, 0.1, 0], abs=0.01)
    for label in ("pos", "neg"):
        assert shares(made.part[np.array(LABELS) == label])[0] == pytest.approx(0.8, abs=0.05)


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 400), st.integers(0, 99))
def test_a_rows_part_changes_with_neither_the_order_of_rows_nor_with_batches(chance, batch, seed):
    order = list(range(len(TEXTS)))
    chance.shuffle(order)
    plan = leakproof.Plan(RATIOS, 0.7, caps={"train": 200})
    straight, _, _ = made_of(plan, seed=seed, group=("meta.customer",))
    shuffled, _, _ = made_of(plan, order, seed, batch, group=("meta.customer",))
    assert straight.part[order].tolist() == shuffled.part.tolist()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12), st.integers(0, 3)), min_size=1, max_size=80), st.integers(0, 99))
def test_a_cluster_or_group_never_crosses_and_no_row_is_lost(drawn, seed):
    ids = [f"r{row}" for row in range(len(drawn))]
    copies = np.array([[one[0] for one in drawn].index(one[0]) if one[0] else row for row, one in enumerate(drawn)])
    groups = np.array([one[1] - 1 for one in drawn])
    draw = split.draws(ids, seed)
    cluster = split.joined(copies, [groups])
    part = split.by_ratio(draw, cluster, np.array([one[2] for one in drawn]), RATIOS)
    assert set(part.tolist()) <= {0, 1, 2}
    for name in (*copies.tolist(),):
        assert len(set(part[copies == name].tolist())) == 1
    for group in set(groups.tolist()) - {-1}:
        assert len(set(part[groups == group].tolist())) == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 99), st.integers(1, 5))
def test_one_more_row_moves_only_rows_at_the_edges_of_the_parts(new, seed, strata):
    count = 3000
    ids = [f"doc{row}" for row in range(count)]

    def parts(names):
        stratum = np.arange(len(names)) % strata
        return split.by_ratio(split.draws(names, seed), np.arange(len(names)), stratum, RATIOS)

    moved = (parts([*ids, f"new{new}"])[:count] != parts(ids)).sum()
    assert moved <= 2 * strata


def test_many_small_strata_keep_the_shares_together():
    draw = split.draws([str(row) for row in range(2000)], 4)
    part = split.by_ratio(draw, np.arange(2000), np.arange(2000) // 3, RATIOS)
    assert shares(part)[:3] == pytest.approx([0.8, 0.1, 0.1], abs=0.005)


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 8), st.integers(0, 99), st.booleans())
def test_k_folds_partition_the_rows(k, seed, grouped):
    asked = {"group": ("meta.customer",)} if grouped else {}
    dev = k > 2
    found = [made_of(leakproof.Plan(RATIOS, 0.7, leakproof.Folds(k, fold, dev)), seed=seed, **asked)[0] for fold in range(k)]
    assert all(one.fold.tolist() == found[0].fold.tolist() for one in found)
    tested = np.array([one.part == split.TEST for one in found])
    assert (tested.sum(axis=0) == 1).all()
    assert all(((one.part == split.DEV) == (found[(place + 1) % k].part == split.TEST)).all() for place, one in enumerate(found) if dev)
    assert all(one.proof.total == 0 for one in found)
    if not grouped:
        assert tested.mean(axis=1) == pytest.approx(1 / k, abs=0.03)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.02, 0.6), st.integers(0, 99), st.sampled_from(["test", "later"]), st.booleans())
def test_a_split_by_time_never_trains_on_the_future(share, seed, to, grouped):
    cut = leakproof.Cut(None, share, to, "refuse")
    asked = {"group": ("meta.customer",)} if grouped else {}
    ratios = {**RATIOS, "train": 0.9, "dev": 0.0, "test": 0.1 if to == "later" else 0.0}
    made, found, _ = made_of(leakproof.Plan(ratios, 0.7, None, cut), seed=seed, time="collected_at", **asked)
    moment, placed = found.moment(), split.PARTS.index(to)
    after = split.cut_of(moment, share)
    assert (moment[made.part != placed] <= after).all()
    assert (moment > after).mean() <= share
    assert made.proof.total == 0


def test_clusters_that_straddle_the_cut_go_to_the_newer_side_and_the_notes_say_so():
    made, found, _ = made_of(
        leakproof.Plan(RATIOS, 0.7, None, leakproof.Cut(moments.moment("2024-11-15"), 0, "test", "refuse")), time="collected_at"
    )
    older = found.moment() <= moments.moment("2024-11-15")
    moved = int((older & (made.part == split.TEST)).sum())
    assert moved > 0
    assert any(f"with {moved:,} older rows" in note for note in made.notes)


def test_a_cut_that_leaves_one_side_without_rows_says_where_the_rows_are():
    for after, which in (("2030", "newer"), ("2000", "older")):
        with pytest.raises(InputError, match=f"no row is {which} than the cut at 20.0-01-01: they go from 2024-01-01"):
            made_of(leakproof.Plan(RATIOS, 0.7, None, leakproof.Cut(moments.moment(after), 0, "test", "refuse")), time="collected_at")


def test_rows_without_a_time_are_refused_or_taken_as_newer():
    moment = np.array([moments.NEVER, 5, 9])
    with pytest.raises(InputError, match="1 of 3 rows tell no time"):
        leakproof.time_cut(moment, leakproof.Cut(6, 0, "test", "refuse"))
    assert leakproof.time_cut(moment, leakproof.Cut(6, 0, "test", "newer")).newer.tolist() == [True, False, True]


def test_held_out_rows_take_their_copies_to_later():
    hold_out = ("label", ("neg",))
    made, _, indexed = made_of(leakproof.Plan(RATIOS, 0.7, hold_out=True), hold_out=hold_out)
    cluster = indexed.clusters(0.7)
    negative = np.array(LABELS) == "neg"
    assert set(np.flatnonzero(made.part == split.LATER).tolist()) == set(np.flatnonzero(np.isin(cluster, cluster[negative])).tolist())


def test_caps_take_the_surplus_out_of_every_part_and_keep_the_mix():
    whole, _, _ = made_of(leakproof.Plan(RATIOS, 0.7))
    capped, _, _ = made_of(leakproof.Plan(RATIOS, 0.7, caps={"train": 100}))
    assert (capped.part == 0).sum() == 100
    assert (capped.part == split.NOWHERE).sum() == (whole.part == 0).sum() - 100
    assert (np.array(LABELS)[capped.part == 0] == "pos").sum() == pytest.approx(50, abs=15)


def test_an_empty_train_or_test_is_an_error_that_names_the_cause_and_an_empty_dev_a_note():
    draw, one = split.draws(["a", "b", "c"], 1), np.zeros(3, dtype=np.int64)
    part = split.by_ratio(draw, one, one, RATIOS)
    with pytest.raises(InputError, match=r"test would be empty: 3 rows are 1 clusters .* the largest of 3 rows"):
        leakproof.checked(part, one, leakproof.Plan(RATIOS, 0.7), None)
    notes = leakproof.checked(part, one, leakproof.Plan({"train": 0.9, "dev": 0.1}, 0.7), None)
    assert "The part dev is empty" in notes[0]
    assert "holds 3 of 3 rows (100%)" in notes[1]


def test_shares_that_do_not_sum_to_one_are_noted():
    made, _, _ = made_of(leakproof.Plan({"train": 4, "test": 1}, 0.7))
    assert made.notes[0] == "The shares sum to 5, not to 1; taken in proportion they are train 0.8, test 0.2."
    assert shares(made.part)[2] == pytest.approx(0.2, abs=0.01)


def test_a_group_field_that_no_row_has_is_an_error_and_a_stratified_one_a_note():
    with pytest.raises(InputError, match=r"no row has a value of the group field 'meta\.custmer'"):
        made_of(leakproof.Plan(RATIOS, 0.7), group=("meta.custmer",))
    made, _, _ = made_of(leakproof.Plan(RATIOS, 0.7), stratify=("label", "meta.topik"), hold_out=("label", ("none",)))
    assert made.notes == [
        "No row is held out: none has none as label.",
        "No row has a value of meta.topik, so the parts are not stratified by it.",
    ]


def test_no_rows_are_an_error():
    with pytest.raises(InputError, match="no rows to split"):
        made_of(leakproof.Plan(RATIOS, 0.7), order=[])


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2024", "2024-01-01"),
        ("2024年3月5日", "2024-03-05"),
        ("2024/3/5", "2024-03-05"),
        ("2024-03-05T10:00:00+08:00", "2024-03-05T02:00:00Z"),
        ("Tue, 05 Mar 2024 10:00:00 GMT", "2024-03-05T10:00:00Z"),
        ("1709632800", "2024-03-05T10:00:00Z"),
        ("1709632800000", "2024-03-05T10:00:00Z"),
    ],
)
def test_times_are_read_as_people_and_programs_write_them(written, meant):
    assert moments.written(moments.moment(written)) == meant


@pytest.mark.parametrize("value", ["", "soon", "05/01/2024", "2024-13-01", "123"])
def test_what_is_not_clearly_a_time_is_none(value):
    assert moments.moment(value) == moments.NEVER
