"""Feedback: idempotent, quota'd, quarantined when it disagrees, and used once."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from sapwood.errors import InputError, NotFound, StoreError
from sapwood.watching.feedback import Conflict, FeedbackLog, OverQuota, Score, Source
from sapwood.watching.log import Response, ResponseLog, Scored
from sapwood.watching.tables import metadata

NOON = 86_400 * 20_000 + 43_200.0


def memory():
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    metadata.create_all(engine)
    return engine


def served(engine, *ids, text="一条评论", model="reviews"):
    output = (Scored("positive", 0.8), Scored("negative", 0.15), Scored("中性", 0.05))
    ResponseLog(engine).append([Response(i, 1.0, model, 4, 1, "b" * 64, "m" * 64, text, output, 1.0) for i in ids])


@pytest.fixture
def log():
    engine = memory()
    served(engine, "r1", "r2", "r3")
    return FeedbackLog(engine, quota=3, clock=lambda: NOON)


def says(response="r1", label="negative", **more):
    return Score(**{"response_id": response, "correction": label} | more)


def test_a_correction_is_stored_with_the_version_that_answered(log):
    [record] = log.add([says(id="f1", explanation="错了")], key_id="k", trusted=True)
    assert (record.correction, record.model_version, record.trusted, record.created_at) == ("negative", 4, True, NOON)
    assert log.get("f1") == record


def test_the_same_id_and_content_again_gives_the_same_record(log):
    first = log.add([says(id="f1")], key_id="k")
    assert log.add([says(id="f1")], key_id="k") == first
    assert log.counts("reviews")["total"] == 1


@pytest.mark.parametrize("other", [{"label": "positive"}, {"response": "r2"}, {"explanation": "hm"}, {"key_id": "someone else"}])
def test_the_same_id_with_other_content_is_a_conflict_and_stores_nothing(log, other):
    log.add([says(id="f1")], key_id="k")
    key_id = other.pop("key_id", "k")
    with pytest.raises(Conflict):
        log.add([says("r3", id="f2"), says(id="f1", **other)], key_id=key_id)
    with pytest.raises(NotFound):
        log.get("f2")


def test_a_label_the_model_does_not_have_is_refused(log):
    with pytest.raises(InputError, match="不知道"):
        log.add([says(label="不知道")])
    assert log.add([says(label="中性")])[0].correction == "中性"


def test_feedback_about_nothing_is_not_found(log):
    with pytest.raises(NotFound):
        log.add([says("r9")])


def test_another_version_than_the_one_that_answered_is_refused(log):
    with pytest.raises(InputError, match="version 4"):
        log.add([says(model_version=5)])


@pytest.mark.parametrize(
    "body",
    [
        {"correction": "a"},
        {"response_id": "r", "session_id": "s", "correction": "a"},
        {"item_id": "i", "correction": "a"},
        {"response_id": "r"},
        {"response_id": "r", "data_type": "BOOLEAN", "value": 2},
        {"response_id": "r", "data_type": "NUMERIC"},
        {"response_id": "r", "data_type": "NUMERIC", "value": float("nan")},
        {"response_id": "r", "correction": "a", "colour": "red"},
        {"response_id": "r", "correction": "a", "id": "has spaces"},
        {"response_id": "r", "correction": "a", "explanation": "x" * 4001},
    ],
)
def test_a_score_without_one_target_and_one_value_is_not_a_score(body):
    with pytest.raises(ValidationError):
        Score.model_validate(body)


def test_other_targets_are_named_but_not_served_yet(log):
    with pytest.raises(InputError, match="response_id"):
        log.add([Score(session_id="s", correction="negative")])


def test_a_key_has_a_quota_a_day_and_repeats_are_free(log):
    log.add([says(id="a"), says("r2", id="b"), says("r3", id="c")], key_id="k")
    log.add([says(id="a")], key_id="k")
    with pytest.raises(OverQuota) as fault:
        log.add([says(id="d")], key_id="k")
    assert fault.value.retry_after_s == 43_201
    log.add([says(id="e")], key_id="another")
    log.clock = lambda: NOON + 86_400
    assert log.add([says(id="d")], key_id="k")


def test_without_a_key_there_is_no_quota(log):
    assert len(log.add([says(id=f"f{i}") for i in range(10)])) == 10


def test_a_judge_is_never_trusted(log):
    [record] = log.add([says(source=Source(source_type="LLM_JUDGE"))], trusted=True)
    assert not record.trusted


def test_explanations_are_masked(log):
    [record] = log.add([says(explanation="call 13812345678", source=Source(source_id="a@b.com"))])
    assert record.explanation == "call <PHONE_NUMBER>"
    assert record.source_id == "<EMAIL_ADDRESS>"


def test_two_who_disagree_are_both_quarantined(log):
    log.add([says(id="a")], trusted=True)
    log.add([says(id="b", label="positive")], trusted=True)
    assert [log.get(i).quarantine for i in "ab"] == ["disagrees with b", "disagrees with a"]
    assert log.unconsumed("reviews") == []


def test_the_trusted_one_wins_over_the_untrusted_whoever_came_first(log):
    log.add([says(id="a")], trusted=False)
    log.add([says(id="b", label="positive")], trusted=True)
    log.add([says(id="c", label="中性")], trusted=False)
    assert [bool(log.get(i).quarantine) for i in "abc"] == [True, False, True]
    [correction] = log.unconsumed("reviews")
    assert (correction.label, correction.ids) == ("positive", ("b",))


def test_those_who_agree_make_one_example(log):
    log.add([says(id="a"), says(id="b"), says("r2", id="c")], trusted=True)
    first, second = log.unconsumed("reviews")
    assert first.ids == ("a", "b")
    assert (first.text, first.label, first.predicted, first.version) == ("一条评论", "negative", "positive", 4)
    assert second.response_id == "r2"


def test_only_trusted_corrections_of_this_model_with_a_text_are_handed_out(log):
    served(log.engine, "r8", text="")
    served(log.engine, "r9", model="other")
    log.add([says("r8"), says("r9"), Score(response_id="r2", data_type="BOOLEAN", value=0)], trusted=True)
    log.add([says("r3", id="untrusted")])
    assert log.unconsumed("reviews") == []
    assert [c.ids for c in log.unconsumed("reviews", trusted_only=False)] == [("untrusted",)]


def test_consuming_twice_is_once_and_another_cycle_gets_nothing(log):
    log.add([says(id="a"), says("r2", id="b")], trusted=True)
    assert log.consume(["a"], "cycle-1") == 1
    assert log.consume(["a", "a"], "cycle-1") == 1
    with pytest.raises(StoreError):
        log.consume(["b", "a"], "cycle-2")
    assert [c.ids for c in log.unconsumed("reviews")] == [("b",)]
    assert log.get("a").consumed_by == "cycle-1"


def test_counts_add_up(log):
    log.add([says(id="a"), says("r2", id="b"), Score(response_id="r3", data_type="NUMERIC", value=1.5)], trusted=True)
    log.add([says("r2", id="d", label="positive")])
    log.consume(["a"], "cycle-1")
    wanted = {"total": 4, "corrections": 3, "trusted": 3, "quarantined": 1, "consumed": 1, "unconsumed": 1}
    assert log.counts("reviews") == wanted
    assert log.counts("nothing")["total"] == 0


def test_recent_lists_newest_first(log):
    log.add([says(id="a"), says("r2", id="b")])
    assert [r.id for r in log.recent("reviews", 5)] == ["b", "a"]
    assert log.recent("other") == []


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["r1", "r2"]), st.sampled_from(["positive", "negative"]), st.booleans()), max_size=8))
def test_what_is_handed_out_never_contradicts_itself(said):
    engine = memory()
    served(engine, "r1", "r2")
    log = FeedbackLog(engine)
    for i, (response, label, trusted) in enumerate(said):
        log.add([says(response, label, id=f"f{i}")], trusted=trusted)
    for trusted_only in (True, False):
        handed = log.unconsumed("reviews", trusted_only)
        assert len({c.response_id for c in handed}) == len(handed)
        for correction in handed:
            assert {log.get(i).correction for i in correction.ids} == {correction.label}


def test_a_store_on_disk_takes_it_too(tmp_path: Path):
    from sapwood.store.find import open_store

    store = open_store(tmp_path / "store")
    served(store.engine, "r1")
    FeedbackLog(store.engine).add([says(id="a")], trusted=True)
    assert FeedbackLog(open_store(tmp_path / "store").engine).get("a").correction == "negative"
