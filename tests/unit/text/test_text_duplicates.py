import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.text import units
from sapwood.text.near import clustering, duplicates, overlaps

BASE = {
    "en": "the quick brown fox jumps over the lazy dog while seven wise owls watch from an old oak tree and say nothing at all",
    "zh": "房间很干净服务员态度也很好早餐品种丰富味道不错离地铁站步行只要五分钟下次出差还会选择这家酒店",
    "zh-TW": "房間很乾淨服務員態度也很好早餐品種豐富味道不錯離捷運站步行只要五分鐘下次出差還會選擇這家飯店",
    "mixed": "我买了iPhone 15 Pro 手机屏幕 is very good 电池 life 一般般 但是 camera 真的很好推荐给大家",
    "code": "def area(width, height):\n    total = width * height\n    print(total, width, height)\n    return total if total else None",
}


def jaccard(one, other):
    a, b = set(units.shingles(one).tolist()), set(units.shingles(other).tolist())
    return len(a & b) / len(a | b)


@pytest.mark.parametrize("text", BASE.values(), ids=BASE)
def test_copies_that_differ_in_spacing_and_case_are_exact(text):
    assert duplicates.clusters([text, text.upper() + " ", "something else entirely"], 0).tolist() == [0, 0, 2]


@pytest.mark.parametrize("text", BASE.values(), ids=BASE)
def test_a_copy_with_a_changed_end_is_near_and_keeps_its_exact_similarity(text):
    changed = text + "！完 end"
    match = duplicates.matches([changed, "别的 other"], [BASE["en"][:20], text], 0.5)
    assert match.row.tolist() == [1, -1]
    assert match.jaccard[0] == pytest.approx(jaccard(changed, text))
    assert duplicates.clusters([text, changed], 0.5).tolist() == [0, 0]
    assert duplicates.clusters([text, changed], 1.0).tolist() == [0, 1]


def test_short_texts_are_compared_by_exact_key_only_and_nothing_equals_nothing():
    texts = ["在吗", "在吗！", "在", "", "  ", "一二三四五六七八", "一二三四五六七八", "一二三四五六七九"]
    assert duplicates.clusters(texts, 0.1).tolist() == [0, 0, 2, 3, 4, 5, 5, 7]


def test_the_keeper_is_the_first_or_the_longest():
    texts = ["很好啊", "很好啊！！！", "别的", "很好啊！"]
    cluster = duplicates.clusters(texts)
    assert duplicates.keepers(texts, cluster, "first").tolist() == [0, 0, 2, 0]
    assert duplicates.keepers(texts, cluster, "longest").tolist() == [1, 1, 2, 1]


def variants(seed, count):
    chance = random.Random(seed)
    texts = []
    for _ in range(count):
        letters = list(chance.choice(list(BASE.values())))
        for _ in range(chance.randrange(4)):
            letters[chance.randrange(len(letters))] = chance.choice("甲乙丙丁xyz ")
        texts.append("".join(letters))
    return texts


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_the_partition_does_not_change_with_the_order_of_rows(seed, chance):
    texts = variants(seed, 40)
    order = list(range(len(texts)))
    chance.shuffle(order)
    cluster, shuffled = duplicates.clusters(texts), duplicates.clusters([texts[i] for i in order])
    assert all((cluster[a] == cluster[b]) == (shuffled[i] == shuffled[j]) for i, a in enumerate(order) for j, b in enumerate(order))
    assert all(name <= row and cluster[name] == name for row, name in enumerate(cluster.tolist()))


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000))
def test_prefix_filter_and_minhash_agree_with_brute_force(seed):
    texts = variants(seed, 30)
    sets = units.shingle(texts)
    plain = [set(units.shingles(text).tolist()) for text in texts]
    expected = {(i, j) for i, a in enumerate(plain) for j, b in enumerate(plain) if len(a & b) >= 0.7 * len(a | b) - 1e-9}
    pairs = overlaps.similar_pairs(sets, sets, 0.7)
    assert set(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)) == expected
    assert all(score == pytest.approx(jaccard(texts[i], texts[j])) for i, j, score in zip(*pairs, strict=True))
    left, right = zip(*sorted(expected), strict=True)
    brute = clustering.linked(np.arange(len(texts)), np.array(left), np.array(right))
    assert duplicates.clusters(texts, 0.7).tolist() == brute.tolist()


def test_a_text_inside_a_longer_document_is_found_with_its_coverage():
    inside = f"Foreword in English. {BASE['zh']} 后记一二三四五六七。 {BASE['en']}"
    documents, texts = units.shingle([BASE["zh-TW"], inside]), units.shingle([BASE["en"], BASE["zh"], BASE["code"], "短"])
    pairs = overlaps.contained(documents, texts, 0.8)
    assert list(zip(pairs.left.tolist(), pairs.right.tolist(), pairs.score.tolist(), strict=True)) == [(1, 0, 1.0), (1, 1, 1.0)]
