"""The source `conversations`: turns of YAML and JSON files become messages."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from sapwood.errors import InputError
from sapwood.text.sources.conversations import Conversations
from sapwood.text.sources.source import Reading, Row


def read(folder: Path, **fields: object) -> tuple[list[Row], Counter[str], list[str]]:
    skipped: Counter[str] = Counter()
    failed: list[str] = []
    reading = Reading(
        folder, folder, lambda _: None, lambda where, why: failed.append(where), lambda why: skipped.update([why]), lambda: False
    )
    return list(Conversations.model_validate({"name": "talk", "path": ".", **fields}).rows(reading)), skipped, failed


def test_turns_become_messages_up_to_the_last_answer(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(
        "categories: [x]\nconversations:\n- - 你好\n  - 你好！\n  - 再见\n- - Hi\n- - 1\n  - 2\n- text\n", encoding="utf-8"
    )
    (tmp_path / "b.json").write_text(json.dumps([["Q", "A", "Q2", "A2"], ["Q", None]]), encoding="utf-8")
    rows, skipped, failed = read(tmp_path)
    assert [row.text for row in rows] == ["你好\n你好！", "1\n2", "Q\nA\nQ2\nA2"]
    assert json.loads(rows[0].meta["messages"]) == [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "你好！"}]
    assert rows[0].locator == "a.yml#0"
    assert skipped == {"no answer": 2}
    assert failed == ["a.yml#3"]
    assert [row.meta["file"] for row in read(tmp_path, glob="b*", most_turns=4)[0]] == ["b"]


def test_a_file_that_holds_no_conversations_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("categories: [x]\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"a.yml: no list of conversations"):
        read(tmp_path)
    (tmp_path / "a.yml").write_text("a: [", encoding="utf-8")
    with pytest.raises(InputError, match=r"a.yml: cannot be read"):
        read(tmp_path)
    assert "no file" in Conversations(name="talk", path=".", glob="*.json").check(tmp_path)[0]
