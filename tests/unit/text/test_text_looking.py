"""Filter, search and sample rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.errors import InputError
from sapwood.text import rows
from sapwood.text.versions import looking
from sapwood.text.versions.looking import condition

TEXTS = [
    ("zh", "酒店很好，退款很快。退款！"),
    ("en", "A REFUND was made. No refund later."),
    ("zh", "退貨與退款，繁體字"),
    ("en", "x = refund(order)\nprint(x)"),
    ("zh", "iPhone 15 不退款"),
    ("ja", "返金してください"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = [
        {**rows.document("shop", str(i), text, language=code, meta={"n": str(i)}), "label": "ab"[i % 2], "parents": ["p1", f"q{i}"]}
        for i, (code, text) in enumerate(TEXTS)
    ]
    rows.write(tmp_path, rows.table(made, rows.EXAMPLES))
    return tmp_path


def places(found: object) -> list[str]:
    return [rows.meta(row)["n"] for row in found]  # type: ignore[attr-defined]


def test_rows_come_in_their_order_and_stop_at_the_limit(folder: Path) -> None:
    assert places(looking.cat(folder, 2)) == ["0", "1"]
    assert places(looking.cat(folder, 0)) == list("012345")


def test_every_condition_must_hold(folder: Path) -> None:
    both = [condition("language=zh"), condition("label!=b")]
    assert places(looking.cat(folder, 0, both)) == ["0", "2", "4"]
    assert places(looking.cat(folder, 0, [condition("meta.n=3")])) == ["3"]
    assert places(looking.cat(folder, 0, [condition("parents=q2")])) == ["2"]
    assert places(looking.cat(folder, 0, [condition("parents!=p1")])) == []


def test_columns_are_chosen_and_meta_entries_are_columns(folder: Path) -> None:
    assert list(looking.cat(folder, 1, [condition("label=b")], ["meta.n", "text"])) == [{"meta.n": "1", "text": TEXTS[1][1]}]


@pytest.mark.parametrize("wrong", ["language", "=zh", "!=zh"])
def test_a_condition_without_a_field_is_refused(wrong: str) -> None:
    with pytest.raises(InputError, match="condition"):
        condition(wrong)


def test_an_unknown_field_names_the_known_ones(folder: Path) -> None:
    with pytest.raises(InputError, match="no field 'lang'"):
        list(looking.cat(folder, 1, [condition("lang=zh")]))
    with pytest.raises(InputError, match="no field 'body'"):
        list(looking.cat(folder, 1, [], ["body"]))


def test_a_search_counts_all_rows_and_shows_the_first(folder: Path) -> None:
    found = looking.search(folder, "退款", False, False, 2, 1)
    assert (found.rows, found.matches, found.seen) == (3, 4, 6)
    assert (found.by_language, found.by_source) == (Counter(zh=3), Counter(shop=3))
    [hit] = found.hits
    assert (hit.before, hit.match, hit.after, hit.times) == ("好，", "退款", "很快", 2)


def test_a_search_can_ignore_case_and_take_expressions(folder: Path) -> None:
    assert looking.search(folder, "refund", False, False, 0, 0).rows == 2
    assert looking.search(folder, "REFUND", False, True, 0, 9).matches == 3
    assert [h.match for h in looking.search(folder, r"退[貨货]|iPhone \d+", True, False, 0, 9).hits] == ["退貨", "iPhone 15"]
    with pytest.raises(InputError, match="not a regular expression"):
        looking.search(folder, "(", True, False, 0, 9)
    with pytest.raises(InputError, match="empty"):
        looking.search(folder, "", False, False, 0, 9)


def test_special_characters_of_expressions_are_plain_text_without_regex(folder: Path) -> None:
    assert looking.search(folder, "refund(order)", False, False, 0, 9).rows == 1


def test_a_sample_can_take_each_value_by_itself(folder: Path) -> None:
    found = looking.sample(folder, 1, 3, "language")
    assert sorted(row["language"] for row in found) == ["en", "ja", "zh"]
    assert len(looking.sample(folder, 100, 3)) == 6
    assert places(looking.sample(folder, 9, 3, "", [condition("language=ja")])) == ["5"]


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(40)), st.integers(0, 5), st.integers(1, 39))
def test_a_sample_depends_on_ids_and_seed_and_grows_by_adding(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], seed: int, n: int
) -> None:
    made = [rows.document("s", str(i), f"text {i}") for i in range(40)]
    plain, mixed = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("mixed")
    rows.write(plain, rows.table(made))
    rows.write(mixed, rows.table([made[i] for i in order]))
    drawn = {row["id"] for row in looking.sample(plain, n, seed)}
    assert drawn == {row["id"] for row in looking.sample(mixed, n, seed)}
    assert drawn <= {row["id"] for row in looking.sample(plain, n + 1, seed)}
    assert len(drawn) == n
