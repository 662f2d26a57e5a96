"""A sample that languages and sources share, the same in any order of rows, within its memory."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.errors import Interrupted
from sapwood.text import rows
from sapwood.text.tokens import stratified

TEXTS = st.lists(
    st.tuples(
        st.sampled_from(["en", "zh", "zh-TW"]),
        st.sampled_from(["wiki", "code"]),
        st.integers(0, 30),
        st.integers(1, 60),
    ),
    max_size=60,
)


def drawn(texts, budget, seed=0):
    sample = stratified.Sample(budget, seed)
    for language, source, number, length in texts:
        sample.add(language, source, hashlib.sha256(f"{number}/{length}".encode()).hexdigest(), f"{number:02d}" * length)
        assert sample._size <= stratified.SLACK * budget
    return sample.texts()


@given(texts=TEXTS, budget=st.integers(1, 1500), chance=st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_the_sample_does_not_change_with_the_order_of_texts_and_keeps_its_budget(texts, budget, chance):
    once = drawn(texts, budget)
    mixed = list(texts)
    chance.shuffle(mixed)
    assert drawn(mixed, budget) == once
    assert sum(len(taken.text) for taken in once) <= budget


@given(texts=TEXTS, budget=st.integers(1, 1500))
@settings(max_examples=60, deadline=None)
def test_no_stratum_gets_less_than_an_equal_share_or_all_it_has(texts, budget):
    once = drawn(texts, budget)
    size, got = {}, {}
    for language, _, _, length in texts:
        size[language] = size.get(language, 0) + 2 * length
    for taken in once:
        got[taken.language] = got.get(taken.language, 0) + len(taken.text)
    for language, total in size.items():
        assert got.get(language, 0) >= min(total, budget // len(size) - 2), "Chinese that is rare gets its share"


def test_one_per_cent_of_chinese_gets_as_much_as_english():
    texts = [("zh" if n % 100 == 0 else "en", "web", n, 50) for n in range(3000)]
    sizes = {}
    for taken in drawn(texts, 4000):
        sizes[taken.language] = sizes.get(taken.language, 0) + len(taken.text)
    assert sizes == {"en": 2000, "zh": 2000}


def test_another_seed_draws_other_texts():
    texts = [("en", "web", n, 50) for n in range(100)]
    assert drawn(texts, 1000, 0) != drawn(texts, 1000, 1)


def test_one_long_document_does_not_fill_the_sample():
    sample = stratified.Sample(10**6)
    sample.add("en", "web", "0a", "x" * 10**6)
    assert [len(taken.text) for taken in sample.texts()] == [stratified.DOCUMENT]


def written(folder, made):
    folder.mkdir()
    rows.write(folder, rows.table(made))
    return folder


def test_what_is_measured_on_was_not_trained_on(tmp_path):
    made = [rows.document("s", str(i), f"text {i} of many", language="en") for i in range(400)]
    made += [rows.document("s", f"zh{i}", f"第{i}个文本") for i in range(2)]
    found = stratified.draw([written(tmp_path / "a", made)], 10**6, 0, lambda: False)
    measured = {text for language, text in found.measured if language == "en"}
    assert 5 <= len(measured) <= 40
    assert not measured & set(found.texts)
    assert {text for language, text in found.measured if language == "zh"} <= set(found.texts), "too few to hold out"
    assert found.note.endswith("but for zh: too few texts to hold any out.")
    assert sum(found.taken.values()) == sum(map(len, found.texts))
    assert sum(found.seen.values()) == sum(len(row["text"]) for row in made)


def test_the_draw_stops_when_asked(tmp_path):
    with pytest.raises(Interrupted):
        stratified.draw([written(tmp_path / "a", [rows.document("s", "1", "one")])], 1000, 0, lambda: True)


@given(sizes=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 1000), min_size=1), budget=st.integers(0, 5000))
def test_the_level_is_the_same_for_all_that_reach_it_and_leaves_less_than_one_each(sizes, budget):
    taken = stratified.allot(sizes, budget)
    assert sum(taken.values()) <= budget
    cut = [name for name in sizes if taken[name] < sizes[name]]
    assert len({taken[name] for name in cut}) <= 1
    if cut:
        assert budget - sum(taken.values()) < len(sizes)
        assert all(taken[name] <= taken[cut[0]] for name in sizes)
