import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sapwood.errors import Refused
from sapwood.text import rows, units
from sapwood.text.near import index, overlaps
from sapwood.text.parts import crossing, leakproof, naive, proof, sides, split

CHANCE = random.Random(5)
BASE = ["".join(CHANCE.choices("天地玄黄宇宙洪荒日月盈昃辰宿列张", k=30)) for _ in range(40)]
BASE += [" ".join("".join(CHANCE.choices("abcdefgh", k=4)) for _ in range(25)) for _ in range(40)]


def changed(text, chance):
    """A near copy, a far one, or an exact one."""
    place = chance.randrange(len(text))
    return [text, text[:place] + "X" + text[place:], text[: len(text) // 2] + BASE[chance.randrange(80)][:15], text.upper()][
        chance.randrange(4)
    ]


def indexed(texts):
    made = index.Index()
    made.add(texts)
    return made


@pytest.fixture(params=["roomy", "full"])
def table(request, monkeypatch):
    """The sieve's table with room for all, and one that is so full that it says yes to nearly everything."""
    if request.param == "full":
        monkeypatch.setattr(proof, "SLOTS", (1 << 6, 1 << 6))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False), st.sampled_from([0.5, 0.7, 0.9, 1.0]))
def test_the_proof_finds_every_pair_that_comparing_all_with_all_finds(table, chance, threshold):
    texts = BASE[:50] + [changed(BASE[chance.randrange(50)], chance) for _ in range(50)]
    part = np.array([chance.choice([0, 0, 1, 2, split.NOWHERE]) for _ in texts])
    shingled = units.shingle(texts)
    found = proof.prove(indexed(texts), part, threshold)
    expected = dict.fromkeys(proof.PAIRS, 0)
    one, other = np.triu_indices(len(texts), 1)
    scores = overlaps.jaccard(shingled, shingled, one, other)
    for left, right in zip(one[scores >= threshold - 1e-12].tolist(), other[scores >= threshold - 1e-12].tolist(), strict=True):
        pair = tuple(sorted((int(part[left]), int(part[right]))))
        if pair in expected and shingled.keys[left] != shingled.keys[right] and min(shingled.sizes[[left, right]]) >= 5:
            expected[pair] += 1
    assert found.near == list(expected.values())


def test_the_sieve_puts_aside_what_has_no_copy_elsewhere():
    texts = [*BASE[:40], BASE[0] + "好"]
    part = np.array([row % 3 for row in range(40)] + [2])
    assert proof.candidates(indexed(texts), part, 0.7).tolist() == [0, 40]


def test_every_kind_of_crossing_is_counted_for_its_pair_of_parts():
    texts = [BASE[0], BASE[0], BASE[1], BASE[1] + "好", BASE[2], BASE[3]]
    part = np.array([0, 2, 0, 1, 0, 2])
    group = np.array([-1, -1, -1, -1, 7, 7])
    time = split.Timed(5, np.array([False, False, False, False, True, True]), split.TEST)
    found = proof.prove(indexed(texts), part, 0.7, [group], time)
    pairs = dict(zip(proof.PAIRS, zip(*found[:4], strict=True), strict=True))
    assert pairs[0, 2] == (1, 0, 1, 1)
    assert pairs[0, 1] == (0, 1, 0, 0)
    assert found.total == 4
    with pytest.raises(Refused, match=r"1 exact, 1 near, 1 group, 1 time crossings, between train-dev, train-test"):
        crossing.refuse(found, "near")


def test_a_pair_that_the_clusters_missed_is_found_and_joined():
    class Forgetful(index.Index):
        def clusters(self, threshold, advance=lambda _: None):
            return np.arange(len(self))

    made, asked = Forgetful(), sides.Sides(sides.Asked(()), 1)
    texts = BASE[:40] + [text + "好" for text in BASE[:40]]
    made.add(texts)
    asked.add(rows.table([{**rows.document("s", str(row), text)} for row, text in enumerate(texts)]).to_batches()[0])
    done = leakproof.make(made, asked, leakproof.Plan({"train": 0.5, "test": 0.5}, 0.7))
    assert done.tries > 1
    assert done.proof.total == 0
    assert (done.part[:40] == done.part[40:]).all()


def test_a_plain_split_of_copies_leaks_and_the_sample_tells_its_size(tmp_path, monkeypatch):
    made = [rows.document("s", str(row), text) for row, text in enumerate(BASE * 5)]
    rows.write(tmp_path, rows.table(made))
    ratios = {"train": 0.8, "test": 0.2}
    full = naive.measured(tmp_path, ratios, 3, 0.7)
    assert 0 < full.exact <= full.near <= full.test == full.of
    assert full.exact / full.test > 0.9
    monkeypatch.setattr(naive, "SAMPLE", 10)
    some = naive.measured(tmp_path, ratios, 3, 0.7)
    assert (some.test, some.of) == (10, full.of)
    draw = split.draws([row["id"] for row in made], 3)
    counted = naive.from_clusters(draw, indexed(BASE * 5).clusters(0.7), indexed(BASE * 5).exact(), ratios)
    assert counted == full


def test_the_report_has_every_number_of_the_proof_by_pair():
    texts, asked = BASE[:40], sides.Sides(sides.Asked(("language",)), 1)
    asked.add(rows.table([rows.document("s", str(row), text, language="zh") for row, text in enumerate(texts)]).to_batches()[0])
    made = leakproof.make(indexed(texts), asked, leakproof.Plan({"train": 0.5, "dev": 0.25, "test": 0.25}, 0.7))
    told = crossing.told(made, asked, crossing.Shown(0.7, ("exact", "near"), made.leak, "given", "By ratio."))
    assert told.data["crossings"]["pairs"]["train-test"] == {"exact": 0, "near": 0, "group": 0, "time": 0}
    table = next(block for block in told.blocks if block.get("title", "").startswith("Proof"))
    assert table["columns"] == ["parts", "exact", "near"]
    assert [row[0] for row in table["rows"]] == ["train-dev", "train-test", "dev-test", "all"]
    assert told.data["by_field"] == [{"language": "zh", "train": 20, "dev": 10, "test": 10, "later": 0}]
    assert "crossings between parts: 0 exact, 0 near." in told.summary
