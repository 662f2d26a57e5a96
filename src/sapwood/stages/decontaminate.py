"""The stage that keeps evaluation texts out of training text. The science is in `sapwood.text.leaks.contamination`.

Two streams over the documents: the first looks for evaluation texts in them, the second judges the documents that it pointed at and
writes. Memory: the evaluation side (see `sapwood.text.leaks.evaluation`) and 32 bytes for each pair of a document and an item in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from sapwood.artifact import Documents, Examples, Report
from sapwood.errors import Interrupted
from sapwood.stage import Estimate, Rows, Stage, Work

if TYPE_CHECKING:
    import pyarrow as pa

    from sapwood.text.leaks.contamination import Limits, Outcome, Pairs
    from sapwood.text.leaks.evaluation import Items
    from sapwood.text.leaks.verdicts import Verdicts

BATCH = 1024
Action = Literal["drop", "paragraph", "span", "keep"]


class Actions(BaseModel):
    """What to do with a document of each class: drop it, cut out the lines or the very span that the item was found in, or keep it.
    Whatever is kept is in the report, with examples."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    exact: Action = Field("drop", description="The document is the item.")
    near: Action = Field("drop", description="The document is nearly the item.")
    contains: Action = Field("drop", description="The document holds the item.")
    quotation: Action = Field("span", description="The document holds the item, and so do many documents.")
    partial: Action = Field("keep", description="The document holds a part of the item.")
    boilerplate: Action = Field("keep", description="What the document shares with the item stands in many documents.")
    short: Action = Field("keep", description="The document holds an item that is too short to tell chance from a copy.")


class Decontaminated(NamedTuple, Generic[Rows]):
    kept: Rows
    dropped: Rows
    report: Report


class Decontaminate(Stage):
    """Find evaluation texts in documents, say of each what kind of match it is, and drop, cut or keep the document by its kind.

    Dropped and cut rows carry in `meta` the `verdict`, the `evidence` (id of the item), `evidence_text`, `against` (the artifact),
    `value` (share of the item's windows found) and `span` (characters of the document before any cut).
    """

    version: ClassVar[int] = 2
    carries: ClassVar[tuple[str, ...] | None] = ("documents",)

    near: float = Field(0.7, gt=0, le=1, description="Jaccard similarity from which a document is nearly the item.")
    coverage: float = Field(0.8, gt=0, le=1, description="Share of an item's 5-word or 5-character windows from which a document holds it.")
    partial: float = Field(0.5, gt=0, le=1, description="Share from which a document holds a part of it; less is not told of.")
    common: int = Field(20, ge=2, description="Documents with the same window from which it is common stock: a quotation or boilerplate.")
    actions: Actions = Field(Actions(), description="What to do with each class.")

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(3 + bytes_in / 3e6, 1_100_000_000, 2 * bytes_in)

    def run(self, work: Work, documents: Rows, against: list[Documents | Examples]) -> Decontaminated[Rows]:
        from sapwood import report
        from sapwood.text.leaks.contamination import Limits
        from sapwood.text.leaks.evaluation import Items
        from sapwood.text.leaks.verdicts import Verdicts

        limits = Limits(self.near, self.coverage, self.partial, self.common)
        items = Items([(str(one), _items(work, one)) for one in against], limits.low)
        verdicts = Verdicts(items, self.actions.model_dump())
        pairs = self._search(work, documents, items)
        kept, dropped = self._write(work, documents, pairs, limits, verdicts)
        told = verdicts.told()
        folder = work.new("report")
        report.write(folder, "Decontamination", told.summary, told.data, told.blocks)
        work.say(told.summary)
        return Decontaminated(kept, dropped, work.put(Report, folder))

    def _search(self, work: Work, documents: Documents | Examples, items: Items) -> Pairs:
        """The first stream: which items each document may hold, and how many documents have each of their windows."""
        from sapwood.text import fields, rows
        from sapwood.text.leaks import contamination

        pairs, folder = contamination.Pairs(), work.path(documents)
        with work.progress("search", rows.count(folder)) as meter:
            for batch in rows.batches(folder, ["text"], BATCH):
                _go_on(work)
                pairs.add(items.meet(fields.texts(batch)), batch.num_rows)
                meter.advance(batch.num_rows)
        return pairs

    def _write(self, work: Work, documents: Rows, pairs: Pairs, limits: Limits, verdicts: Verdicts) -> tuple[Rows, Rows]:
        """The second stream: judge what was pointed at, and write every row to one side."""
        import pyarrow as pa

        from sapwood.text import rows
        from sapwood.text.writer import Writer

        folder, names = work.path(documents), (work.new("kept"), work.new("dropped"))
        schema = rows.schema(folder)
        with Writer(names[0], schema) as kept, Writer(names[1], schema) as dropped, work.progress("judge", rows.count(folder)) as meter:
            for batch in rows.batches(folder, size=BATCH):
                _go_on(work)
                outcomes = _judged(batch, pairs, limits, verdicts)
                table = _changed(pa.Table.from_batches([batch]), outcomes, verdicts)
                stays = [place not in outcomes or outcomes[place].action != "drop" for place in range(batch.num_rows)]
                kept.add_table(table.filter(pa.array(stays, pa.bool_())))
                dropped.add_table(table.filter(pa.array([not one for one in stays], pa.bool_())))
                meter.advance(batch.num_rows)
        return work.put(type(documents), names[0]), work.put(type(documents), names[1])


def _items(work: Work, artifact: Documents | Examples) -> list[tuple[str, str]]:
    """(id, text) of every row of an evaluation artifact."""
    from sapwood.text import fields, rows

    found = rows.batches(work.path(artifact), ["id", "text"])
    return [item for batch in found for item in zip(fields.values(batch, "id"), fields.texts(batch), strict=True)]


def _judged(batch: pa.RecordBatch, pairs: Pairs, limits: Limits, verdicts: Verdicts) -> dict[int, Outcome]:
    """The outcome of the batch's rows that have findings, by their place in it."""
    from sapwood.text import fields
    from sapwood.text.leaks import contamination

    ids, texts, outcomes = fields.values(batch, "id"), fields.texts(batch), {}
    for place, met in pairs.of(verdicts.rows, batch.num_rows):
        found = contamination.findings(texts[place], met, verdicts.items, limits)
        outcome = contamination.outcome(texts[place], found, pairs.more.get(verdicts.rows + place, 0), verdicts.actions)
        verdicts.add(ids[place], texts[place], outcome, len(met.row))
        if found:
            outcomes[place] = outcome
    verdicts.rows += batch.num_rows
    return outcomes


def _changed(table: pa.Table, outcomes: dict[int, Outcome], verdicts: Verdicts) -> pa.Table:
    """The rows with the evidence in `meta` where they were dropped or cut, and the text that is left of those that were cut."""
    from sapwood.text import fields, rows
    from sapwood.text.leaks.verdicts import evidence

    touched = {place: one for place, one in outcomes.items() if one.action != "keep"}
    if not touched:
        return table
    added: list[Any] = [{}] * table.num_rows
    texts, digests = fields.column(table, "text"), fields.column(table, "text_digest")
    for place, one in touched.items():
        added[place] = evidence(one, verdicts.items, verdicts.actions)
        if one.action == "cut":
            texts[place], digests[place] = one.text, rows.text_digest(one.text)
    table = fields.with_meta(table, added)
    return fields.replaced(fields.replaced(table, "text", texts), "text_digest", digests)


def _go_on(work: Work) -> None:
    if work.stopping():
        raise Interrupted("stopped while looking for evaluation texts", "run the same command again")
