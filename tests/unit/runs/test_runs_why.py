"""`why` tells what happened to a run from what was written down."""

from __future__ import annotations

import json

import pytest

from sapwood import report
from sapwood.artifact import Report
from sapwood.runs import why
from sapwood.store.local import LocalStore


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


def run_of(store, status, steps, events=(), seconds=12.0):
    """A run with these steps and events, as the runner would have recorded it."""
    run = store.records.start_run("拼音 recipe", {"seed": 1})
    store.records.update_run(run.id, steps=list(steps))
    if status != "running":
        store.records.finish_run(run.id, status, seconds)
    lines = [
        json.dumps({"t": 1_700_000_000.0 + at, "type": kind, "step": step, "data": data}) for at, (kind, step, data) in enumerate(events)
    ]
    (store.run_folder(run.id) / "events.jsonl").write_text("\n".join(lines) + "\n" if lines else "", encoding="utf-8")
    return store.records.run(run.id)


def step(name, state, **more):
    return {
        "step": name,
        "name": more.pop("stage", name),
        "action": False,
        "state": state,
        "key": "ab" * 32,
        "seconds": 3.0,
        "outputs": {},
        **more,
    }


def reported(store, data, summary=""):
    folder = store.layout.temporary("report")
    folder.mkdir()
    report.write(folder, "t", summary, data, [])
    return {"report": str(store.put(Report, folder))}


def test_a_finished_run_says_what_was_reused(store):
    told = why.tell(store, run_of(store, "done", [step("texts", "reused"), step("clean", "reused"), step("tuned", "done")]))
    assert told.status == "done"
    assert "finished all of its 3 steps" in told.because
    assert told.noticed == ["2 of 3 steps were on record and not run again, which saved 6.0 s: texts, clean."]
    assert told.next == ""


def test_a_loss_that_is_no_number_is_told_with_what_to_do(store):
    error = "tuned: step 40: loss or gradient was nan, no number\n  next: Lower the rate, or use precision fp32."
    told = why.tell(store, run_of(store, "failed", [step("texts", "done"), step("tuned", "failed", error=error)]))
    assert told.because == "step tuned failed: step 40: loss or gradient was nan, no number."
    assert told.next == "Lower the rate, or use precision fp32."


def test_skipped_steps_of_a_training_that_went_on_are_told(store):
    incident = {"step": 7, "what": "spike", "value": 90.0, "usual": 3.0, "did": "skip"}
    made = step("tuned", "done", outputs=reported(store, {"incidents": [incident]}))
    told = why.tell(store, run_of(store, "done", [made]))
    assert told.noticed == [
        "tuned: step 7: the gradient's norm was 90, usually 3; the step was left out. Look at the documents of that step."
    ]


def test_what_an_unfinished_training_ran_into_is_read_from_its_events(store):
    said = "step 3: the gradient's norm was 90, usually 3; the step was left out. Look at the documents of that step."
    events = [("say", "tuned", {"text": "forecast: 3 s"}), ("say", "tuned", {"text": said})]
    told = why.tell(store, run_of(store, "failed", [step("tuned", "failed", error="tuned: no more")], events))
    assert told.noticed == [f"tuned: {said}"]


def test_a_killed_run_says_where_it_was_and_where_it_continues(store):
    key = "cd" * 32
    home = store.layout.work(key) / "checkpoints" / "step-000000020"
    home.mkdir(parents=True)
    (home / "manifest.json").write_text("{}")
    (home.parent / "step-000000030").mkdir()  # not complete: no manifest
    events = [("step", "tuned", {"state": "running", "key": key}), ("metric", "tuned", {"step": 24.0, "loss": 1.0})]
    told = why.tell(store, run_of(store, "running", [step("texts", "done")], events))
    assert told.status == "killed"
    assert "in step tuned, after optimiser step 24" in told.because
    assert "continues from the checkpoint of optimiser step 20" in told.because
    assert told.next == f"sapwood resume {told.run}"


def test_a_killed_run_with_half_a_line_is_still_told(store):
    run = run_of(store, "running", [])
    with (store.run_folder(run.id) / "events.jsonl").open("a") as stream:
        stream.write('{"t": 1.0, "type": "st')
    assert why.tell(store, run).status == "killed"


def test_a_run_that_was_asked_to_stop_says_that_it_goes_on(store):
    error = "tuned: stopped and saved after step 5 of 9\n  next: run the same command again to continue"
    told = why.tell(store, run_of(store, "interrupted", [step("tuned", "interrupted", error=error)]))
    assert "it was asked to stop" in told.because
    assert "saved after step 5 of 9" in told.because
    assert told.next.startswith("sapwood resume")


def test_a_pruned_trial_is_no_accident(store):
    error = "tuned: worse than the other trials after evaluation 2"
    told = why.tell(store, run_of(store, "interrupted", [step("tuned", "interrupted", error=error)]))
    assert "the study that it was a trial of stopped it" in told.because
    assert told.next == ""


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk was full"),
        ("MemoryError", "memory ran out"),
        ("RuntimeError: shape '[2]' is invalid", "a fault that is not the recipe's"),
    ],
)
def test_a_traceback_becomes_one_sentence(store, end, words):
    error = f"Traceback (most recent call last):\n  File x\n{end}\n"
    assert words in why.tell(store, run_of(store, "failed", [step("tuned", "failed", error=error)])).because


def test_a_step_that_waited_is_told_with_how_long(store):
    events = [("step", "clean", {"state": "waits"}), ("step", "clean", {"state": "reused"})]
    told = why.tell(store, run_of(store, "done", [step("clean", "reused")], events))
    assert any("step clean waited for 1.0 s" in sentence for sentence in told.noticed)


def test_a_gate_that_said_no_is_told_though_the_run_is_done(store):
    made = step("bars", "done", stage="gate", outputs=reported(store, {"passed": False}, "1 of 2 checks hold; macro_f1 too low"))
    told = why.tell(store, run_of(store, "done", [made]))
    assert told.noticed == ["the gate bars said no, so nothing behind it may be promoted: 1 of 2 checks hold; macro_f1 too low"]
