import json

import pyarrow as pa
import pytest
from pydantic import ValidationError

from sapwood import report
from sapwood.artifact import Documents, Examples
from sapwood.errors import InputError, Interrupted, Refused
from sapwood.stage import inputs, outputs
from sapwood.stages.split import Split
from sapwood.store.local import LocalStore
from sapwood.testing.stages import SilentMonitor, check_stage, make_work
from sapwood.text import rows

GOOD = "酒店位置很好，房间干净，服务员热情，早餐也不错，下次还会住。"
LINES = [
    (f"{GOOD}编号{chr(0x4E00 + 37 * i)}{chr(0x5E00 + 11 * i)}与众不同的一条评论内容{i}{chr(0x6E00 + 13 * i)}完", "pos" if i % 2 else "neg")
    for i in range(60)
]


@pytest.fixture
def work(tmp_path):
    return make_work(LocalStore(tmp_path / "store"), tmp_path / "scratch", tmp_path)


def stored(work, lines, kind=Examples, **more):
    made = [
        {
            **rows.document("shop", str(i), text, language="zh", meta={"domain": "a" if i % 3 else "b", "customer": f"c{i // 4}"}),
            "label": label,
            "collected_at": f"2024-01-{1 + i % 28:02d}T00:00:00Z",
            **{name: values[i] for name, values in more.items()},
        }
        for i, (text, label) in enumerate(lines)
    ]
    schema = rows.EXAMPLES if kind is Examples else rows.DOCUMENTS
    for name in more:
        schema = schema if name in schema.names else schema.append(pa.field(name, pa.string()))
    folder = work.new("rows")
    rows.write(folder, rows.table(made, schema))
    return work.put(kind, folder)


def read(work, artifact):
    return rows.read(work.path(artifact)).to_pylist()


def told(work, parts):
    return report.read(work.path(parts.report))


def test_the_stage_keeps_the_contract(work):
    examples = stored(work, LINES)
    check_stage(Split, work.store, {"documents": examples, "raw": examples})
    assert list(outputs(Split)) == ["train", "dev", "test", "later", "report"]
    assert inputs(Split)["raw"].optional


def test_a_split_keeps_copies_on_one_side_and_tells_what_a_plain_one_leaks(work):
    raw = stored(work, LINES + LINES[:20])
    parts = Split(near=0.9, hold_out={"field": "meta.domain", "values": ["b"]}, caps={"train": 10}).run(work, raw, raw)
    texts = [{row["text"] for row in read(work, part)} for part in parts[:4]]
    assert not any(a & b for i, a in enumerate(texts) for b in texts[i + 1 :])
    assert len(read(work, parts.train)) == 10
    data = told(work, parts)["data"]
    assert data["crossings"]["exact"] == data["crossings"]["near"] == 0
    assert data["naive"]["exact"] > 0
    assert data["naive"]["rows"] == "raw"


def test_a_part_without_a_share_is_an_artifact_without_rows(work):
    parts = Split(ratios={"train": 1, "dev": 0, "test": 0}).run(work, stored(work, LINES[:10], Documents), None)
    assert [len(read(work, part)) for part in parts[:4]] == [10, 0, 0, 0]
    assert isinstance(parts.later, Documents)


def test_a_test_part_without_rows_stops_the_run_and_says_why(work):
    copies = stored(work, [(GOOD + "！" * i, "pos") for i in range(8)])
    with pytest.raises(InputError, match="test would be empty: 8 rows are 1 clusters"):
        Split().run(work, copies, None)


def test_an_empty_dev_is_warned_of(work):
    parts = Split(ratios={"train": 0.6, "dev": 0.02, "test": 0.38}).run(work, stored(work, LINES[:5], Documents), None)
    assert len(read(work, parts.dev)) == 0
    assert any(event.type == "say" and "The part dev is empty" in event.data["text"] for event in work.monitor.events)
    assert "The part dev is empty" in told(work, parts)["summary"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"ratios": {"train": -0.1}}, "greater than or equal to 0"),
        ({"ratios": {"train": float("nan")}}, "finite number"),
        ({"ratios": {"train": 0, "dev": 0, "test": 0}}, "at least one share must be above 0"),
        ({"ratios": {"train": 80, "dev": 10}}, "shares and percentages are mixed"),
        ({"folds": {"k": 3, "fold": 3}}, "fold 3 is not among 3 folds"),
        ({"folds": {"k": 2}}, "two folds leave nothing to train on"),
        ({"folds": {}, "ratios": {"train": 0.5}}, "folds place every row by themselves"),
        ({"folds": {}, "time": {"share": 0.1}}, "folds place every row by themselves"),
        ({"time": {}}, "give the cut as `after` or as `share`"),
        ({"time": {"after": "2024", "share": 0.1}}, "give the cut as `after` or as `share`"),
        ({"time": {"after": "05/01/2024"}}, "is not a time"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_the_run(fields, said):
    with pytest.raises(ValidationError, match=said):
        Split(**fields)


def test_percentages_are_taken_in_proportion_with_a_note(work):
    parts = Split(ratios={"train": 80, "dev": 10, "test": 10}, near=0.9).run(work, stored(work, LINES), None)
    assert [len(read(work, part)) for part in parts[:3]] == [48, 6, 6]
    assert "The shares sum to 100, not to 1" in told(work, parts)["summary"]


def test_each_fold_is_test_once_and_rows_carry_their_fold(work):
    examples = stored(work, LINES)
    seen = []
    for fold in range(4):
        parts = Split(folds={"k": 4, "fold": fold}, near=0.9).run(work, examples, None)
        tested = read(work, parts.test)
        assert {json.loads(row["meta"])["fold"] for row in tested} == {str(fold)}
        assert {json.loads(row["meta"])["fold"] for row in read(work, parts.dev)} == {str((fold + 1) % 4)}
        assert len(read(work, parts.train)) + len(read(work, parts.dev)) + len(tested) == len(LINES)
        seen += [row["id"] for row in tested]
    assert sorted(seen) == sorted(row["id"] for row in read(work, examples))


def test_values_of_a_group_field_stay_on_one_side_together_with_copies(work):
    examples = stored(work, LINES)
    apart, free = (Split(group=group, near=0.9).run(work, examples, None) for group in (["meta.customer"], []))

    def customers(parts):
        return [{json.loads(row["meta"])["customer"] for row in read(work, part)} for part in parts[:3]]

    assert not any(a & b for i, a in enumerate(customers(apart)) for b in customers(apart)[i + 1 :])
    assert any(a & b for i, a in enumerate(customers(free)) for b in customers(free)[i + 1 :])
    assert told(work, apart)["data"]["crossings"]["proved"] == ["exact", "near", "group"]


def test_rows_after_the_cut_are_never_trained_on(work):
    parts = Split(time={"after": "2024-01-20"}, near=0.9).run(work, stored(work, LINES), None)
    days = [{row["collected_at"][:10] for row in read(work, part)} for part in parts[:3]]
    assert max(days[0] | days[1]) <= "2024-01-20" < min(days[2])
    assert told(work, parts)["data"]["crossings"]["time"] == 0
    assert "The cut is 2024-01-20" in told(work, parts)["summary"]


def test_a_field_that_no_column_has_is_named(work):
    with pytest.raises(InputError, match="no field 'customer'"):
        Split(group=["customer"]).run(work, stored(work, LINES), None)


def test_a_leak_in_the_proof_stops_the_run(work, monkeypatch):
    from sapwood.text.parts import leakproof

    monkeypatch.setattr(leakproof, "_placed", lambda sides, *_: ((sides.draw % 2).astype("int64") * 2, None))
    with pytest.raises(Refused, match=r"the split leaks: \d+ exact crossings, between train-test"):
        Split().run(work, stored(work, LINES[:20] * 2), None)


def test_columns_that_the_stage_does_not_know_are_kept(work):
    parts = Split(near=0.9).run(work, stored(work, LINES, Documents, seller=[f"s{i}" for i in range(60)]), None)
    assert {row["seller"] for part in parts[:4] for row in read(work, part)} == {f"s{i}" for i in range(60)}


def test_a_stopped_run_says_so(tmp_path):
    class Stopped(SilentMonitor):
        def stopping(self):
            return True

    work = make_work(LocalStore(tmp_path / "store"), tmp_path / "scratch", tmp_path, monitor=Stopped())
    with pytest.raises(Interrupted):
        Split().run(work, stored(work, LINES), None)


@pytest.mark.parametrize(
    "fields", [{}, {"folds": {"fold": 2}}, {"time": {"share": 0.2, "to": "later", "undated": "newer"}}, {"group": ["meta.customer"]}]
)
def test_the_same_rows_give_the_same_artifacts(work, fields):
    examples = stored(work, LINES)
    assert Split(near=0.9, **fields).run(work, examples, None) == Split(near=0.9, **fields).run(work, examples, None)
