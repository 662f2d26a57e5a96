"""The stage that removes copies. The science is in `sapwood.text.near.index`, `copies` and `paragraphs`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple

from pydantic import Field

from sapwood.artifact import Report
from sapwood.errors import Interrupted
from sapwood.stage import Estimate, Meter, Rows, Stage, Work

if TYPE_CHECKING:
    from sapwood.text.near.copies import Decisions, Traits
    from sapwood.text.near.copies_report import Cut
    from sapwood.text.near.index import Index
    from sapwood.text.near.paragraphs import Paragraphs

BATCH = 1024


class Deduplicated(NamedTuple, Generic[Rows]):
    kept: Rows
    dropped: Rows
    report: Report


class Dedup(Stage):
    """Drop rows that copy or nearly copy another, and on request the paragraphs that the corpus repeats.

    Rows of one cluster with different labels are all dropped, since nobody can say which label is right.
    Dropped rows carry `dropped`, `value` (the id of the row that stays), `limit` and `similarity` in `meta`.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"near": 0, "keep": "longest", "level": "paragraph"},
        {"keep": "source", "prefer": ["texts"], "force": True},
    )

    near: float = Field(
        0.8, ge=0, le=1, description="Jaccard similarity from which two rows are near-duplicates; 0 drops exact copies only."
    )
    keep: Literal["first", "longest", "newest", "source"] = Field(
        "first", description="Which of several copies is kept; newest goes by collected_at, source by prefer; then the first."
    )
    prefer: list[str] = Field([], description="Sources from best to worst, for keep: source; others come last.")
    level: Literal["document", "paragraph"] = Field(
        "document", description="paragraph also takes paragraphs that came before out of the rows that are kept."
    )
    least_units: int = Field(20, ge=5, description="Shortest paragraph to take out, in words or characters of unspaced scripts.")
    max_share: float = Field(0.8, gt=0, le=1, description="Stop when more than this share of a language or source would go.")
    force: bool = Field(False, description="Go on although more than max_share goes.")

    def estimate(self, bytes_in: int) -> Estimate:
        """17 MB a CPU second, measured on a loaded machine (236 MB, peak 492 MB); 140 bytes a row; shingles on disk are up to 2.7 times the text."""
        return Estimate(2 + bytes_in / 12e6, 700_000_000 + bytes_in // 3, 4 * bytes_in)

    def run(self, work: Work, documents: Rows) -> Deduplicated[Rows]:
        from sapwood import report
        from sapwood.text.near import copies, copies_report
        from sapwood.text.near.index import Index

        folder = work.path(documents)
        with Index(work.scratch / "index") as index:
            traits = self._gathered(work, folder, index)
            with work.progress("compare", 32, "bands") as meter:
                cluster = index.clusters(self.near, _stoppable(work, meter))
            decisions: Decisions = copies.decide(index, cluster, traits, self.prefer)
        if not self.force:
            copies.refuse(decisions, traits, self.max_share)
        shown = [*copies_report.examples(decisions), *copies_report.least_alike(decisions)]
        shown += [int(decisions.kept[row]) for row in shown]
        folders = {name: work.new(name) for name in ("kept", "dropped", "report")}
        texts, cut = self._written(work, folder, decisions, folders, set(shown))
        told = copies_report.tell(decisions, traits, texts, cut, self.near)
        report.write(folders["report"], "De-duplication", told.summary, told.data, told.blocks)
        work.say(told.summary)
        kind = type(documents)
        return Deduplicated(work.put(kind, folders["kept"]), work.put(kind, folders["dropped"]), work.put(Report, folders["report"]))

    def _gathered(self, work: Work, folder: Any, index: Index) -> Traits:
        """The first stream: every text into the index, every trait into arrays."""
        from sapwood.text import rows
        from sapwood.text.near import copies

        traits = copies.Traits(rows.schema(folder), self.keep)
        for batch in _batches(work, "read", folder, traits.columns):
            index.add(traits.add(batch))
        return traits

    def _written(
        self, work: Work, folder: Any, decisions: Decisions, folders: dict[str, Any], shown: set[int]
    ) -> tuple[dict[int, Any], Cut]:
        """The last stream: every row to where it goes; (id and text of the rows to be shown, what was cut)."""
        import numpy as np
        import pyarrow as pa

        from sapwood.text import fields, rows
        from sapwood.text.near import copies
        from sapwood.text.near.copies_report import Cut
        from sapwood.text.writer import Writer

        ids = _ids(work, folder, decisions)
        thinning = self._paragraphs(work, folder, decisions)
        texts, cut, start = {}, Cut(), 0
        with Writer(folders["kept"], rows.schema(folder)) as kept, Writer(folders["dropped"], rows.schema(folder)) as dropped:
            for batch in _batches(work, "write", folder, None):
                here = range(start, start + batch.num_rows)
                texts.update(
                    {
                        row: (batch.column("id")[row - start].as_py(), batch.column("text")[row - start].as_py() or "")
                        for row in here
                        if row in shown
                    }
                )
                notes = copies.notes(decisions, here.start, here.stop, ids, self.near)
                table = pa.Table.from_batches([batch])
                stays = decisions.reason[here.start : here.stop] == copies.STAYS
                if thinning is not None:
                    table, cut, emptied = _thinned(table, stays, thinning, cut, notes)
                    stays = stays & ~emptied
                table = fields.with_meta(table, notes)
                kept.add_table(table.filter(pa.array(stays)))
                dropped.add_table(table.filter(pa.array(np.logical_not(stays))))
                start += batch.num_rows
        return texts, cut

    def _paragraphs(self, work: Work, folder: Any, decisions: Decisions) -> Paragraphs | None:
        """The paragraphs of the rows that stay; None when whole rows are all that is asked for."""
        if self.level == "document":
            return None
        from sapwood.text import fields
        from sapwood.text.near import copies
        from sapwood.text.near.paragraphs import Paragraphs

        found, start = Paragraphs(self.least_units), 0
        for batch in _batches(work, "paragraphs", folder, ["text"]):
            stays = decisions.reason[start : start + batch.num_rows] == copies.STAYS
            found.add([text for text, stay in zip(fields.texts(batch), stays.tolist(), strict=True) if stay])
            start += batch.num_rows
        return found


def _ids(work: Work, folder: Any, decisions: Decisions) -> dict[int, str]:
    """row -> id of the rows that stay for others."""
    import numpy as np

    wanted = np.unique(decisions.kept[decisions.kept != np.arange(len(decisions.kept))])
    found, start = {}, 0
    for batch in _batches(work, "ids", folder, ["id"]):
        here = wanted[np.searchsorted(wanted, start) : np.searchsorted(wanted, start + batch.num_rows)]
        names = batch.column("id")
        found.update({row: names[row - start].as_py() for row in here.tolist()})
        start += batch.num_rows
    return found


def _thinned(table: Any, stays: Any, thinning: Paragraphs, cut: Cut, notes: list[dict[str, str]]) -> tuple[Any, Cut, Any]:
    """(the rows with the paragraphs taken out, the running count, which rows had nothing left)."""
    import numpy as np

    from sapwood.text import fields, rows
    from sapwood.text.near.copies_report import Cut

    texts, digests = fields.texts(table), fields.column(table, "text_digest")
    emptied = np.zeros(len(texts), dtype=bool)
    places = np.flatnonzero(stays).tolist()
    for row, found in zip(places, thinning.thin([texts[row] for row in places]), strict=True):
        if not found.paragraphs:
            continue
        emptied[row] = not found.text.strip()
        if emptied[row]:
            notes[row] = {"dropped": "repeated paragraphs", "value": str(found.paragraphs), "limit": "1 place"}
        else:
            texts[row], digests[row] = found.text, rows.text_digest(found.text)
        changed = int(not emptied[row])
        cut = Cut(cut.paragraphs + found.paragraphs, cut.characters + found.characters, cut.rows + changed, cut.emptied + 1 - changed)
    return fields.replaced(fields.replaced(table, "text", texts), "text_digest", digests), cut, emptied


def _batches(work: Work, label: str, folder: Any, columns: list[str] | None) -> Iterator[Any]:
    """The rows in batches, with progress; raises `Interrupted` once the run is asked to stop."""
    from sapwood.text import rows

    with work.progress(label, rows.count(folder)) as meter:
        advance = _stoppable(work, meter)
        for batch in rows.batches(folder, columns, BATCH):
            yield batch
            advance(batch.num_rows)


def _stoppable(work: Work, meter: Meter) -> Any:
    def advance(amount: float) -> None:
        if work.stopping():
            raise Interrupted("stopped while de-duplicating", "run the same command again")
        meter.advance(amount)

    return advance
