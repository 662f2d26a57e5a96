"""Recall and precision on generated records. The bars are stated here; `benchmarks/pii.py` prints the whole table."""

import pytest

from sapwood.testing.records import LANGUAGES, Tally, measure, records
from sapwood.text import pii

CHECKED = ("CN_ID_NUMBER", "CREDIT_CARD", "EMAIL_ADDRESS", "IBAN_CODE", "IP_ADDRESS", "MAC_ADDRESS")
SHAPED = ("PHONE_NUMBER", "PASSPORT", "LICENSE_PLATE", "POSTAL_ADDRESS")


@pytest.fixture(scope="module")
def table():
    return measure(pii.find, 6000, seed=11).table()


@pytest.mark.parametrize("kind", CHECKED)
def test_what_has_a_checksum_or_a_strict_form_is_found_with_recall_and_precision_of_98_percent(table, kind):
    for language, row in table[kind].items():
        assert row["n"] > 100
        assert (row["recall"] >= 0.98, row["precision"] >= 0.98) == (True, True), (kind, language, row)


@pytest.mark.parametrize("kind", SHAPED)
def test_what_has_only_a_shape_is_found_with_recall_of_95_and_precision_of_97_percent(table, kind):
    for language, row in table[kind].items():
        assert row["n"] > 90
        assert (row["recall"] >= 0.95, row["precision"] >= 0.97) == (True, True), (kind, language, row)


def test_every_type_is_measured_in_every_language_that_has_it(table):
    assert {kind: len(rows) for kind, rows in table.items()} == {kind: 2 if kind == "LICENSE_PLATE" else 3 for kind in pii.TYPES}


def test_records_are_the_same_for_the_same_seed_and_their_spans_hold_what_they_say():
    made = list(records(300, seed=3))
    assert made == list(records(300, seed=3))
    assert made != list(records(300, seed=4))
    assert {record.language for record in made} == set(LANGUAGES)
    emails = [record.text[one.start : one.end] for record in made for one in record.spans if one.entity_type == "EMAIL_ADDRESS"]
    assert len(emails) > 20
    assert all("@" in value or "＠" in value for value in emails)


def test_a_finder_that_finds_nothing_has_no_recall_and_one_that_takes_all_no_precision():
    assert {row["recall"] for rows in measure(lambda text: [], 200).table().values() for row in rows.values()} == {0.0}
    tally = Tally()
    for record in records(200):
        tally.add(record, [("EMAIL_ADDRESS", 0, len(record.text))])
    assert tally.table()["EMAIL_ADDRESS"]["en"]["recall"] == 1.0
    assert tally.table()["EMAIL_ADDRESS"]["en"]["precision"] < 0.2
