"""Two runs that want the same step at once."""

from __future__ import annotations

import pytest

from sapwood import recipe as recipes
from sapwood.errors import Busy
from sapwood.runs import local, why
from sapwood.runs.monitor import EventLog, QuietMonitor
from sapwood.store.local import LocalStore
from sapwood.testing.runners import RECIPE, write_texts


class Shared(LocalStore):
    """A store where another process is working on the first step that is asked for, and is done with it a moment later."""

    other = None

    def scratch(self, key):
        if self.other:
            other, self.other = self.other, None
            other()
            raise Busy("another run (process 1) is working on this step", "wait")
        return super().scratch(key)


@pytest.fixture
def parts(tmp_path):
    write_texts(tmp_path)
    recipe = recipes.parse(RECIPE, "r.yaml", tmp_path)
    store = Shared(tmp_path / "store")
    store.other = lambda: local.execute(recipe, LocalStore(tmp_path / "store"), QuietMonitor())
    return recipe, store


def test_a_patient_run_waits_and_reuses_what_the_other_made(parts):
    recipe, store = parts
    run = local.begin(recipe, store, {})
    log = EventLog(store.run_folder(run) / "events.jsonl")
    outcome = local.execute(recipe, store, QuietMonitor(log), {}, run, patient=True)
    log.close()
    assert [step["state"] for step in outcome.steps] == ["reused"] * 5
    told = why.tell(store, store.records.run(run))
    assert any(sentence.startswith("step texts waited") for sentence in told.noticed)


def test_a_run_that_is_not_patient_says_who_works_on_the_step(parts):
    recipe, store = parts
    with pytest.raises(Busy, match="texts: another run"):
        local.execute(recipe, store, QuietMonitor())
