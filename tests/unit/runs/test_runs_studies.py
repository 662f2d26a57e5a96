"""Studies on a recipe of text steps: what is searched, shared, stopped, continued and survived. Workers are real processes."""

from __future__ import annotations

import json
import os
import signal

import pytest

from sapwood.errors import Busy, InputError, SapwoodError
from sapwood.recipe import study as studies
from sapwood.runs.monitor import StopFlag
from sapwood.runs.studies import costs, crew, search, search_report, telling
from sapwood.runs.studies import kept as keeping
from sapwood.runs.studies import run as running
from sapwood.store.local import LocalStore
from sapwood.testing.runners import write_texts

STAGES = """
seed: 3
stages:
  texts:
    stage: collect
    sources: [{kind: csv, name: texts, path: texts.csv, text_column: text, label_column: label}]
  labelled: {stage: label, documents: texts}
  cleaned: {stage: clean, documents: labelled.examples}
"""
HEAD = """study: search
name: tiny
score: {of: cleaned, number: total.kept}
confirm: {seeds: 0}
prune: {kind: none}
"""


@pytest.fixture
def place(tmp_path):
    write_texts(tmp_path)
    return tmp_path


def read(place, text, *overrides):
    file = place / "study.yaml"
    file.write_text(HEAD + text + STAGES, encoding="utf-8")
    return studies.read(file, overrides)


def conduct(place, study, stop=None, tell=lambda kind, body: None):
    return running.run(study, LocalStore(place / "store"), stop or StopFlag(), tell).body


GRID = "sampler: grid\nover: {stages.cleaned.min_chars: [1, 30, 500], stages.labelled.tag: [[], [{name: book, words: [novel]}]]}\n"


def test_a_grid_tries_every_point_once_and_two_workers_share_what_is_equal(place):
    """500 characters keep no row, which fails two trials and not the search."""
    body = conduct(place, read(place, GRID, "workers=2"))
    data = body["data"]
    tried = [tuple(json.dumps(value) for value in trial["values"].values()) for trial in data["trials"]]
    assert len(set(tried)) == len(tried) == 6
    assert data["best"]["values"]["stages.cleaned.min_chars"] in (1, 30)
    done = [trial for trial in data["trials"] if trial["state"] == "done"]
    assert len(done) == 4
    assert all("clean" in trial["error"] for trial in data["trials"] if trial not in done)
    assert sum(trial["made"] for trial in done) == 1 + 2 + 4, "one collect, two labels, four cleans"
    assert sum(trial["reused"] for trial in done) == 3 + 2
    page = running.page(keeping.find(LocalStore(place / "store")))
    assert page.count("<svg") == 2, "history and parallel coordinates"


def test_a_clock_that_ran_out_begins_no_trial(place):
    study = read(place, "over: {stages.cleaned.min_chars: {low: 1, high: 200}}\nbudget: {trials: 50, minutes: 0.0001}\n")
    with pytest.raises(SapwoodError, match="no trial of 0 finished"):
        conduct(place, study)


def test_a_killed_worker_fails_its_trial_and_the_search_goes_on(place):
    def kill(kind, body):
        if kind == "trial" and body["number"] == 0:
            _kill_workers()

    body = conduct(place, read(place, GRID), None, kill)
    states = [trial["state"] for trial in body["data"]["trials"]]
    assert states.count("done") >= 3
    assert len(states) == 6


def _kill_workers():
    """Those of this process, which are waiting for the next order."""
    import psutil

    for child in psutil.Process().children():
        if "sapwood.runs.studies.trial" in " ".join(child.cmdline()):
            child.send_signal(signal.SIGKILL)
            child.wait()


def test_two_processes_cannot_work_on_one_study(place):
    study, store = read(place, GRID), LocalStore(place / "store")
    kept = keeping.begin(study, store)
    child = os.fork()
    if not child:
        from sapwood.store import leases

        leases._held.clear()  # a forked child shares the parent's lock; a real one has none
        try:
            keeping.begin(study, store)
            os._exit(1)
        except Busy:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    keeping.end(kept)


def test_the_identity_is_what_decides_the_trials(place):
    one = keeping.identity(read(place, GRID))
    assert keeping.identity(read(place, GRID, "budget.trials=99", "workers=3")) == one
    assert keeping.identity(read(place, GRID, "seed=4")) != one
    assert keeping.identity(read(place, GRID, "score.better=lower")) != one


def test_a_worker_tells_an_order_that_is_no_recipe_and_ends_when_the_study_is_gone(place):
    workers, calls = crew.Crew(place / "store", 1, StopFlag(), place / "log"), crew.Calls(lambda: None, lambda order, how: None)
    process = workers._start()
    how = workers._follow(process, crew.Order(1, "stages: {x: {stage: nothing}}", "x.yaml", place), calls)
    assert how.state == "failed"
    assert "no stage is called 'nothing'" in how.error
    process.stdin.close()
    assert process.wait(timeout=60) == 0


def test_a_plan_counts_how_often_each_step_is_made(place):
    told = costs.estimate(read(place, GRID), LocalStore(place / "store"))
    assert {step["step"]: step["times"] for step in told["steps"]} == {"texts": 1, "labelled": 2, "cleaned": 6}
    assert any("made once for all runs: texts" in line for line in costs.lines(told))


def searched(place, scores, better="higher", **more):
    study = read(place, "over: {stages.cleaned.min_chars: {low: 1, high: 100, log: true}}\n", f"score.better={better}")
    trials = [search.Trial(i, {"stages.cleaned.min_chars": i + 1}, "done", score, 1.0) for i, score in enumerate(scores)]
    return search.Searched(study, "x", trials, **more)


@pytest.mark.parametrize(("better", "winner"), [("higher", 2), ("lower", 1)])
def test_the_better_way_decides_the_winner(place, better, winner):
    assert searched(place, [0.5, 0.4, 0.6], better).ranked[0].number == winner


def test_a_winner_that_is_not_told_apart_is_called_so(place):
    values = {"stages.cleaned.min_chars": 3}
    luck = [search.Repeats("as written", {}, (0.5, 0.6, 0.7)), search.Repeats("trial 3", values, (0.6, 0.5, 0.8))]
    real = [search.Repeats("as written", {}, (0.5, 0.6, 0.7)), search.Repeats("trial 3", values, (0.61, 0.7, 0.8))]
    for repeats, words in ((luck, "not told apart"), (real, ": better")):
        search_report.write(searched(place, [0.5, 0.4, 0.6], repeats=repeats), place, 1.0)
        body = json.loads((place / "report.json").read_text())
        assert words in body["summary"]


@pytest.mark.parametrize(("scores", "said"), [([0.5, 0.6, 0.4], False), ([0.6, 0.6, 0.6], True)])
def test_trials_that_scored_the_same_as_the_best_are_counted(place, scores, said):
    search_report.write(searched(place, scores), place, 1.0)
    summary = json.loads((place / "report.json").read_text())["summary"]
    assert ("; 2 others scored the same." in summary) is said


def test_fields_are_called_by_the_shortest_name_that_is_theirs_alone():
    names = telling.short_names(["stages.a.optimiser.lr", "stages.b.optimiser.lr", "stages.a.epochs"])
    assert names == {"stages.a.optimiser.lr": "a.optimiser.lr", "stages.b.optimiser.lr": "b.optimiser.lr", "stages.a.epochs": "epochs"}


# --------------------------------------------------------------------------- without workers: what the searcher decides


def searcher(place, *overrides):
    text = "over: {stages.cleaned.min_chars: {low: 1, high: 200}}\nsampler: tpe\n"
    study, store = read(place, text, "prune.kind=median", "prune.trials=2", *overrides), LocalStore(place / "store")
    kept = keeping.begin(study, store)
    return search._Searcher(study, store, kept, lambda kind, body: None)


def finished(asking, order, curve, score):
    """Play a trial: tell its evaluations, then end it with a report that holds the score."""
    from sapwood import report
    from sapwood.artifact import Report

    for at, value in enumerate(curve, start=1):
        if not asking.score(order, at, value):
            asking.ended(order, crew.Ended("pruned"))
            return at
    folder = asking.store.layout.temporary("report")
    folder.mkdir()
    report.write(folder, "", "", {"total": {"kept": score}}, [])
    made = asking.store.put(Report, folder)
    run = asking.store.records.start_run("played", {})
    step = {"step": "cleaned", "name": "clean", "state": "done", "seconds": 1.0, "outputs": {"report": str(made)}}
    asking.store.records.update_run(run.id, steps=[step])
    asking.ended(order, crew.Ended("done", run.id))
    return 0


def proposed(asking, count):
    """Play `count` trials, the score being minus the distance from 77; their values."""
    for _ in range(count):
        order = asking.next()
        chars = asking.trials()[-1].values["stages.cleaned.min_chars"]
        finished(asking, order, [], -abs(chars - 77.0))
    return [trial.values["stages.cleaned.min_chars"] for trial in asking.trials()]


def test_a_search_that_was_stopped_proposes_what_it_would_have_proposed(place):
    asking = searcher(place)
    whole = proposed(asking, 6)
    (place / "other").mkdir()
    for count in (2, 4):
        parts = proposed(searcher(place / "other"), count)
    assert parts == whole
    assert whole[0] == asking.study.recipe.step("cleaned").params.min_chars, "the recipe as written is the first trial"
    assert len(set(whole)) > 3


def test_a_larger_budget_goes_on_where_the_smaller_one_ended(place):
    few = searcher(place, "budget.trials=2")
    values = proposed(few, 2)
    assert few.next() is None
    assert proposed(searcher(place, "budget.trials=3"), 1)[:2] == values


def test_three_failures_from_the_start_end_the_search_and_later_ones_do_not(place):
    asking = searcher(place)
    for _ in range(3):
        asking.ended(asking.next(), crew.Ended("failed", error="no"))
    assert asking.next() is None
    (place / "other").mkdir()
    asking = searcher(place / "other")
    finished(asking, asking.next(), [], 1.0)
    for _ in range(4):
        asking.ended(asking.next(), crew.Ended("failed", error="no"))
    assert asking.next() is not None


def test_a_number_that_is_not_in_the_report_fails_the_trial_with_its_name(place):
    asking = searcher(place, "score.number=total.kpet")
    finished(asking, asking.next(), [], 1.0)
    assert "Did you mean kept?" in asking.trials()[0].error
    with pytest.raises(InputError, match="Did you mean kept"):
        asking.next()  # every later trial would be read in the same way


def test_a_trial_behind_the_median_is_pruned_at_its_second_evaluation_and_one_ahead_is_not(place):
    asking = searcher(place, "prune.evaluations=2")
    for score in (0.5, 0.6, 0.7):
        assert finished(asking, asking.next(), [score - 0.2, score - 0.1], score) == 0
    assert finished(asking, asking.next(), [0.1, 0.1, 0.1], 0.1) == 2
    assert finished(asking, asking.next(), [0.9, 0.9, 0.9], 0.9) == 0
    assert [trial.state for trial in asking.trials()] == ["done", "done", "done", "pruned", "done"]
    assert asking.trials()[3].curve == (0.1, 0.1)


def test_a_trial_that_was_cut_off_comes_again_with_its_number_and_values(place):
    asking = searcher(place)
    finished(asking, asking.next(), [], 0.5)
    order = asking.next()
    asking.score(order, 1, 0.3)
    asking.ended(order, crew.Ended("interrupted"))
    again = searcher(place)
    come = again.next()
    assert (come.name, come.recipe) == (order.name, order.recipe)
    assert again.score(come, 1, 0.3), "an evaluation that was told before is not told twice"
    finished(again, come, [], 0.8)
    assert [(trial.number, trial.state) for trial in again.trials()] == [(0, "done"), (1, "done")]


def test_importance_finds_the_field_that_matters(place):
    asking = searcher(place, "budget.trials=8", "prune.kind=none")
    while order := asking.next():
        chars = asking.trials()[-1].values["stages.cleaned.min_chars"]
        finished(asking, order, [], float(chars))
    assert asking.importance() == {"stages.cleaned.min_chars": pytest.approx(1.0)}
    assert len(asking.trials("done")) == 8
