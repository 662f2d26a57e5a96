"""Documents of a folder of HTML pages, one for each heading, paragraph, list item or cell that has an id.

For text that exists in two languages with the same paths and ids, as manuals do: the stage `pair` joins them by meta.path and
meta.element. What it does NOT do: read elements without an id, or pages that are not HTML.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from sapwood.errors import InputError
from sapwood.text.formats.children import Children, Failed
from sapwood.text.formats.document import Job, Limits, format_of
from sapwood.text.sources import files
from sapwood.text.sources.source import Located, Reading, Row, changed_at


class Elements(Located):
    """One document an element with an id of the HTML pages of a folder. meta.path is the page, meta.element the id."""

    kind: Literal["elements"] = Field("elements", description="Headings, paragraphs, items and cells with an id, of HTML pages.")
    glob: str = Field("*.html", description="Which pages, by their path in the folder; * also crosses folders.")
    min_chars: int = Field(1, ge=1, description="Shortest text of an element, in characters; what is shorter is counted as left out.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.path) == bool(self.sample):
            raise ValueError("give either path, or sample (and file, for one folder of it)")
        return self

    def check(self, workspace: Path) -> list[str]:
        return self._pages.check(workspace)

    def fingerprint(self, workspace: Path) -> str | None:
        return self._pages.fingerprint(workspace)

    def size(self, workspace: Path) -> int:
        return self._pages.size(workspace)

    @property
    def _pages(self) -> files.Files:
        return files.Files(name=self.name, path=self.path, sample=self.sample, file=self.file, glob=self.glob)

    def rows(self, reading: Reading) -> Iterator[Row]:
        found = files.entries(self._pages, files.root_of(self._pages, reading.workspace, reading.say)).members
        pages = [one for one in found if format_of(one.inside) == "html"]
        if not pages:
            raise InputError(f"source {self.name}: no HTML page matches {self.glob}", "check path and glob")
        with Children(reading.workers, Limits()) as children:
            jobs = ((one, Failed(one.why) if one.why else Job("elements", one.file.name, str(one.file))) for one in pages)
            for one, answer in children.answers(jobs):
                if isinstance(answer, Failed):
                    reading.failed(one.inside, answer.why)
                else:
                    yield from self._of(one, answer.text, "" if self.language else answer.language, reading)  # the recipe knows better

    def _of(self, page: files.Member, lines: str, language: str, reading: Reading) -> Iterator[Row]:
        seen: set[str] = set()
        when = changed_at(self._pages, page.file)
        for line in lines.splitlines():
            name, text = json.loads(line)
            if name in seen:
                reading.skipped("an id for the second time in its page")
            elif len(text) < self.min_chars:
                reading.skipped("shorter than min_chars")
            else:
                yield Row(f"{page.inside}#{name}", text, {"path": page.inside, "element": name}, language=language, collected_at=when)
            seen.add(name)
