"""Lines of a text file: plain, tagged with parts of speech, or segmented into words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from sapwood.errors import InputError
from sapwood.text import decode
from sapwood.text.sources.source import Encoded, Reading, Row, changed_at, locate

WIDE = r"\u2e80-\u303f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
BESIDE_WIDE = re.compile(rf"(?<=[{WIDE}])[ \u3000]+|[ \u3000]+(?=[{WIDE}])")
TOKEN = re.compile(r"\[?(?P<word>.+?)/[A-Za-z]+(?:\][A-Za-z]+)?\Z", re.DOTALL)


class Lines(Encoded):
    """One document a line of a text file; blank lines are skipped."""

    kind: Literal["lines"] = Field("lines", description="One document a line.")
    format: Literal["plain", "tagged", "segmented"] = Field(
        "plain",
        description="plain; tagged: word/TAG tokens, joined again; segmented: words parted by spaces, joined where the script has none.",
    )
    skip_columns: int = Field(0, ge=0, description="Tab-separated columns to drop at the start of each line.")
    turns: tuple[str, ...] = Field(("\t",), description="Segmented only: marks between turns of a dialogue; each gets its own line.")

    def rows(self, reading: Reading) -> Iterator[Row]:
        path = locate(self, reading)
        time = changed_at(self, path)
        for number, line in decode.lines(path, decode.encoding_of(path, forced=self.encoding)):
            columns = line.split("\t", self.skip_columns) if self.skip_columns else [line]
            if self.skip_columns and line.strip() and len(columns) <= self.skip_columns:
                raise InputError(
                    f"{path.name}: line {number} has {len(columns)} columns, {self.skip_columns} are to be skipped", "lower skip_columns"
                )
            yield Row(str(number), self._formatted(columns[-1]), collected_at=time)

    def _formatted(self, text: str) -> str:
        if self.format == "tagged":
            return untag(text)
        if self.format == "segmented":
            for mark in self.turns:
                text = text.replace(mark, "\n")
            return "\n".join(desegment(turn) for turn in text.split("\n") if turn.strip())
        return text


def desegment(text: str) -> str:
    """Join words that were parted by spaces: spaces beside a Chinese or Japanese character go, those between Latin words stay."""
    return BESIDE_WIDE.sub("", text).strip()


def untag(line: str) -> str:
    """Plain text of a line of `word/TAG` tokens, with or without `[... ]TAG` groups. A token without a tag is kept as it is."""
    found = (TOKEN.match(token) for token in line.split())
    words = (match["word"] if match else token for match, token in zip(found, line.split(), strict=True))
    return desegment(" ".join(words))
