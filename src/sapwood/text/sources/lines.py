"""Lines of a text file: plain, tagged with parts of speech, or segmented into words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from sapwood.errors import InputError
from sapwood.text import decode, spans
from sapwood.text.sources.source import Encoded, Reading, Row, changed_at, locate

WIDE = r"\u2e80-\u303f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
WIDE_ONE = re.compile(f"[{WIDE}]")
BESIDE_WIDE = re.compile(rf"(?<=[{WIDE}])[ \u3000]+|[ \u3000]+(?=[{WIDE}])")
TOKEN = re.compile(r"(?P<open>\[)?(?P<word>.+?)/(?P<tag>[A-Za-z]+)(?:\](?P<group>[A-Za-z]+))?\Z", re.DOTALL)
PERSON = "nr"
TWO_CHARACTER_SURNAMES = frozenset(
    [
        "欧阳",
        "司马",
        "上官",
        "诸葛",
        "司徒",
        "皇甫",
        "尉迟",
        "公孙",
        "慕容",
        "令狐",
        "夏侯",
        "独孤",
        "南宫",
        "长孙",
        "宇文",
        "东方",
        "端木",
        "太史",
        "申屠",
        "轩辕",
    ]
)


class Lines(Encoded):
    """One document a line of a text file; blank lines are skipped."""

    kind: Literal["lines"] = Field("lines", description="One document a line.")
    format: Literal["plain", "tagged", "segmented"] = Field(
        "plain",
        description="plain; tagged: word/TAG tokens, joined again; segmented: words parted by spaces, joined where the script has none.",
    )
    entities: dict[str, str] = Field(
        {}, description="Tagged only: labels of tags whose words are kept as meta.spans, such as {nr: PER, ns: LOC, nt: ORG}."
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
            if self.entities:
                text, found = marked(columns[-1], self.entities)
                yield Row(str(number), text, {"spans": spans.written(found, text)} if found else {}, collected_at=time)
            else:
                yield Row(str(number), self._formatted(columns[-1]), collected_at=time)

    @model_validator(mode="after")
    def _only_tags_name_entities(self) -> Self:
        if self.entities and self.format != "tagged":
            raise ValueError("entities are found by tags: set format to tagged")
        return self

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


def marked(line: str, names: Mapping[str, str]) -> tuple[str, list[spans.Span]]:
    """The text of `untag`, and the spans in it of words whose tag is one of `names`, with the label that stands for it.

    In the corpus of Peking University a person's surname and given name are two words, so a surname and the next word of its tag are one
    span; a `[... ]TAG` group is one span, and what is inside it none.
    """
    text, found = "", list[spans.Span]()
    group = surname = -1
    for token in line.split():
        match = TOKEN.match(token)
        word, tag = (match["word"], match["tag"]) if match else (token, "")
        joined = not text or WIDE_ONE.match(text[-1]) or WIDE_ONE.match(word)
        text += word if joined else f" {word}"
        start = len(text) - len(word)
        if match and match["open"]:
            group = start
        if surname >= 0 and tag == PERSON and len(word) <= 2:
            found[-1], surname = found[-1]._replace(end=len(text)), -1
        elif tag in names:
            found.append(spans.Span(start, len(text), names[tag]))
            surname = start if tag == PERSON and (len(word) == 1 or word in TWO_CHARACTER_SURNAMES) else -1
        else:
            surname = -1
        if match and match["group"] and group >= 0:
            if match["group"] in names:
                found = [*(one for one in found if one.end <= group), spans.Span(group, len(text), names[match["group"]])]
            group = -1
    return text, found
