"""Runs, actions, model versions, deployments and cycles: each change once, whoever asks how often."""

from __future__ import annotations

import re
import time
from itertools import pairwise
from pathlib import Path

import pytest

from sapwood.errors import InputError, NotFound, Refused
from sapwood.store import cycle_records
from sapwood.store.local import LocalStore
from sapwood.store.records import Records

A, B, C = ("a" * 64, "b" * 64, "c" * 64)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return LocalStore(tmp_path / "store").records


# --------------------------------------------------------------------------- runs and actions


def test_a_run_is_kept_from_start_to_end(records: Records) -> None:
    run = records.start_run("小红", {"stages": {"z": 1, "a": 2}}, {"python": "3.11"})
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{4}", run.id)
    assert (run.status, run.finished) == ("running", None)
    records.update_run(run.id, steps=[{"step": "clean", "state": "done"}])
    ended = records.finish_run(run.id, "done", 1.5)
    assert ended == records.run() == records.run(run.id) == records.run(run.id[:-2])
    assert (ended.status, ended.seconds, ended.steps) == ("done", 1.5, [{"step": "clean", "state": "done"}])
    assert list(ended.recipe["stages"]) == ["z", "a"], "the order of the recipe stays"


def test_runs_are_newest_first_and_last_is_the_newest(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for second in range(3):
        monkeypatch.setattr(time, "time", lambda second=second: 1_750_000_000.0 + second)
        made.append(records.start_run(f"run {second}", {}))
    assert [run.id for run in records.runs()] == [run.id for run in reversed(made)]
    assert sorted(run.id for run in made) == [run.id for run in made], "ids sort by time"
    assert records.run("last").name == "run 2"
    assert len(records.runs(limit=2)) == 2
    with pytest.raises(InputError, match="several"):
        records.run("2025")


def test_a_run_that_is_not_there_is_said(records: Records) -> None:
    with pytest.raises(NotFound, match="no run yet"):
        records.run()
    records.start_run("one", {})
    for absent in ("1999", "", "%"):
        with pytest.raises(NotFound):
            records.run(absent)
    with pytest.raises(NotFound):
        records.update_run("1999", steps=[])
    with pytest.raises(InputError):
        records.finish_run(records.run().id, "running")


def test_an_action_is_recorded_once(records: Records) -> None:
    assert records.action("key") is None
    first = records.record_action("key", "register", "register", "run", {"version": 1})
    assert records.record_action("key", "register", "register", "later", {"version": 2}) == first
    found = records.action("key")
    assert found == first
    assert found["result"] == {"version": 1}


# --------------------------------------------------------------------------- the model registry


def test_the_same_bundle_is_the_same_version(records: Records) -> None:
    one = records.register("意见", A, B, C, "", "run")
    assert (one.number, one.parity) == (1, "")
    assert records.register("意见", A, B) == one
    assert records.register("意见", B, B).number == 2
    assert records.register("other", A, B).number == 1
    assert records.names() == ["other", "意见"]
    assert [version.number for version in records.versions("意见")] == [1, 2]
    assert records.versions("absent") == []
    assert records.version("意见", 2).bundle == B


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b", "x" * 65, "-a"])
def test_names_that_no_address_can_hold_are_refused(records: Records, name: str) -> None:
    with pytest.raises(InputError):
        records.register(name, A, B)


def test_digests_are_checked(records: Records) -> None:
    for bundle, model, verdict in (("a", B, ""), (A, "b", ""), (A, B, "c")):
        with pytest.raises(InputError):
            records.register("m", bundle, model, verdict)


def test_aliases_move_with_their_history(records: Records) -> None:
    assert records.alias("m", "champion") is None
    records.register("m", A, B)
    records.register("m", B, B)
    records.set_alias("m", "champion", 1, "first")
    records.set_alias("m", "champion", 1, "again")
    records.set_alias("m", "champion", 2, "better")
    assert records.alias("m", "champion") == records.version("m", 2)
    assert records.aliases("m") == {"champion": 2}
    moves = [(move.previous, move.number, move.reason) for move in records.alias_history("m", "champion")]
    assert moves == [(None, 1, "first"), (1, 2, "better")]
    assert records.alias_history("m", "challenger") == []
    with pytest.raises(NotFound):
        records.set_alias("m", "champion", 3, "")


# --------------------------------------------------------------------------- deployments


def test_the_same_routes_are_the_same_revision(records: Records) -> None:
    for digest in (A, B):
        records.register("m", digest, C)
    assert records.deployment("m") is None
    first = records.deploy("m", [{"version": 1, "share": 1.0, "role": "serve"}], "first")
    canary = [{"version": 2, "share": 0.1, "role": "canary"}, {"version": 1, "share": 0.9, "role": "serve"}]
    second = records.deploy("m", canary, "canary")
    assert (first.revision, second.revision) == (1, 2)
    assert records.deploy("m", list(reversed(canary)), "again") == second
    assert records.deploy("m", first.routes).revision == 3, "going back is a new revision"
    assert [deployment.revision for deployment in records.deployments("m")] == [1, 2, 3]
    assert records.deployment("m") == records.deployments()[-1]


def test_gateways_say_what_they_loaded(records: Records) -> None:
    records.register("m", A, B)
    records.deploy("m", [{"version": 1, "share": 1.0, "role": "serve"}])
    for gateway in ("b", "a", "b"):
        records.acknowledge("m", 1, gateway)
    assert records.acknowledged("m", 1) == ["a", "b"]
    assert records.acknowledged("m", 2) == []
    with pytest.raises(NotFound):
        records.acknowledge("m", 2, "a")


@pytest.mark.parametrize(
    "routes",
    [
        [],
        [{"version": 1, "share": 0.5, "role": "serve"}],
        [{"version": 1, "share": 1.0, "role": "canary"}],
        [{"version": 1, "share": 1.0, "role": "chief"}],
        [{"version": "1", "share": 1.0, "role": "serve"}],
        [{"version": True, "share": 1.0, "role": "serve"}],
        [{"version": 1, "share": float("nan"), "role": "serve"}],
        [{"version": 1, "share": 2.0, "role": "serve"}, {"version": 1, "share": -1.0, "role": "canary"}],
        [{"version": 1, "share": 0.5, "role": "serve"}, {"version": 1, "share": 0.5, "role": "serve"}],
        [{"version": 1, "share": 1.0, "role": "serve", "engine": "x"}],
    ],
)
def test_routes_that_cannot_be_followed_are_refused(records: Records, routes: list[dict[str, object]]) -> None:
    records.register("m", A, B)
    with pytest.raises(InputError):
        records.deploy("m", routes)


def test_only_registered_versions_are_deployed(records: Records) -> None:
    with pytest.raises(NotFound, match="no version 1"):
        records.deploy("m", [{"version": 1, "share": 1.0, "role": "serve"}])


def test_a_shadow_answers_nobody(records: Records) -> None:
    for digest in (A, B):
        records.register("m", digest, C)
    routes = [{"version": 1, "share": 1.0, "role": "serve"}, {"version": 2, "share": 1.0, "role": "shadow"}]
    assert records.deploy("m", routes).routes == routes


# --------------------------------------------------------------------------- cycles

WAY = ["collecting", "building", "training", "judging", "canary", "promoted"]


def test_a_cycle_goes_its_way_and_keeps_what_each_step_left(records: Records) -> None:
    cycle = records.open_cycle("m", "key", {"labels": 3})
    for here, there in pairwise(WAY):
        cycle = records.advance_cycle(cycle.id, here, there, **{there: True})
    assert [entry["state"] for entry in cycle.history] == WAY
    assert cycle.data == {"labels": 3, **dict.fromkeys(WAY[1:], True)}
    assert not cycle.open
    assert records.cycle(cycle.id) == cycle == records.open_cycle("m", "key"), "its key finds it when it has ended, too"
    assert records.cycles("m") == records.cycles() == [cycle]


@pytest.mark.parametrize("state", WAY[:4])
def test_a_cycle_can_be_rejected_before_the_canary(records: Records, state: str) -> None:
    cycle = records.open_cycle("m", "key")
    for here, there in pairwise(WAY[: WAY.index(state) + 1]):
        records.advance_cycle(cycle.id, here, there)
    assert records.advance_cycle(cycle.id, state, "rejected").state == "rejected"


def test_every_move_that_is_not_in_the_table_is_refused(records: Records) -> None:
    cycle = records.open_cycle("m", "key")
    states = list(cycle_records.NEXT)
    refused = [(one, other) for one in states for other in states if other not in cycle_records.NEXT[one] and one != other]
    assert len(refused) == 56 - sum(len(after) for after in cycle_records.NEXT.values())
    for one, other in refused:
        with pytest.raises(Refused):
            records.advance_cycle(cycle.id, one, other)
    with pytest.raises(InputError):
        records.advance_cycle(cycle.id, "collecting", "resting")
    with pytest.raises(Refused, match="is collecting, not building"):
        records.advance_cycle(cycle.id, "building", "training")
    with pytest.raises(NotFound):
        records.advance_cycle("none", "collecting", "building")


def test_data_can_be_added_without_moving(records: Records) -> None:
    cycle = records.open_cycle("m", "key")
    again = records.advance_cycle(cycle.id, "collecting", "collecting", seen=5)
    assert (again.state, again.data, again.history) == ("collecting", {"seen": 5}, cycle.history)


def test_one_open_cycle_holds_a_name(records: Records) -> None:
    first = records.open_cycle("m", "one")
    assert records.open_cycle("m", "one") == first
    with pytest.raises(Refused, match=first.id):
        records.open_cycle("m", "two")
    assert records.open_cycle("other", "three").model == "other"
    records.advance_cycle(first.id, "collecting", "rejected")
    assert records.open_cycle("m", "two").id != first.id
    with pytest.raises(InputError, match="another key"):
        records.open_cycle("other", "one")
