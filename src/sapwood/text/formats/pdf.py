"""PDF to text through pypdfium2: the text layer, page by page. A scanned page has none: nothing is recognised from images.

Lines stay as they are on the page, so a word that is hyphenated at the end of a line stays in two parts, and columns come in the order
in which the file has them.
"""

from __future__ import annotations

from typing import Any

from sapwood.errors import InputError
from sapwood.text.formats.document import LONGEST, Limits, Parsed


def read(body: bytes, limits: Limits) -> Parsed:
    """The pages' text, a blank line between pages; meta.pages. Raises `InputError` for damaged, encrypted, scanned and over-long files."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(body)
    except pypdfium2.PdfiumError as fault:
        if "password" in str(fault).lower():
            raise InputError("encrypted: a password is needed", "remove the password first") from None
        raise InputError(f"damaged: no PDF that can be opened ({fault})", "check that it was copied completely") from None
    try:
        return _parsed(document, limits)
    finally:
        document.close()


def _parsed(document: Any, limits: Limits) -> Parsed:
    count = len(document)
    if count > limits.pages:
        raise InputError(f"too many pages: {count}, the limit is {limits.pages}", "raise max_pages, or split it")
    pages, length, faults = [], 0, 0
    for number in range(count):
        try:
            text = _page(document, number)
        except Exception as fault:  # the library's own error for one page, whose class is not loaded here
            faults += 1
            if faults > count // 2:
                raise InputError(f"damaged: {faults} of {count} pages cannot be read ({fault})", "check the file") from None
            continue
        length += len(text)
        if length > LONGEST:
            raise InputError(f"too long: more than {LONGEST} characters in one document", "split it")
        pages.append(text)
    body = "\n\n".join(page for page in pages if page)
    if not body:
        raise InputError(f"no text: {count} pages hold images only", "recognise the text first (OCR)")
    meta = {"pages": str(count), **({"pages_damaged": str(faults)} if faults else {})}
    return Parsed(body, _title(document), "", meta)


def _page(document: Any, number: int) -> str:
    page = document[number]
    try:
        text = page.get_textpage()
        try:
            found = str(text.get_text_bounded())
        finally:
            text.close()
    finally:
        page.close()
    lines = found.replace("\r\n", "\n").replace("\r", "\n").replace("\ufffe", "-").split("\n")  # U+FFFE: a hyphen at the end of a line
    return "\n".join(line.rstrip() for line in lines).strip()


def _title(document: Any) -> str:
    return " ".join(str(document.get_metadata_dict().get("Title") or "").split())[:500]
