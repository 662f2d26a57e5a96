"""The stage that splits rows into parts without leaks. The science is in `sapwood.text.parts.split`, the proof in `sapwood.text.parts.proof`.

Two streams over the rows: the first fills an index of shingles and notes the fields, the second sends each row to its part. Memory:
about 150 bytes a document beside the index's budget; shingles and band keys (8 bytes a shingle, 256 a document) lie in scratch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sapwood.artifact import Documents, Examples, Report
from sapwood.errors import Interrupted
from sapwood.stage import Estimate, Rows, Stage, Work

if TYPE_CHECKING:
    from sapwood.text.near.index import Index
    from sapwood.text.parts.leakproof import Made, Plan
    from sapwood.text.parts.sides import Sides

BATCH = 1024


class Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Ratios(Block):
    """Shares of the rows that neither time nor hold_out has placed; taken in proportion when they do not sum to 1."""

    train: float = Field(0.8, ge=0, le=100, description="Share of rows to train on.")
    dev: float = Field(0.1, ge=0, le=100, description="Share of rows to choose settings on.")
    test: float = Field(0.1, ge=0, le=100, description="Share of rows to measure on, once.")
    later: float = Field(0.0, ge=0, le=100, description="Share of rows kept back, as if they came later.")

    @model_validator(mode="after")
    def _sensible(self) -> Ratios:
        shares = [share for share in (self.train, self.dev, self.test, self.later) if share > 0]
        if not shares:
            raise ValueError("at least one share must be above 0")
        if max(shares) > 1 > min(shares):
            raise ValueError(f"shares and percentages are mixed ({min(shares):g} beside {max(shares):g}): give all four in one measure")
        return self


class Folds(Block):
    """k folds instead of ratios: test is fold `fold`, dev the next one, train the others. Rows carry their fold in meta.fold.

    Which rows are together does not depend on `fold`, so k steps with fold 0 to k - 1 test every row once."""

    k: int = Field(5, ge=2, le=100, description="How many folds.")
    fold: int = Field(0, ge=0, description="The fold that is test, from 0.")
    dev: bool = Field(True, description="Whether the next fold is dev; otherwise it stays in train.")

    @model_validator(mode="after")
    def _one_of_k(self) -> Folds:
        if self.fold >= self.k:
            raise ValueError(f"fold {self.fold} is not among {self.k} folds, which are numbered from 0")
        if self.dev and self.k < 3:
            raise ValueError("two folds leave nothing to train on: set dev to false, or k to 3 or more")
        return self


class Time(Block):
    """Rows after a moment go to one part, with every copy and group member that is older. Give `after` or `share`."""

    field: str = Field("collected_at", min_length=1, description="A column, or an entry of meta such as meta.date, that tells the time.")
    after: str = Field("", description="The cut: 2024, 2024-06, 2024-06-30 or a full ISO 8601 time; rows after it are newer.")
    share: float | None = Field(None, gt=0, lt=1, description="Share of the rows, the newest ones, to put after the cut.")
    to: Literal["test", "later"] = Field("test", description="The part of the newer rows; ratios then share out the older rows alone.")
    undated: Literal["refuse", "newer"] = Field("refuse", description="Rows that tell no time: stop, or take them as newer.")

    @model_validator(mode="after")
    def _one_cut(self) -> Time:
        if bool(self.after) == (self.share is not None):
            raise ValueError("give the cut as `after` or as `share`, one of the two")
        if self.after:
            from sapwood.text.parts.moments import NEVER, moment

            if moment(self.after) == NEVER:
                raise ValueError(f"after: {self.after!r} is not a time; write it as 2024-06-30 or 2024-06-30T12:00:00Z")
        return self


class HoldOut(Block):
    """Rows that go to `later` with all their copies: those whose field has one of the values."""

    field: str = Field(min_length=1, description="A column, or an entry of meta such as meta.domain.")
    values: list[str] = Field(min_length=1, description="Values of the field that are held out.")


class Caps(Block):
    """Most rows of a part; the surplus, chosen by the seed, is left out of every part. None: no cap."""

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

    By ratio, in k folds, or by time; values of `group` fields never cross either. A crossing stops the run.
    `raw` are the rows before de-duplication: with them the report says what a plain random split would have leaked.
    """

    version: ClassVar[int] = 2
    uses_seed: ClassVar[bool] = True
    carries: ClassVar[tuple[str, ...] | None] = ("documents",)
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"hold_out": {"field": "meta.domain", "values": ["book"]}, "caps": {"train": 1000}, "ratios": {"train": 0.7, "later": 0.1}},
        {"folds": {"k": 3, "fold": 1}, "group": ["text_digest"]},
    )

    ratios: Ratios = Field(Ratios(), description="Shares of the parts.")
    folds: Folds | None = Field(None, description="k folds instead of ratios.")
    time: Time | None = Field(None, description="A cut in time: newer rows are never learned from.")
    group: list[str] = Field(
        [], description="Fields whose values stay on one side, such as meta.customer; a row without the field is free. Joined with copies."
    )
    near: float = Field(0.7, gt=0, le=1, description="Jaccard similarity from which two rows must stay on one side.")
    stratify: list[str] = Field(
        ["label", "language"], description="Fields whose mix is kept equal in all parts; missing ones are left out."
    )
    hold_out: HoldOut | None = Field(None, description="Rows that go to later, with their copies.")
    caps: Caps = Field(Caps(), description="Most rows in each part.")

    @model_validator(mode="after")
    def _one_method(self) -> Split:
        if self.folds is not None and (self.time is not None or self.hold_out is not None or self.ratios != Ratios()):
            raise ValueError("folds place every row by themselves: leave out ratios, time and hold_out")
        return self

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(5 + bytes_in / 2e6, 700_000_000 + bytes_in // 4, 9 * bytes_in)

    def run(self, work: Work, documents: Rows, raw: Documents | Examples | None = None) -> Parts[Rows]:
        from sapwood import report
        from sapwood.text.near import index
        from sapwood.text.near.signatures import BANDS
        from sapwood.text.parts import crossing, leakproof, naive

        with index.Index(work.scratch / "index") as indexed:
            sides = self._gathered(work, documents, indexed)
            with work.progress("compare", BANDS, "bands") as meter:

                def advance(steps: float) -> None:
                    _go_on(work)
                    meter.advance(steps)

                made = leakproof.make(indexed, sides, self._plan(), advance)
        leak = made.leak if raw is None else naive.measured(work.path(raw), self.ratios.model_dump(), work.seed, self.near)
        proved = ("exact", "near", *(["group"] if self.group else []), *(["time"] if self.time else []))
        shown = crossing.Shown(self.near, proved, leak, "given" if raw is None else "raw", self._method())
        told = crossing.told(made, sides, shown)
        folder = work.new("report")
        report.write(folder, "Split", told.summary, told.data, told.blocks)
        work.say(told.summary)
        crossing.refuse(made.proof, "near")
        train, dev, test, later = self._put(work, documents, made)
        return Parts(train, dev, test, later, work.put(Report, folder))

    def _plan(self) -> Plan:
        from sapwood.text.parts import leakproof, moments

        cut = folds = None
        if self.time is not None:
            after = moments.moment(self.time.after) if self.time.after else None
            cut = leakproof.Cut(after, self.time.share or 0.0, self.time.to, self.time.undated)
        if self.folds is not None:
            folds = leakproof.Folds(self.folds.k, self.folds.fold, self.folds.dev)
        caps = self.caps.model_dump(exclude_none=True)
        return leakproof.Plan(self.ratios.model_dump(), self.near, folds, cut, caps, self.hold_out is not None)

    def _method(self) -> str:
        """One sentence for the report."""
        kept = ["near-duplicates", *(f"equal {name}" for name in self.group)]
        how = "By ratio"
        if self.folds is not None:
            how = f"Fold {self.folds.fold} of {self.folds.k} (counted from 0) is test"
        elif self.time is not None:
            how = f"By {self.time.field}, newer rows to {self.time.to}, older ones by ratio"
        return f"{how}; kept on one side: {', '.join(kept)}; stratified by {', '.join(self.stratify) or 'nothing'}."

    def _gathered(self, work: Work, documents: Documents | Examples, indexed: Index) -> Sides:
        """The first stream: every text into the index, every field into arrays."""
        from sapwood.text import fields, rows
        from sapwood.text.parts import sides

        held = None if self.hold_out is None else (self.hold_out.field, tuple(self.hold_out.values))
        asked = sides.Asked(tuple(self.stratify), tuple(self.group), "" if self.time is None else self.time.field, held)
        folder = work.path(documents)
        schema = rows.schema(folder)
        for name in (*asked.group, asked.time, held[0] if held else ""):
            if name:
                fields.required(name, schema)
        found = sides.Sides(asked, work.seed)
        with work.progress("read", rows.count(folder)) as meter:
            for batch in rows.batches(folder, fields.columns_for(["id", "text", *asked.names], schema), BATCH):
                _go_on(work)
                indexed.add(fields.texts(batch))
                found.add(batch)
                meter.advance(batch.num_rows)
        return found

    def _put(self, work: Work, documents: Rows, made: Made) -> list[Rows]:
        """The second stream: every row to its part."""
        from contextlib import ExitStack

        import pyarrow as pa

        from sapwood.text import fields, rows
        from sapwood.text.parts import split
        from sapwood.text.writer import Writer

        folder, start = work.path(documents), 0
        names = [work.new(name) for name in split.PARTS]
        with ExitStack() as stack, work.progress("write", len(made.part)) as meter:
            writers = [stack.enter_context(Writer(name, rows.schema(folder))) for name in names]
            for batch in rows.batches(folder, size=BATCH):
                _go_on(work)
                here = slice(start, start + batch.num_rows)
                table = pa.Table.from_batches([batch])
                if made.fold is not None:
                    table = fields.with_meta(table, [{"fold": str(fold)} for fold in made.fold[here].tolist()])
                for place, writer in enumerate(writers):
                    writer.add_table(table.filter(pa.array(made.part[here] == place)))
                start += batch.num_rows
                meter.advance(batch.num_rows)
        return [work.put(type(documents), name) for name in names]


def _go_on(work: Work) -> None:
    if work.stopping():
        raise Interrupted("stopped while splitting", "run the same command again")
