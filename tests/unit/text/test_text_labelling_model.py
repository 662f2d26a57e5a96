"""The label model on simulations with known truth, and the counts of votes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.errors import InputError
from sapwood.text.labelling.judge import Judge
from sapwood.text.labelling.label_model import ABSTAIN, MOST_ROUNDS, decided, fit
from sapwood.text.labelling.votes import Ballots, Electorate, Member, tally


def simulated(accuracies, rows=4000, classes=2, covers=1.0, seed=1):
    """(true labels, votes) of functions that err on their own."""
    chance = np.random.default_rng(seed)
    truth = chance.integers(0, classes, rows)
    votes = np.full((rows, len(accuracies)), ABSTAIN, dtype=np.uint8)
    for place, accuracy in enumerate(accuracies):
        said = np.where(chance.random(rows) < accuracy, truth, (truth + chance.integers(1, classes, rows)) % classes)
        speaks = chance.random(rows) < covers
        votes[speaks, place] = said[speaks]
    return truth, votes


def labelled(votes, method, classes=2, shares=None):
    rows, counts = np.unique(votes, axis=0, return_counts=True)
    equal = np.full(classes, 1 / classes)
    fitted = fit(rows, counts, classes, method, equal if shares is None else shares)
    return fitted, decided(fitted.posterior(votes))[0]


def accuracy(truth, found, where=None):
    where = found != ABSTAIN if where is None else where
    return float((found[where] == truth[where]).mean())


@pytest.mark.parametrize(("classes", "poor"), [(2, 0.6), (4, 0.4)])
def test_em_beats_the_majority_when_one_function_is_better_than_the_rest(classes, poor):
    truth, votes = simulated([0.9, poor, poor, poor, poor], classes=classes)
    by_number, by_weight = labelled(votes, "majority", classes)[1], labelled(votes, "em", classes)[1]
    both = (by_number != ABSTAIN) & (by_weight != ABSTAIN)
    assert accuracy(truth, by_weight, both) > accuracy(truth, by_number, both) + 0.03


def test_em_beats_the_majority_with_abstentions_too():
    truth, votes = simulated([0.92, 0.6, 0.6, 0.55, 0.55], covers=0.7)
    by_number, by_weight = labelled(votes, "majority")[1], labelled(votes, "em")[1]
    both = (by_number != ABSTAIN) & (by_weight != ABSTAIN)
    assert accuracy(truth, by_weight, both) > accuracy(truth, by_number, both) + 0.02
    assert (by_weight != ABSTAIN).mean() > (by_number != ABSTAIN).mean()


@pytest.mark.parametrize("seed", range(4))
def test_em_is_the_majority_when_all_functions_are_equally_good(seed):
    _, votes = simulated([0.75] * 5, seed=seed)
    by_number, by_weight = labelled(votes, "majority")[1], labelled(votes, "em")[1]
    assert (by_number == by_weight).all()


def test_estimated_accuracies_are_in_the_order_of_the_true_ones_and_converge():
    fitted, _ = labelled(simulated([0.95, 0.8, 0.65])[1], "em")
    assert fitted.converged
    assert 1 < fitted.rounds < MOST_ROUNDS
    assert fitted.accuracy[0] > fitted.accuracy[1] > fitted.accuracy[2]
    assert abs(fitted.accuracy[1] - 0.8) < 0.06


def test_shares_are_learnt_where_every_function_votes_for_every_label():
    chance = np.random.default_rng(0)
    truth = (chance.random(4000) < 0.2).astype(int)
    votes = np.stack([np.where(chance.random(4000) < 0.85, truth, 1 - truth) for _ in range(4)], axis=1).astype(np.uint8)
    rows, counts = np.unique(votes, axis=0, return_counts=True)
    assert abs(fit(rows, counts, 2, "em").shares[1] - 0.2) < 0.05


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.sampled_from([0, 1, 2, ABSTAIN]), min_size=3, max_size=3), min_size=1, max_size=40), st.randoms())
def test_the_labels_do_not_depend_on_the_order_of_the_rows_or_on_how_they_are_counted(drawn, chance):
    votes = np.array(drawn, dtype=np.uint8)
    order = list(range(len(votes)))
    chance.shuffle(order)
    one, found = labelled(votes, "em", 3)
    single = fit(votes[order], np.ones(len(votes)), 3, "em", np.full(3, 1 / 3))
    assert np.allclose(one.accuracy, single.accuracy, atol=1e-6, equal_nan=True)
    belief = one.posterior(votes)
    silent = (votes == ABSTAIN).all(1)
    assert np.allclose(belief.sum(1), np.where(silent, 0, 1))
    assert (found[silent] == ABSTAIN).all()


def test_a_tie_and_a_row_without_votes_are_no_decision():
    votes = np.array([[0, 1], [ABSTAIN, ABSTAIN], [1, ABSTAIN]], dtype=np.uint8)
    assert labelled(votes, "majority")[1].tolist() == [ABSTAIN, ABSTAIN, 1]


def electorate(*labels):
    return Electorate.of([Member(f"f{place}", "test", lambda ids, texts: [""] * len(texts), frozenset(labels)) for place in range(2)])


def test_a_judgement_has_a_label_or_a_reason():
    votes = np.array([[0, 0], [0, 1], [ABSTAIN, ABSTAIN], [1, ABSTAIN]], dtype=np.uint8)
    fitted = fit(votes, np.ones(4), 2, "majority", np.array([0.5, 0.5]))
    found = list(Judge(electorate("bad", "good"), fitted, 0.5).judged(votes))
    assert [(one.label, one.reason) for one in found] == [("bad", ""), ("", "tie"), ("", "no vote"), ("good", "")]
    assert found[3].votes == {"f0": "good"}
    strict = fit(np.array([[0, 0], [0, 1]], dtype=np.uint8), np.array([3, 1]), 2, "em", np.array([0.5, 0.5]))
    assert next(Judge(electorate("bad", "good"), strict, 0.999).judged(votes)).reason == "below min_confidence"


def test_fewer_than_two_labels_cannot_be_told_apart():
    with pytest.raises(InputError, match="fewer than two labels"):
        electorate("only")


def test_votes_are_counted_by_function_and_pair():
    votes = np.array([[0, 1, ABSTAIN], [0, 0, ABSTAIN], [ABSTAIN, ABSTAIN, 1], [ABSTAIN] * 3], dtype=np.uint8)
    found = tally(votes, np.array([5, 3, 2, 10]))
    assert (found.rows, found.covered, found.conflicting) == (20, 10, 5)
    assert found.votes.tolist() == [8, 8, 2]
    assert found.overlaps.tolist() == [8, 8, 0]
    assert found.conflicts.tolist() == [5, 5, 0]
    assert found.against.tolist() == [[0, 5, 0], [5, 0, 0], [0, 0, 0]]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=6))
def test_ballots_give_back_the_votes_whatever_the_batches(tmp_path_factory, sizes):
    made = np.random.default_rng(3).integers(0, 3, (sum(sizes), 4)).astype(np.uint8)
    ballots = Ballots(tmp_path_factory.mktemp("votes") / "votes", 4)
    with ballots:
        done = 0
        for size in sizes:
            ballots.add(made[done : done + size])
            done += size
    rows, counts = ballots.combinations()
    distinct, often = np.unique(made, axis=0, return_counts=True)
    assert (rows == distinct).all()
    assert (counts == often).all()
    assert (ballots.at(1, len(made)) == made[1:]).all()
