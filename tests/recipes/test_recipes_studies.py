"""Every study of the project is checked whole; the number of them is known."""

from pathlib import Path

import pytest

from sapwood.recipe import study as studies
from sapwood.runs.studies import costs
from sapwood.store.local import LocalStore

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted(path for path in (ROOT / "recipes").glob("*.yaml") if studies.is_study(path))


def test_there_are_two_studies():
    assert [path.name for path in STUDIES] == ["scale-law.yaml", "search.yaml"]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.name)
def test_a_study_is_right_shares_what_it_can_and_opens_no_test_rows(path, tmp_path):
    study = studies.read(path)
    told = costs.estimate(study, LocalStore(tmp_path))
    assert sum(step["times"] == 1 for step in told["steps"]) >= 4
    last = study.recipe.step(study.asked.numbers[0].step)
    assert not studies.judged_rows(study.whole) & studies.read_rows(study.whole, last)
    assert not studies.moving_rows(study)


def test_the_search_can_be_judged_on_rows_that_no_trial_saw():
    study = studies.read(ROOT / "recipes" / "search.yaml")
    assert {"evaluate", "baselines"} <= {step.name for step in study.whole.steps}
    assert not {"evaluate", "baselines"} & {step.name for step in study.recipe.steps}
