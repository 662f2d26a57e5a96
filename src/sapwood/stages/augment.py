"""The stage that makes children of training rows. The science is in `sapwood.text.augmenting`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple

from pydantic import Field

from sapwood.artifact import Documents, Examples, Report
from sapwood.errors import InputError, Interrupted, Refused
from sapwood.stage import Estimate, Rows, Stage, Work
from sapwood.text.augmenting.operators import AnyOperator


class Augmented(NamedTuple, Generic[Rows]):
    all: Rows
    children: Rows
    dropped: Rows
    report: Report


class Augment(Stage):
    """Make more training rows out of the training rows: children with the label and side of their parent.

    It takes the training part of a split only. Before a split, children would fall on the other side of their parents, and the
    test would measure how well a model knows its training rows; so rows that are also in `held_out` are refused, and a child that
    equals a held-out row is dropped. `all` holds the parents and then the children. More rows are not always better:
    compare a model with and one without them.
    """

    version: ClassVar[int] = 1
    uses_seed: ClassVar[bool] = True
    carries: ClassVar[tuple[str, ...] | None] = ("train",)
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"operators": [{"kind": "noise"}, {"kind": "shuffle"}]},
        {"operators": [{"kind": "shuffle"}], "copies": 2, "labels": ["positive"], "share": 0.5, "names": ["水壶"]},
    )

    operators: tuple[AnyOperator, ...] = Field(
        min_length=1, description="How children are made: synonyms, homophones, noise, shuffle, mix, back-translation, rewriting."
    )
    copies: int = Field(1, ge=1, le=20, description="Children of each row by each operator.")
    labels: list[str] = Field([], description="Only rows of these labels get children, such as the rare ones; empty takes all.")
    share: float = Field(1.0, gt=0, le=1, description="Share of the rows that get children.")
    names: list[str] = Field([], description="Names and terms that no operator may change, beside numbers, placeholders and negations.")

    def fingerprint(self, workspace: Path) -> str:
        from sapwood.text.augmenting.operators import fingerprint

        return fingerprint(self.operators, workspace)

    def check(self, workspace: Path) -> list[str]:
        from sapwood.text.augmenting.operators import faults

        return faults(self.operators, workspace)

    def estimate(self, bytes_in: int) -> Estimate:
        times = len(self.operators) * self.copies
        return Estimate(2 + times * bytes_in / 2e6, 500_000_000, 3 * times * bytes_in)

    def run(self, work: Work, train: Rows, held_out: list[Documents | Examples] | None = None) -> Augmented[Rows]:
        from sapwood.text.augmenting import children
        from sapwood.text.near.spill import Spill

        self._refuse_unlabelled(isinstance(train, Examples))
        folder, scratch = work.path(train), work.scratch
        known = children.survey([folder], scratch, "input", work.seed, children.pool_size(self.operators))
        held = children.survey([work.path(one) for one in held_out or []], scratch, "held-out")
        keys = Spill(scratch / "keys", children.BUDGET)
        try:
            _refuse_held_out(known, held)
            return self._grow(work, train, known, held, keys)
        finally:
            known.close()
            held.close()
            keys.close()

    def _grow(self, work: Work, train: Any, known: Any, held: Any, keys: Any) -> Any:
        from contextlib import ExitStack

        from sapwood import report
        from sapwood.text import rows
        from sapwood.text.augmenting import children, told
        from sapwood.text.writer import Writer

        folder, born, grown = work.path(train), work.new("born"), children.Grown()
        folders = {name: work.new(name) for name in ("all", "children", "dropped", "report")}
        with ExitStack() as stack:
            outs = [stack.enter_context(Writer(folders[name], rows.schema(folder))) for name in ("all", "children", "dropped")]
            with work.progress("augment", rows.count(folder), "rows") as meter:
                children.breed(folder, self._plan(work, known), born, keys, outs[2], grown, meter.advance)
            fate = children.fates(keys, known.texts, held.texts)
            orphans = children.sift(folder, born, fate, (outs[0], outs[1], outs[2]), known, work.scratch, grown)
            if orphans:
                raise Refused(f"{orphans} children name a parent that is not in the input", "report this: an operator is wrong")
        found = told.told(known.ids.count, grown, children.with_texts(folder, grown))
        report.write(folders["report"], "Augmentation", found.summary, found.data, found.blocks)
        work.say(found.summary)
        kind = type(train)
        everything, kept, dropped = (work.put(kind, folders[name]) for name in ("all", "children", "dropped"))
        return Augmented(everything, kept, dropped, work.put(Report, folders["report"]))

    def _plan(self, work: Work, known: Any) -> Any:
        from sapwood.text.augmenting import children
        from sapwood.text.augmenting.opening import Setting

        def stop() -> None:
            if work.stopping():
                raise Interrupted("stopped while making children", "run the same command again to continue")

        setting = Setting(work.workspace, work.scratch, work.seed, tuple(self.names), work.say, stop, known.pools)
        opened = children.opened(self.operators, setting)
        return children.Plan(opened, self.copies, frozenset(self.labels), self.share, work.seed, tuple(self.names), stop)

    def _refuse_unlabelled(self, labelled: bool) -> None:
        if not labelled and (self.labels or any(one.kind == "mix" for one in self.operators)):
            raise InputError("labels and mix need labelled examples, these are documents", "leave them out, or label the rows first")


def _refuse_held_out(known: Any, held: Any) -> None:
    from sapwood.text.augmenting import children

    both = held.ids.count - children.missing(held.ids, known.ids)
    if both:
        raise InputError(f"{both} rows to augment are held out", "augment the training part of a split, never what a model is measured on")
