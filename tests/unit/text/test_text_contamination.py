import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.errors import ResourceError
from sapwood.text import units
from sapwood.text.leaks import contamination, evaluation
from sapwood.text.leaks.contamination import Limits

CHANCE = random.Random(11)
HAN, TRADITIONAL = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏", "體國經野設官分職為民極惟王建辨方正位"
LIMITS = Limits(0.7, 0.8, 0.5, 20)
ACTIONS = (
    dict.fromkeys(("exact", "near", "contains"), "drop")
    | {"quotation": "paragraph"}
    | dict.fromkeys(("partial", "boilerplate", "short"), "keep")
)


def zh(count, chance=CHANCE, letters=HAN):
    return "".join(chance.choices(letters, k=count))


def words(count, chance=CHANCE):
    return " ".join("".join(chance.choices("abcdefghij", k=5)) for _ in range(count))


KINDS = {
    "en": lambda chance: words(25, chance),
    "zh": lambda chance: zh(30, chance),
    "zh-TW": lambda chance: zh(30, chance, TRADITIONAL),
    "mixed": lambda chance: f"{zh(12, chance)} {words(6, chance)}，{zh(10, chance)}",
    "code": lambda chance: (
        f"def {words(1, chance)}({words(4, chance).replace(' ', ', ')}):\n    return " + words(8, chance).replace(" ", "_ + ")
    ),
}
FILLER = {"en": lambda c: words(120, c), "zh": lambda c: zh(200, c), "zh-TW": lambda c: zh(200, c, TRADITIONAL)}


def filler(kind, chance):
    return FILLER.get(kind, lambda c: f"{words(40, c)} {zh(80, c)}")(chance)


def searched(documents, items, limits=LIMITS, batch=3):
    """Findings of every document, and the items."""
    side = evaluation.Items([("examples:abc", [(f"item{number}", text) for number, text in enumerate(items)])], limits.low)
    pairs = contamination.Pairs()
    for start in range(0, len(documents), batch):
        pairs.add(side.meet(documents[start : start + batch]), len(documents[start : start + batch]))
    found = dict(pairs.of(0, len(documents)))
    return [contamination.findings(text, found[row], side, limits) if row in found else [] for row, text in enumerate(documents)], side


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.integers(0, 10**6), st.integers(1, 4))
def test_planted_items_are_found_with_the_right_span_and_class_and_near_misses_are_not(kind, seed, batch):
    chance = random.Random(seed)
    item, other = KINDS[kind](chance), KINDS[kind](chance)
    before, after = filler(kind, chance), filler(kind, chance)
    units_of = contamination.spans.placed(item)
    half = item[: units_of.starts[round(0.65 * len(units_of.starts))]].rstrip()
    less = item[: units_of.starts[len(units_of.starts) // 4]].rstrip()
    documents = [
        f"{before}。{item}。{after}",
        item.upper() + " !",
        f"{before}\n{half}\n{after}",
        f"{before}\n{less}\n{after}",
        before,
        other,
    ]
    found, _ = searched(documents, [item], batch=batch)
    assert [[one.verdict for one in row] for row in found] == [["contains"], ["exact"], ["partial"], [], [], []]
    planted = documents[0][found[0][0].start : found[0][0].end]
    assert item.rstrip("。 ").endswith(planted[-3:])
    assert planted in documents[0]
    assert units.shingle([planted]).keys == units.shingle([item]).keys
    assert found[0][0].coverage == 1
    cut = documents[2][found[2][0].start : found[2][0].end]
    assert units.shingle([cut]).keys == units.shingle([half]).keys


def test_a_near_copy_of_an_item_is_near():
    item = words(40)
    names = item.split()
    found, _ = searched([" ".join([*names[:-2], "other", "words"])], [item])
    assert [one.verdict for one in found[0]] == ["near"]


def test_windows_scattered_over_a_long_document_are_no_item():
    item = words(40)
    names = item.split()
    pieces = [" ".join(names[start : start + 8]) for start in range(0, 40, 8)]
    document = " ".join(f"{piece} {words(100)}" for piece in pieces * 2)
    found, _ = searched([document], [item], Limits(0.7, 0.8, 0.3, 20))
    assert found == [[]]


def test_what_stands_in_many_documents_is_a_quotation_or_boilerplate_and_what_is_the_items_own_is_not():
    form, poem = words(60), zh(28)
    own = [words(40) for _ in range(3)]
    items = [f"{form} {own[0]}", poem, own[1]]
    crowd = [f"{words(30)} {form} {zh(60)}" for _ in range(25)] + [f"{zh(50)}{poem}{zh(50)}" for _ in range(25)]
    documents = [*crowd, f"{words(50)} {form} {own[0]} {words(50)}", f"{words(50)} {own[1]} {words(50)}"]
    found, _ = searched(documents, items)
    verdicts = [sorted({one.verdict for one in row}) for row in found]
    assert verdicts[:25] == [["boilerplate"]] * 25
    assert verdicts[25:50] == [["quotation"]] * 25
    assert verdicts[50:] == [["contains"], ["contains"]]


def test_an_item_of_few_units_is_short_and_a_shorter_one_is_found_as_a_copy_only():
    found, side = searched(
        ["他说床前明月光疑是霜", "床前明月", "我看床前明月", "x y the quick brown fox jumps z"],
        ["床前明月光", "床前明月", "The quick brown fox jumps"],
    )
    assert [[one.verdict for one in row] for row in found] == [["short"], ["exact"], [], ["short"]]
    assert side.sizes.tolist() == [1, 0, 1]


def test_every_place_where_an_item_stands_is_found_and_cut():
    item = zh(30)
    text = f"{zh(40)}\n{item}\n{words(20)}\n{item}\nthe end"
    found, _ = searched([text], [item])
    assert [one.verdict for one in found[0]] == ["contains", "contains"]
    out = contamination.outcome(text, found[0], 0, ACTIONS | {"contains": "paragraph"})
    assert out.action == "cut"
    assert item not in out.text
    assert out.text.endswith("the end")
    again, _ = searched([out.text], [item])
    assert again == [[]]


@pytest.mark.parametrize(("action", "expected"), [("drop", "drop"), ("keep", "keep"), ("span", "cut"), ("paragraph", "drop")])
def test_the_action_of_a_class_decides(action, expected):
    item = zh(30)
    text = f"{zh(40)}{item}{zh(40)}"
    found, _ = searched([text], [item])
    out = contamination.outcome(text, found[0], 0, ACTIONS | {"contains": action})
    assert out.action == expected
    assert (item in out.text) == (expected != "cut")


def test_a_document_with_more_items_than_are_looked_at_is_dropped_rather_than_half_cut():
    items = [words(12) for _ in range(evaluation.MOST + 6)]
    document = " ".join(items)
    side = evaluation.Items([("a", [(str(number), text) for number, text in enumerate(items)])], LIMITS.low)
    pairs = contamination.Pairs()
    pairs.add(side.meet([document]), 1)
    assert pairs.more == {0: 6}
    found = contamination.findings(document, next(pairs.of(0, 1))[1], side, LIMITS)
    assert len({one.item for one in found}) == evaluation.MOST
    assert contamination.outcome(document, found, 6, ACTIONS | {"contains": "span"}).action == "drop"
    assert contamination.outcome(document, found, 6, dict.fromkeys(ACTIONS, "keep")).action == "keep"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 7))
def test_no_pair_over_the_limit_is_missed_and_coverage_is_exact(seed, batch):
    chance = random.Random(seed)
    items = [KINDS[chance.choice(sorted(KINDS))](chance) for _ in range(12)]
    documents = [filler("mixed", chance) + item[: chance.randrange(len(item) + 1)] for item in items] + items[:2]
    side = evaluation.Items([("a", [(str(number), text) for number, text in enumerate(items)])], 0.4)
    got = {}
    for start in range(0, len(documents), batch):
        met = side.meet(documents[start : start + batch])
        got |= {
            (start + row, item): score for row, item, score in zip(met.row.tolist(), met.item.tolist(), met.coverage.tolist(), strict=True)
        }
    have, wanted = ([set(units.shingles(text).tolist()) for text in texts] for texts in (documents, items))
    shares = {(row, number): len(mine & item) / len(item) for row, mine in enumerate(have) for number, item in enumerate(wanted)}
    assert got == pytest.approx({pair: share for pair, share in shares.items() if share >= 0.4})
    assert side.frequency.tolist() == [sum(value in mine for mine in have) for value in side.vocabulary.tolist()]


def test_more_evaluation_text_than_fits_is_refused_with_its_size(monkeypatch):
    monkeypatch.setattr(evaluation, "MOST_WINDOWS", 100)
    with pytest.raises(ResourceError, match=r"the evaluation texts have 150 characters, 146 windows .* 100 fit"):
        evaluation.Items([("a", [("x", "".join(chr(0x4E00 + place) for place in range(150)))])], 0.5)


def test_no_items_and_no_documents_meet_nothing():
    assert searched(["some words of a document that says nothing"], [])[0] == [[]]
    assert searched([], ["an item that stands alone in its evaluation set"])[0] == []
