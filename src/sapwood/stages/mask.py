"""The stage that masks personal data in stored rows. The science is in `sapwood.text.pii`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple

from pydantic import Field, model_validator

from sapwood.artifact import Report
from sapwood.errors import Interrupted
from sapwood.stage import Estimate, Json, Rows, Stage, Work
from sapwood.text.pii.settings import AnyMasker, Masking

if TYPE_CHECKING:
    from sapwood.text.pii.ledger import Ledger

SAME: dict[str, Any] = dict(Masking.model_fields)
"""The block's own fields, so that name, default and help are written once."""


class Masked(NamedTuple, Generic[Rows]):
    documents: Rows
    report: Report


class Mask(Stage):
    """Replace personal data by typed placeholders such as <EMAIL_ADDRESS>: e-mail, phone, ID and bank card numbers, IBAN, IP and MAC
    addresses, passports, number plates, postal addresses, and names where a list or a model is given.

    Ids, labels and source names stay. The input keeps the values: to keep them from ever resting in the store, mask at collection. Memory does not grow with the input.
    """

    is_source: ClassVar[bool] = True
    examples: ClassVar[tuple[dict[str, Json], ...]] = (
        {},
        {
            "types": ["EMAIL_ADDRESS", "PHONE_NUMBER", "PERSON"],
            "stable": True,
            "keep": ["*@ourshop.example"],
            "maskers": [{"kind": "words", "words": ["Zhang San", "张三"]}],
            "scope": ["text", "meta", "url"],
        },
    )

    types: tuple[str, ...] = SAME["types"]
    stable: bool = SAME["stable"]
    keep: tuple[str, ...] = SAME["keep"]
    maskers: tuple[AnyMasker, ...] = SAME["maskers"]
    scope: tuple[Literal["text", "meta", "url"], ...] = Field(
        ("text", "meta"), min_length=1, description="Where to look: text, the values of meta, url. A masked url leads nowhere any more."
    )

    @model_validator(mode="after")
    def _whole(self) -> Mask:
        self._masking()
        return self

    def fingerprint(self, workspace: Path) -> str | None:
        return self._masking().fingerprint(workspace)

    def check(self, workspace: Path) -> list[str]:
        return self._masking().check(workspace)

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(1 + bytes_in / 10e6, 400_000_000, bytes_in)

    def run(self, work: Work, documents: Rows) -> Masked[Rows]:
        from sapwood.text import rows
        from sapwood.text.pii.ledger import Ledger
        from sapwood.text.placeholders import secret
        from sapwood.text.writer import Writer

        folder, stored = work.new("documents"), work.path(documents)
        ledger = Ledger.of(self._masking(), secret(work.sign) if self.stable else b"", work.workspace)
        with Writer(folder, rows.schema(stored)) as out, work.progress("mask", rows.count(stored)) as meter:
            for batch in rows.batches(stored):
                if work.stopping():
                    raise Interrupted("stopped while masking", "run the same command again")
                out.add_table(ledger.masked(batch, self.scope))
                meter.advance(batch.num_rows)
        return Masked(work.put(type(documents), folder), _report(work, ledger))

    def _masking(self) -> Masking:
        return Masking(types=self.types, stable=self.stable, keep=self.keep, maskers=self.maskers)


def _report(work: Work, ledger: Ledger) -> Report:
    from sapwood import report

    folder = work.new("report")
    data: dict[str, Any] = ledger.data()
    report.write(folder, "Personal data", ledger.summary(), data, ledger.blocks())
    work.say(ledger.summary())
    return work.put(Report, folder)
