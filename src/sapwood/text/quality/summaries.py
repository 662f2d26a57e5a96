"""What `measure` reports: languages and their varieties, and the spread of each statistic by language.

Quantiles come from a sample of 2,000 rows a language, taken as the rows pass at distances that double, so that memory is bounded and the
same rows give the same report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sapwood import report
from sapwood.text.quality import boilerplate, statistics

SAMPLE = 2000
MOST_LANGUAGES = 8
QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)


class Summary:
    """Counts rows as they pass."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names, self.languages, self.varieties = tuple(names), Counter[str](), Counter[str]()
        self._rows: dict[str, list[list[float]]] = {}
        self._step: Counter[str] = Counter()

    def add(self, codes: Sequence[str], kinds: Sequence[str], stats: Mapping[str, Any]) -> None:
        table = np.column_stack([stats[name] for name in self.names])
        for place, (code, kind) in enumerate(zip(codes, kinds, strict=True)):
            step, seen = self._step[code] or 1, self.languages[code]
            self.languages[code] += 1
            self.varieties[kind or code] += 1
            if seen % step == 0:
                held = self._rows.setdefault(code, [])
                held.append(table[place].tolist())
                if len(held) >= 2 * SAMPLE:
                    self._rows[code], self._step[code] = held[::2], 2 * step

    def line(self) -> str:
        found = ", ".join(f"{count:,} {code}" for code, count in self.languages.most_common(MOST_LANGUAGES))
        return f"{self.languages.total():,} rows measured" + (f": {found}." if found else ".")

    def quantiles(self) -> dict[str, dict[str, list[float]]]:
        """By language and statistic: 1 %, 10 %, median, 90 %, 99 %."""
        found = {}
        for code, _ in self.languages.most_common(MOST_LANGUAGES):
            spread = np.quantile(np.array(self._rows[code]), QUANTILES, axis=0)
            found[code] = {name: [round(float(value), 4) for value in spread[:, place]] for place, name in enumerate(self.names)}
        return found

    def write(self, folder: Path, changes: Counter[str], lines: boilerplate.Lines | None) -> None:
        spread, changed = self.quantiles(), dict(sorted(changes.items()))
        listed = [list(one) for one in lines.counted] if lines else []
        numbers = {"languages": dict(sorted(self.languages.items())), "varieties": dict(sorted(self.varieties.items()))}
        data = {"rows": self.languages.total(), **numbers, "quantiles": spread, "changes": changed, "boilerplate": listed}
        columns = ["statistic", "1 %", "10 %", "median", "90 %", "99 %", "what it is"]
        blocks = [
            report.table("Languages", ["language or variety", "rows"], self.varieties.most_common()),
            *([report.table("What was changed", ["change", "times"], list(changed.items()))] if changed else []),
            *([report.table("Boilerplate that was taken out", ["source", "line", "documents"], listed)] if listed else []),
            *[
                report.table(
                    f"Statistics of {code}",
                    columns,
                    [
                        [name, *values, statistics.DESCRIBED.get(name, "hits of the word list per 1,000 units")]
                        for name, values in by.items()
                    ],
                )
                for code, by in spread.items()
            ],
        ]
        report.write(folder, "Measured text", self.line(), data, blocks)
