"""Batches by token budget, a bounded queue, and places that come free when a client leaves."""

import threading
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.serving.batcher import Batcher, Closed, Limits, Overloaded
from sapwood.testing.served import LetterEngine


@pytest.fixture
def engine():
    return LetterEngine()


def ask(batcher, *texts):
    return batcher.submit(texts, [len(text) for text in texts])


def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def hold(batcher, engine):
    """Keep the inference thread busy with one text."""
    engine.going.clear()
    job = ask(batcher, "held")
    until(lambda: batcher.running == 1)
    return job


def test_each_text_gets_its_own_answer(engine):
    batcher = Batcher(engine)
    done = ask(batcher, "ooo", "xxx", "").future.result(5)
    assert np.allclose(done.probs, engine.predict(["ooo", "xxx", ""]))
    assert done.queue_s >= 0
    assert done.inference_s > 0
    assert batcher.close()


def test_what_waits_is_batched_within_the_token_budget(engine):
    batcher = Batcher(engine, Limits(batch_tokens=20))
    first = hold(batcher, engine)
    jobs = [ask(batcher, "a" * 5, "b" * 5), ask(batcher, "c" * 10), ask(batcher, "d" * 50), ask(batcher, "e")]
    engine.going.set()
    for job in [first, *jobs]:
        job.future.result(5)
    assert [len(batch) for batch in engine.batches] == [1, 2, 1, 1, 1]
    assert all(len(batch) * max(map(len, batch)) <= 20 or len(batch) == 1 for batch in engine.batches)


def test_a_full_queue_says_when_to_come_back(engine):
    batcher = Batcher(engine, Limits(waiting=3))
    hold(batcher, engine)
    ask(batcher, "a", "b", "c")
    with pytest.raises(Overloaded) as fault:
        ask(batcher, "d")
    assert fault.value.retry_after_s >= 1
    engine.going.set()
    assert batcher.close()


def test_a_client_that_leaves_frees_its_places(engine):
    batcher = Batcher(engine, Limits(waiting=3))
    hold(batcher, engine)
    left = ask(batcher, "x", "y", "z")
    assert left.future.cancel()
    stayed = ask(batcher, "a", "b", "c")
    engine.going.set()
    assert stayed.future.result(5).probs.shape == (3, 2)
    with pytest.raises(CancelledError):
        left.future.result(0)
    assert not any(set(batch) & {"x", "y", "z"} for batch in engine.batches)


def test_an_engine_that_breaks_fails_its_batch_and_not_the_next(engine):
    batcher = Batcher(engine)
    with pytest.raises(RuntimeError, match="broke"):
        ask(batcher, "explode").future.result(5)
    assert ask(batcher, "o").future.result(5).probs.shape == (1, 2)


def test_an_engine_that_answers_nonsense_is_not_believed(engine):
    engine.predict = lambda texts: np.full((len(texts), 2), np.nan, dtype=np.float32)
    with pytest.raises(ValueError, match="finite"):
        ask(Batcher(engine), "o").future.result(5)


def test_closing_answers_what_waits_and_takes_nothing_more(engine):
    batcher = Batcher(engine)
    hold(batcher, engine)
    job = ask(batcher, "o", "x")
    closing = threading.Thread(target=batcher.close)
    closing.start()
    until(lambda: batcher._closing)
    with pytest.raises(Closed):
        ask(batcher, "late")
    engine.going.set()
    closing.join(5)
    assert job.future.result(0).probs.shape == (2, 2)


def test_closing_does_not_wait_for_ever(engine):
    batcher = Batcher(engine)
    hold(batcher, engine)
    assert not batcher.close(wait_s=0.05)
    engine.going.set()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.text("ox", max_size=12), min_size=1, max_size=5), max_size=8), st.integers(1, 40))
def test_answers_do_not_change_with_the_budget(requests, budget):
    engine = LetterEngine()
    batcher = Batcher(engine, Limits(batch_tokens=budget))
    jobs = [ask(batcher, *texts) for texts in requests]
    for texts, job in zip(requests, jobs, strict=True):
        assert np.array_equal(job.future.result(5).probs, LetterEngine().predict(texts))
    assert batcher.close()
