"""Systems that a model that writes must beat: each on English and Chinese."""

from __future__ import annotations

import json

import pytest

from sapwood.errors import InputError
from sapwood.models.tasks.chat import Chat
from sapwood.models.tasks.sequence import ToSequence
from sapwood.probes.beside import beside
from sapwood.probes.beside.written import Dictionary, joined, lead, own_words

ENGLISH = ["open the file", "close the file", "open the window", "close the window", "save the table", "open the table"]
CHINESE = ["打开文件", "关闭文件", "打开窗口", "关闭窗口", "保存表格", "打开表格"]


def rows(texts: list[str], targets: list[str]) -> list[dict[str, str]]:
    return [{"id": str(i), "text": a, "meta.target": b} for i, (a, b) in enumerate(zip(texts, targets, strict=True))]


def test_a_dictionary_is_learned_both_ways_and_copies_what_it_does_not_know() -> None:
    there, back = Dictionary(ENGLISH, CHINESE), Dictionary(CHINESE, ENGLISH)
    assert there.translated(["open window LibreOffice"]) == ["打开窗口 LibreOffice".replace(" ", "")]
    assert back.translated(["关闭 表格"])[0].split()[0] == "close"
    with pytest.raises(InputError, match="no words come twice"):
        Dictionary(["a"], ["b"])


def test_translations_stand_beside_copy_dictionary_and_the_nearest_training_text() -> None:
    found = beside(ToSequence(), rows(ENGLISH, CHINESE), rows(["save the window"], [""]))
    assert found["copy"] == ["save the window"]
    assert found["nearest"][0] in CHINESE
    assert set(found) == {"copy", "dictionary", "nearest"}


def test_summaries_stand_beside_the_beginning_and_a_random_sentence() -> None:
    texts = ["The kettle is old. It broke.", "这盏灯很好。它不贵。"]
    train = rows(texts, ["The kettle broke", "这盏灯不贵"])
    assert own_words(texts, ["The kettle broke", "这盏灯不贵"]) == 1.0
    found = beside(ToSequence(), train, rows(texts, ["", ""]))
    assert found["lead"] == ["The kettle is old", "这盏灯很"]
    assert found["random sentence"][1] in ("这盏灯很好。", "它不贵。")
    assert lead("One two. Three", 5) == "One two."


def test_a_conversation_is_answered_by_the_nearest_question_s_answer() -> None:
    def chat(number: int, question: str, answer: str) -> dict[str, str]:
        told = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        return {"id": str(number), "meta.messages": json.dumps(told, ensure_ascii=False)}

    train = [chat(0, "Where is my parcel?", "On its way."), chat(1, "什么时候发货？", "今天下午。")]
    assert beside(Chat(), train, [chat(2, "今天发货吗", "?"), chat(3, "my parcel is late", "?")]) == {
        "nearest question": ["今天下午。", "On its way."]
    }


def test_pieces_are_joined_as_each_language_does() -> None:
    assert joined(["Open", "the", "file", ".", "打", "开", "A", "B"]) == "Open the file.打开A B"
