"""Word documents (docx) to text through python-docx: paragraphs and tables in their order, one line a paragraph, tabs between cells.

Headers, footers, comments, footnotes, text boxes and deleted text of tracked changes are left out. The older `.doc` is not read.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from sapwood.errors import InputError
from sapwood.text.formats.document import LONGEST, Limits, Parsed
from sapwood.text.formats.package import NOTHING, Package, refuse_entities

BODY = "word/document.xml"
DEEPEST_TABLE = 20
"""Tables inside of tables."""


def read(body: bytes, limits: Limits) -> Parsed:
    """The document's text; meta.paragraphs. Raises `InputError` for what is no readable docx."""
    import docx

    package = Package(body, limits.bytes)
    for name in sorted(package.names):
        if name.endswith((".xml", ".rels")):
            refuse_entities(package.member(name), name)
    if BODY in package.names:
        package.xml(BODY)  # its depth
    try:
        opened = docx.Document(io.BytesIO(body))
    except (KeyError, ValueError, AttributeError, SyntaxError) as fault:  # lxml's error is a SyntaxError
        raise InputError(f"damaged: no Word document that can be opened ({fault})", NOTHING) from None
    lines, length = [], 0
    for line in _lines(opened, 0):
        length += len(line) + 1
        if length > LONGEST:
            raise InputError(f"too long: more than {LONGEST} characters in one document", "split it")
        lines.append(line)
    text = "\n".join(lines).strip("\n")
    if not text.strip():
        raise InputError("no text: the document's body is empty", "check the file")
    properties = opened.core_properties
    return Parsed(text, " ".join((properties.title or "").split())[:500], properties.language or "", {"paragraphs": str(len(lines))})


def _lines(container: Any, depth: int) -> Iterator[str]:
    if depth > DEEPEST_TABLE:
        raise InputError(f"nested too deep: more than {DEEPEST_TABLE} tables inside of each other", NOTHING)
    for item in container.iter_inner_content():
        if hasattr(item, "rows"):
            for row in item.rows:
                yield "\t".join(" ".join(line for line in _lines(cell, depth + 1) if line) for cell in _cells(row))
        else:
            yield item.text.rstrip()


def _cells(row: Any) -> list[Any]:
    """The row's cells, each once: python-docx gives a cell that spans columns for every one of them."""
    cells: list[Any] = []
    for cell in row.cells:
        if not cells or cell._tc is not cells[-1]._tc:
            cells.append(cell)
    return cells
