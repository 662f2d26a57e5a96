import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.stages.clean import Clean
from sapwood.text import fields, language, rows
from sapwood.text.quality import cleaning, rules
from sapwood.text.quality.cleaning import Measuring

TEXTS = [
    "The room was clean, the staff were friendly and breakfast was good; we will be back.",
    "酒店位置很好，房间干净，服务员热情，早餐也不错，下次还会住。",
    "這家飯店的位置很好，房間乾淨，服務員熱情。",
    "我买了iPhone 15 Pro，屏幕 very good。",
    "x = [1];\nif (x) {\n  y();\n}",
    "",
    "。",
    "很差" * 40,
    "spaced \t out\x00 \r\n",
    "Ã©tÃ©",
]
LISTS = st.lists(st.sampled_from(TEXTS) | st.text(max_size=20), min_size=1, max_size=8)
HAN = st.text(alphabet="好的酒店房间裡氣體，。！？「」（）ＡＢ１２…—", min_size=1, max_size=40)
language.identify("un mot pour charger le modèle")


def table_of(texts):
    return rows.table([rows.document("s", str(place), text) for place, text in enumerate(texts)])


def cleaned(table):
    measured = cleaning.measure(table, Measuring())
    codes = fields.values(measured.rows, "language")
    ruleset = Clean(min_chars=3).ruleset()
    verdicts = rules.judge(ruleset, measured.stats, codes, cleaning.varieties(measured.rows))
    return measured.rows.filter(pa.array(verdicts.stays)), cleaning.mark(measured.rows, verdicts, ruleset, codes)


@settings(deadline=None, max_examples=25)
@given(LISTS, st.integers(0, 8))
def test_cleaning_does_not_depend_on_batches(texts, cut):
    whole = cleaned(table_of(texts))
    parts = [cleaned(table_of(texts).slice(start, count)) for start, count in ((0, cut), (cut, 99))]
    for port in (0, 1):
        assert whole[port].to_pylist() == pa.concat_tables([part[port] for part in parts]).to_pylist()


@settings(deadline=None, max_examples=25)
@given(LISTS)
def test_every_row_is_in_exactly_one_output_with_its_id(texts):
    table = table_of(texts)
    kept, dropped = cleaned(table)
    assert sorted(kept.column("id").to_pylist() + dropped.column("id").to_pylist()) == sorted(table.column("id").to_pylist())
    assert all({"dropped", "value", "limit", "rule"} <= set(rows.meta(row)) for row in dropped.to_pylist())


@settings(deadline=None, max_examples=25)
@given(LISTS)
def test_cleaning_what_was_kept_changes_nothing(texts):
    kept, _ = cleaned(table_of(texts))
    again, dropped = cleaned(kept)
    assert again.equals(kept)
    assert dropped.num_rows == 0


@settings(deadline=None, max_examples=25)
@given(st.lists(HAN, min_size=1, max_size=5))
def test_clean_chinese_text_is_never_changed(texts):
    assert cleaning.measure(table_of(texts), Measuring()).rows.column("text").to_pylist() == texts


def test_statistics_survive_as_a_column():
    measured = cleaning.measure(table_of(TEXTS), Measuring())
    stored = cleaning.with_stats(measured.rows, measured.stats)
    again = cleaning.measure(stored, Measuring())
    assert again.rows.equals(stored)
    assert all(np.array_equal(again.stats[name], values) for name, values in measured.stats.items())


def test_a_variety_that_no_longer_holds_is_taken_out():
    told = cleaning.measure(table_of([TEXTS[2]]), Measuring()).rows
    assert cleaning.varieties(told) == ["zh-Hant"]
    again = cleaning.measure(fields.replaced(told, "text", [TEXTS[1]]), Measuring()).rows
    assert (cleaning.varieties(again), again.column("meta").to_pylist()) == ([""], ["{}"])
