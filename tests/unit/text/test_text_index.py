import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.text import units
from sapwood.text.near import clustering, duplicates, index, overlaps
from sapwood.text.near.index import Index

BASE = (
    "the quick brown fox jumps over the lazy dog while seven wise owls watch from an old oak tree and say nothing at all",
    "房间很干净服务员态度也很好早餐品种丰富味道不错离地铁站步行只要五分钟下次出差还会选择这家酒店",
    "房間很乾淨服務員態度也很好早餐品種豐富味道不錯離捷運站步行只要五分鐘下次出差還會選擇這家飯店",
    "我买了iPhone 15 Pro 手机屏幕 is very good 电池 life 一般般 但是 camera 真的很好推荐给大家",
    "def area(width, height):\n    total = width * height\n    print(total, width, height)\n    return total if total else None",
)
SHORT = ("", " ", "在吗", "在吗！", "👍", "👍👍")


def variants(seed, count):
    chance = random.Random(seed)
    texts = []
    for _ in range(count):
        letters = list(chance.choice(BASE))
        for _ in range(chance.randrange(4)):
            letters[chance.randrange(len(letters))] = chance.choice("甲乙丙丁xyz ")
        texts.append("".join(letters))
    return [*texts, *SHORT]


def brute(texts, threshold):
    """Components over equal keys and exact similarities of all pairs."""
    shingled = units.shingle(texts)
    left, right = (part.ravel() for part in np.meshgrid(np.arange(len(texts)), np.arange(len(texts))))
    score = overlaps.jaccard(shingled, shingled, left, right)
    usable = (shingled.sizes[left] >= index.LEAST) & (shingled.sizes[right] >= index.LEAST)
    same = np.array([shingled.keys[a] == shingled.keys[b] != b"" for a, b in zip(left.tolist(), right.tolist(), strict=True)])
    near = (score >= threshold) & usable | same
    return clustering.linked(np.arange(len(texts)), left[near], right[near])


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    size=st.integers(1, 50),
    budget=st.sampled_from([0, 4000, 1 << 20]),
    chance=st.randoms(use_true_random=False),
)
def test_clusters_do_not_change_with_the_order_of_rows_batches_or_budget(tmp_path_factory, seed, size, budget, chance):
    texts = variants(seed, 40)
    order = list(range(len(texts)))
    chance.shuffle(order)
    with Index(tmp_path_factory.mktemp("index"), budget) as streamed:
        for start in range(0, len(texts), size):
            streamed.add([texts[row] for row in order[start : start + size]])
        found = streamed.clusters(0.7)
    expected = brute(texts, 0.7)
    assert all((expected[a] == expected[b]) == (found[i] == found[j]) for i, a in enumerate(order) for j, b in enumerate(order))
    assert all(name <= row and found[name] == name for row, name in enumerate(found.tolist()))


def test_files_are_gone_after_use_and_only_then(tmp_path):
    with Index(tmp_path / "scratch", 0) as spilled:
        spilled.add(variants(1, 30))
        spilled.clusters(0.7)
        assert sorted(path.name for path in (tmp_path / "scratch").iterdir()) == ["bands.u64", "shingles.u64"]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_shingles_come_back_in_the_order_asked_for(tmp_path):
    texts = variants(2, 20)
    with Index(tmp_path, 2000) as some:
        some.add(texts)
        for rows in (np.array([7, 3, 3]), np.arange(4, 9), np.zeros(0, dtype=np.int64)):
            found, expected = some.shingles(rows), units.shingle([texts[row] for row in rows.tolist()])
            assert found.keys == expected.keys
            assert found.values.tolist() == expected.values.tolist()
            assert found.offsets.tolist() == expected.offsets.tolist()


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000))
def test_joins_find_every_pair_over_the_threshold(seed):
    left, right = variants(seed, 15), variants(seed + 1, 20)
    one, other = duplicates.indexed(left), duplicates.indexed(right)
    mine, theirs = units.shingle(left), units.shingle(right)
    i, j = (part.ravel() for part in np.meshgrid(np.arange(len(left)), np.arange(len(right)), indexing="ij"))
    score = overlaps.jaccard(mine, theirs, i, j)
    near = (score >= 0.7) & (mine.sizes[i] >= index.LEAST) & (theirs.sizes[j] >= index.LEAST)
    same = [mine.keys[a] == theirs.keys[b] != b"" for a, b in zip(i.tolist(), j.tolist(), strict=True)]
    expected = {(a, b) for a, b, yes in zip(i.tolist(), j.tolist(), near | same, strict=True) if yes}
    pairs = index.similar(one, other, 0.7)
    assert set(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)) == expected
    best = index.best(one, other, 0.7)
    assert set(np.flatnonzero(best.row >= 0).tolist()) == {a for a, _ in expected}
    assert all((row, best.row[row]) in expected for row in np.flatnonzero(best.row >= 0).tolist())


def test_some_rows_of_an_index_can_be_joined_with_others_of_it():
    texts = [BASE[0], BASE[1], BASE[0].upper(), BASE[1] + "好", BASE[4]]
    whole = duplicates.indexed(texts)
    pairs = index.similar(whole, whole, 0.7, np.array([0, 1]), np.array([2, 3, 4]))
    assert list(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)) == [(0, 2), (1, 3)]
    assert pairs.score[0] == 1.0
    assert 0.9 < pairs.score[1] < 1


def test_a_text_inside_a_longer_document_is_found_with_its_coverage():
    documents = duplicates.indexed([BASE[2], f"Foreword. {BASE[1]} 后记一二三四五六七。 {BASE[0]}"])
    pairs = index.contained(documents, duplicates.indexed([BASE[0], BASE[1], BASE[4], "短"]), 0.8)
    assert list(zip(*map(list, pairs), strict=True)) == [(1, 0, 1.0), (1, 1, 1.0)]


def test_similarities_are_exact_and_zero_for_texts_with_too_few_shingles():
    texts = [BASE[0], BASE[0] + " again", "一二三四五六七八", "一二三四五六七八"]
    some = duplicates.indexed(texts)
    sets = [set(units.shingles(text).tolist()) for text in texts]
    found = some.jaccards(np.array([0, 2]), np.array([1, 3]))
    assert found[0] == pytest.approx(len(sets[0] & sets[1]) / len(sets[0] | sets[1]))
    assert found[1] == 0


def test_a_large_cluster_is_one_cluster():
    words = [f"word{place}" for place in range(60)]
    texts = [" ".join([*words, f"end{place}"]) for place in range(300)]
    assert set(duplicates.clusters(texts, 0.8).tolist()) == {0}


def test_links_join_every_cluster_with_their_similarity():
    texts = variants(5, 40)
    some = duplicates.indexed(texts)
    links = some.links(0.7)
    assert clustering.linked(np.arange(len(texts)), links.left, links.right).tolist() == some.clusters(0.7).tolist()
    assert all(score >= 0.7 for score in links.score.tolist())
    assert (links.left != links.right).all()
