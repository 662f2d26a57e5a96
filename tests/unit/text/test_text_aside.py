"""Setting aside: a repeated text stays on one side, and more or less text does not move what is set aside."""

from __future__ import annotations

from pathlib import Path

import pytest

from sapwood.errors import InputError
from sapwood.text import rows
from sapwood.text.parts.aside import divided


def folder(path: Path, texts: list[str]) -> Path:
    path.mkdir()
    rows.write(path, rows.table(rows.document("x", str(n), text) for n, text in enumerate(texts)))
    return path


def test_sides_share_no_text_and_do_not_move_when_text_is_added(tmp_path: Path) -> None:
    texts = [f"document {n} 第{n}号" for n in range(300)]
    few, more = folder(tmp_path / "few", texts[:200] * 2), folder(tmp_path / "more", texts[200:])
    first, both = divided([few], 0.2, 1e9), divided([few, more], 0.2, 1e9)
    assert not set(first.taught) & set(first.aside)
    assert set(first.aside) <= set(both.aside)
    assert 40 < len(set(both.aside)) < 80
    assert first.share == 1.0


def test_no_more_is_read_than_is_needed_and_too_little_is_told(tmp_path: Path) -> None:
    many = folder(tmp_path / "many", [f"{n} " * 50 for n in range(400)])
    some = divided([many], 0.2, 4000)
    assert 0.1 < some.share < 0.5
    assert set(some.aside) < set(divided([many], 0.2, 1e9).aside)
    with pytest.raises(InputError, match="raise held_out"):
        divided([folder(tmp_path / "two", ["a", "b"])], 0.001, 1e9)
