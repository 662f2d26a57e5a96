"""The stage that splits rows into parts without leaks. The science is in `sapwood.text.split`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Generic, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sapwood.artifact import Documents, Examples, Report
from sapwood.stage import Rows, Stage, Work

TRIES = 2  # the second is made from every pair the proof found, so it cannot cross


class Ratios(BaseModel):
    """Shares of the rows that are not held out; normalised to sum to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: float = Field(0.8, ge=0, description="Share of rows to train on.")
    dev: float = Field(0.1, ge=0, description="Share of rows to choose settings on.")
    test: float = Field(0.1, ge=0, description="Share of rows to measure on, once.")
    later: float = Field(0.0, ge=0, description="Share of rows kept back, as if they came later.")

    @model_validator(mode="after")
    def _some(self) -> Ratios:
        if self.train + self.dev + self.test + self.later <= 0:
            raise ValueError("at least one share must be above 0")
        return self


class HoldOut(BaseModel):
    """Rows that go to `later` with all their copies: those whose field has one of the values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str = Field(description="A column, or an entry of meta such as meta.domain.")
    values: list[str] = Field(min_length=1, description="Values of the field that are held out.")


class Caps(BaseModel):
    """Most rows of a part; the surplus, chosen by the seed, is left out of every part. None: no cap."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: int | None = Field(None, ge=0, description="Most rows in train.")
    dev: int | None = Field(None, ge=0, description="Most rows in dev.")
    test: int | None = Field(None, ge=0, description="Most rows in test.")
    later: int | None = Field(None, ge=0, description="Most rows in later.")


class Parts(NamedTuple, Generic[Rows]):
    train: Rows
    dev: Rows
    test: Rows
    later: Rows
    report: Report


class Split(Stage):
    """Split rows into train, dev, test and later so that no text has an exact or near copy on two sides, and prove it.

    `raw` are the rows before de-duplication: with them the report says what a plain random split would have leaked.
    """

    uses_seed: ClassVar[bool] = True
    carries: ClassVar[tuple[str, ...] | None] = ("documents",)
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"hold_out": {"field": "meta.domain", "values": ["book"]}, "caps": {"train": 1000}, "ratios": {"train": 0.7, "later": 0.1}},
    )

    ratios: Ratios = Field(Ratios(), description="Shares of the parts.")
    near: float = Field(0.7, gt=0, le=1, description="Jaccard similarity from which two rows must stay on one side.")
    stratify: list[str] = Field(
        ["label", "language"], description="Fields whose mix is kept equal in all parts; missing ones are left out."
    )
    hold_out: HoldOut | None = Field(None, description="Rows that go to later, with their copies.")
    caps: Caps = Field(Caps(), description="Most rows in each part.")

    def run(self, work: Work, documents: Rows, raw: Documents | Examples | None = None) -> Parts[Rows]:
        from sapwood import report
        from sapwood.text import crossing, rows

        table = rows.read(work.path(documents))
        before = None if raw is None else [text or "" for text in rows.read(work.path(raw), ["text"]).column("text").to_pylist()]
        with work.progress("split", 2 if raw else 1, "steps") as meter:
            part, found, rounds = self._parts(table, work.seed)
            meter.advance()
            leak = None if before is None else self._leak(before, work.seed)
            meter.advance(1 if before else 0)
        folder = work.new("report")
        names = [name for name in (*self.stratify, *([self.hold_out.field] if self.hold_out else [])) if name]
        told = crossing.told(table, part, names, found, rounds, leak, self.near)
        report.write(folder, "Split", told.summary, told.data, told.blocks)
        work.say(told.summary)
        crossing.refuse(found)
        train, dev, test, later = self._put(work, type(documents), table, part)
        return Parts(train, dev, test, later, work.put(Report, folder))

    def _parts(self, table: Any, seed: int) -> tuple[Any, Any, int]:
        """(part of each row, crossings left, tries). A crossing that MinHash missed joins its clusters, and the split is made again.

        The proof is taken before the caps: what they leave out cannot add a crossing."""
        import numpy as np

        from sapwood.text import duplicates, fields, split, units

        ids = fields.values(table, "id")
        columns = [fields.values(table, name) for name in self.stratify] or [[""] * len(ids)]
        strata = ["\x1f".join(values) for values in zip(*columns, strict=True)]
        held = None
        if self.hold_out is not None:
            held = np.array([value in set(self.hold_out.values) for value in fields.values(table, self.hold_out.field)], dtype=bool)
        shingled = units.shingle([text or "" for text in fields.column(table, "text")])
        cluster = duplicates.clusters(shingled, self.near)
        caps = self.caps.model_dump(exclude_none=True)
        tries, found = 0, None
        while tries < TRIES and (found is None or found.near + found.exact):
            cluster = cluster if found is None else split.rejoined(cluster, found)
            tries += 1
            part = split.split(ids, cluster, strata, self.ratios.model_dump(), seed, held)
            found = split.crossings(shingled, part, self.near)
        return split.capped(part, ids, caps, seed), found, tries

    def _leak(self, texts: Sequence[str], seed: int) -> tuple[int, int, int]:
        from sapwood.text import split

        return split.naive_leak(texts, self.ratios.model_dump(), seed, self.near)

    def _put(self, work: Work, kind: type[Rows], table: Any, part: Any) -> list[Rows]:
        import pyarrow as pa

        from sapwood.text import rows, split

        made = []
        for index, name in enumerate(split.PARTS):
            folder = work.new(name)
            rows.write(folder, table.filter(pa.array(part == index)))
            made.append(work.put(kind, folder))
        return made
