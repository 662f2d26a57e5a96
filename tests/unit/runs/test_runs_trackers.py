"""Trackers get every metric of a run, no text, and cannot stop it."""

from __future__ import annotations

import io
import sys

import pytest

from sapwood import recipe as recipes
from sapwood.errors import InputError, Interrupted, MissingExtra
from sapwood.runs.monitor import QuietMonitor
from sapwood.runs.trackers.mlflow import MLflow, flat
from sapwood.runs.trackers.tensorboard import TensorBoard
from sapwood.runs.trackers.tracker import Tracked, Tracker, TrackingMonitor, chosen, tracking
from sapwood.runs.trackers.wandb import WandB
from sapwood.stage import Event


class Recording(Tracker):
    def __init__(self, failing=""):
        self.failing, self.heard = failing, []

    def _hear(self, what, *told):
        self.heard.append((what, *told))
        if what == self.failing:
            raise ConnectionError("the server is away\nand more")

    def start(self, tracked):
        self._hear("start", tracked.run)
        return "here"

    def metrics(self, step, number, values):
        self._hear("metrics", step, number, values)

    def finish(self, status):
        self._hear("finish", status)


@pytest.fixture
def tracked(tmp_path):
    return Tracked("r1", "评论", {"seed": 3, "stages": {"tuned": {"epochs": 2}}}, tmp_path)


def point(where, **values):
    return Event("metric", where, values)


def test_metrics_arrive_with_their_step_and_texts_do_not(tracked):
    one, inner = Recording(), QuietMonitor()
    monitor = TrackingMonitor(inner, [one], tracked, io.StringIO())
    monitor.emit(point("tuned", step=10.0, loss=2.5, broken=float("nan")))
    monitor.emit(Event("say", "tuned", {"text": "客户的话"}))
    monitor.emit(point("bare", loss=1.0))
    monitor.finish("done")
    assert one.heard == [
        ("start", "r1"),
        ("metrics", "tuned", 10, {"loss": 2.5}),
        ("metrics", "bare", 1, {"loss": 1.0}),
        ("finish", "done"),
    ]
    assert len(inner.events) == 3


@pytest.mark.parametrize("failing", ["start", "metrics", "finish"])
def test_a_tracker_that_fails_is_told_of_once_and_the_others_go_on(tracked, failing):
    bad, good, out = Recording(failing), Recording(), io.StringIO()
    monitor = TrackingMonitor(QuietMonitor(), [bad, good], tracked, out)
    for number in range(3):
        monitor.emit(point("tuned", step=number, loss=1.0))
    monitor.finish("done")
    assert out.getvalue().count("the run goes on (the server is away)") == 1
    assert len(good.heard) == 5


def test_how_the_run_ended_reaches_the_tracker(tmp_path):
    recipe = recipes.parse("stages: {encoder: {stage: base, path: x}}", "x.yaml", tmp_path)
    one = Recording()
    with pytest.raises(Interrupted), tracking(QuietMonitor(), [one], recipe, "r1", tmp_path):
        raise Interrupted("stopped")
    assert one.heard[-1] == ("finish", "interrupted")


def test_no_tracker_is_on_by_default(tmp_path):
    recipe = recipes.parse("stages: {encoder: {stage: base, path: x}}", "x.yaml", tmp_path)
    monitor = QuietMonitor()
    with tracking(monitor, chosen([]), recipe, "r1", tmp_path) as same:
        assert same is monitor


def test_an_unknown_tracker_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="Did you mean tensorboard"):
        chosen(["tensorbord"])


@pytest.mark.parametrize("name", ["mlflow", "tensorboard", "wandb"])
def test_a_missing_package_names_its_extra(monkeypatch, name):
    module = sys.modules[type(_load(name)).__module__]
    monkeypatch.setattr(module, "find_spec", lambda package: None)
    with pytest.raises(MissingExtra) as caught:
        chosen([name])
    assert f"sapwood[{name}]" in caught.value.next_step


def _load(name):
    from sapwood import plugins

    return plugins.load("trackers", name)()


def test_tensorboard_files_hold_what_was_told(tracked):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    one = TensorBoard()
    one.check()
    one.start(tracked)
    for number, loss in ((10, 2.5), (20, 1.5)):
        one.metrics("tuned", number, {"loss": loss})
    one.finish("done")
    read = EventAccumulator(str(tracked.folder / "tensorboard"))
    read.Reload()
    assert [(e.step, e.value) for e in read.Scalars("tuned/loss")] == [(10, 2.5), (20, 1.5)]


def test_wandb_writes_offline_without_being_asked_who_one_is(tracked, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    one = WandB()
    assert one.start(tracked).startswith("offline, in ")
    one.metrics("tuned", 10, {"loss": 2.5})
    one.finish("done")
    assert list(tracked.folder.glob("wandb/offline-run-*/run-*.wandb"))


def test_a_nested_recipe_becomes_dotted_parameters():
    assert flat({"seed": 3, "stages": {"tuned": {"lr": 1e-3, "tags": [], "block": {}}}}) == {
        "seed": 3, "stages.tuned.lr": 1e-3, "stages.tuned.tags": [], "stages.tuned.block": {},
    }  # fmt: skip


def test_mlflow_is_told_through_its_client(tracked, monkeypatch):
    """The client's calls, played by a stand-in: the real package cannot live beside this pyarrow."""
    import types

    calls = []

    class Client:
        def __init__(self, tracking_uri):
            calls.append(("uri", tracking_uri.rpartition("/")[2]))

        def __getattr__(self, name):
            def call(*arguments, **more):
                calls.append((name, *arguments))
                return None if name == "get_experiment_by_name" else types.SimpleNamespace(info=types.SimpleNamespace(run_id="m1"))

            return call

    monkeypatch.setitem(sys.modules, "mlflow", types.ModuleType("mlflow"))
    monkeypatch.setitem(sys.modules, "mlflow.tracking", types.SimpleNamespace(MlflowClient=Client))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    one = MLflow()
    assert one.start(tracked).endswith("run m1")
    one.metrics("tuned", 5, {"loss": 1.0})
    one.finish("interrupted")
    assert ("uri", "mlflow.db") in calls
    assert ("log_metric", "m1", "tuned/loss", 1.0) in calls
    assert calls[-1] == ("set_terminated", "m1", "KILLED")
