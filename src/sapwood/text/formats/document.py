"""The contract of a format: one file, or the bytes of one, becomes the text of one document, or an `InputError` that says why not.

The message begins with a short reason that is the same for like faults (`damaged`, `encrypted`, `too large`), then a colon and the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sapwood.errors import InputError, MissingExtra
from sapwood.text import decode
from sapwood.text.formats import compressed


class Limits(NamedTuple):
    """Caps on one file. `bytes` unpacked, `pages` of a PDF, `seconds` on the clock, `memory` bytes of address space of the child process."""

    bytes: int = 200_000_000
    pages: int = 20_000
    seconds: float = 60.0
    memory: int = 1 << 30


class Parsed(NamedTuple):
    """What a format found. `language` is what the file declares of itself, or empty."""

    text: str
    title: str = ""
    language: str = ""
    meta: Mapping[str, str] = {}


class Job(NamedTuple):
    """One thing to read: a file, or a body that is at hand. `declared`: the encoding a header claims; `forced`: the one the user says."""

    format: str
    name: str
    path: str = ""
    body: bytes = b""
    declared: str = ""
    forced: str = ""


SUFFIXES: Mapping[str, str] = {
    ".txt": "text",
    ".md": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
    ".docx": "docx",
    ".epub": "epub",
}
"""Suffix of a file, after that of its packing was taken off, to the format that reads it."""
NEEDS: Mapping[str, tuple[str, str]] = {"pdf": ("pypdfium2", "pypdfium2"), "docx": ("docx", "python-docx")}
"""Format to the module and the package it needs; both come with the extra `sources`."""
LONGEST = decode.LONGEST_LINE
"""Characters of one document."""


def format_of(name: str) -> str:
    """The format of a file by its name, `manual.html.gz` too; "" for one that is not read."""
    path = PurePosixPath(name.lower())
    if path.suffix in compressed.SUFFIXES:
        path = path.with_suffix("")
    return SUFFIXES.get(path.suffix, "")


def missing(formats: set[str], names: set[str]) -> MissingExtra | None:
    """The error for the first package that these formats, or the packing of these files, need and that is not installed."""
    for format, (module, package) in NEEDS.items():
        if format in formats and find_spec(module) is None:
            return MissingExtra(package, "sources", f"reading .{format} files")
    if any(name.lower().endswith(".zst") for name in names) and find_spec("zstandard") is None:
        return MissingExtra("zstandard", "sources", "reading .zst files")
    return None


def read(job: Job, limits: Limits) -> Parsed:
    """Read one job in this process. Raises `InputError`; what a hostile file can do beyond that, `children` contains."""
    if job.format == "text":
        return _text(job)
    if job.format == "html":
        return _html(job, limits)
    reader = import_module(f"sapwood.text.formats.{job.format}")
    body = job.body or compressed.read_all(Path(job.path), limits.bytes)
    with compressed.promised(Path(job.path)) if job.path else nullcontext():
        parsed: Parsed = reader.read(body, limits)
    return checked(parsed)


def checked(parsed: Parsed) -> Parsed:
    """The document with half surrogate pairs and NULs replaced by U+FFFD. Raises `InputError` for text over `LONGEST` characters."""
    if len(parsed.text) > LONGEST:
        raise InputError(f"too long: {len(parsed.text)} characters in one document, the most is {LONGEST}", "split it")
    return Parsed(sound(parsed.text), sound(parsed.title), parsed.language, parsed.meta)


def sound(text: str) -> str:
    """Text that any file can hold. JSON and XML can carry half a surrogate pair."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if not text.isascii() else text


def _text(job: Job) -> Parsed:
    if job.path:
        path = Path(job.path)
        return Parsed(decode.whole(path, LONGEST, job.forced) if path.stat().st_size else "")
    return checked(Parsed(decode.text_of(job.body, job.name, job.declared, job.forced)))


def _html(job: Job, limits: Limits) -> Parsed:
    from sapwood.text.formats import html

    body = job.body or compressed.read_all(Path(job.path), limits.bytes)
    with compressed.promised(Path(job.path)) if job.path else nullcontext():
        page = html.read(decode.text_of(body, job.name, job.declared or html.declared_charset(body), job.forced))
    return checked(Parsed(page.text, page.title, page.language))
