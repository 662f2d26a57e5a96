"""Web archives (WARC, WET): one document a record of HTML, plain text or PDF, with the address and time that the record states.

Records of other types, other answers than 200, and revisits are counted and left out. Pages are parsed in child processes. A damaged
record ends its file, since nothing says where the next one begins; what was read before it stays. Memory: 100 bytes a record.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from pydantic import Field

from sapwood.errors import InputError, MissingExtra, SapwoodError
from sapwood.text.formats import compressed
from sapwood.text.formats.children import Children, Failed
from sapwood.text.formats.document import NEEDS, Job, Limits
from sapwood.text.sources import folders
from sapwood.text.sources.source import Located, Reading, Row, locate

SUFFIXES = tuple(f".{kind}{packed}" for kind in ("warc", "wet") for packed in ("", *compressed.SUFFIXES))
FORMATS = {"text/html": "html", "application/xhtml+xml": "html", "text/plain": "text", "application/pdf": "pdf"}
LARGEST_HEADER = 64 << 10


class Record(NamedTuple):
    """Where a document is from. `locator` is the record's own id, or the file and offset where it has none."""

    locator: str
    url: str = ""
    time: str = ""


class _Stream:
    """Unpacked bytes for fastwarc, which asks where it is by seeking nowhere, and panics when it cannot."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw, self._place = raw, 0

    def read(self, size: int = -1) -> bytes:
        data = self._raw.read(size)
        self._place += len(data)
        return data

    def tell(self) -> int:
        return self._place

    def close(self) -> None:
        self._raw.close()

    def seek(self, offset: int, whence: int = 0) -> int:
        if (offset, whence) not in ((0, 1), (self._place, 0)):
            raise OSError("the stream cannot be wound")
        return self._place


class Warc(Located):
    """One document a page of a web archive."""

    kind: Literal["warc"] = Field("warc", description="Pages of web archives (.warc, .wet; packed or not), a file or a folder of them.")
    max_mb: int = Field(20, ge=1, le=2000, description="Largest page, in MB; a larger one is a recorded failure.")
    max_seconds: float = Field(60, gt=0, le=3600, description="Longest time to parse one page, in seconds.")

    def check(self, workspace: Path) -> list[str]:
        if self.sample:
            found = super().check(workspace)
        else:
            try:
                self._files(workspace)
                found = []
            except SapwoodError as fault:
                found = [f"{fault.what}; {fault.next_step}"]
        if find_spec("fastwarc") is None:
            absent = MissingExtra("fastwarc", "sources", "reading web archives")
            found.append(f"source {self.name}: {absent.what}; {absent.next_step}")
        return found

    def fingerprint(self, workspace: Path) -> str | None:
        return super().fingerprint(workspace) if self.sample else folders.digest(self._files(workspace))

    def size(self, workspace: Path) -> int:
        return super().size(workspace) if self.sample else folders.size(self._files(workspace))

    def rows(self, reading: Reading) -> Iterator[Row]:
        files = [(self.file, locate(self, reading))] if self.sample else self._files(reading.workspace)
        limits = Limits(self.max_mb * 1_000_000, seconds=self.max_seconds)
        seen: set[bytes] = set()
        with Children(reading.workers, limits) as children:
            for record, answer in children.answers(job for inside, file in files for job in _jobs(self, inside, file, reading)):
                if isinstance(answer, Failed):
                    reading.failed(record.locator, answer.why)
                elif (key := record.locator.encode()) in seen:
                    reading.failed(record.locator, "repeated: another record has the same id")
                else:
                    seen.add(key)
                    meta = {**answer.meta, **({"title": answer.title} if answer.title else {})}
                    yield Row(record.locator, answer.text, meta, record.url, answer.language, collected_at=record.time)

    def _files(self, workspace: Path) -> folders.Listed:
        return folders.listed(self, folders.at(self, workspace), SUFFIXES)


def _jobs(source: Warc, inside: str, file: Path, reading: Reading) -> Iterator[tuple[Record, Job | Failed]]:
    """What to parse of one archive, in its order; an archive that breaks off is one failure."""
    if find_spec("fastwarc") is None:
        raise MissingExtra("fastwarc", "sources", "reading web archives")
    count = 0
    try:
        with compressed.opened(file) as raw:
            for record in _records(raw):
                count += 1
                if (job := _job(source, inside, record, reading)) is not None:
                    yield job
        if not count:
            raise InputError("damaged: it holds no record", "check that it was copied completely")
    except (OSError, ValueError) as fault:
        yield Record(inside), Failed(f"damaged: the archive breaks off after {count} records ({str(fault)[:200]})")
    except InputError as fault:
        yield Record(inside), Failed(fault.what.removeprefix(f"{file.name}: "))


def _records(raw: BinaryIO) -> Iterator[Any]:
    """The archive's records. Raises `OSError` and `ValueError` for a damaged one."""
    from fastwarc.warc import ArchiveIterator

    try:
        yield from ArchiveIterator(_Stream(raw), parse_http=False, stream_detect=False)
    except BaseException as fault:
        if type(fault).__name__ != "PanicException":  # how a fault inside of a library in Rust shows itself
            raise
        raise ValueError(f"the reader gave up: {fault}") from None


def _job(source: Warc, inside: str, record: Any, reading: Reading) -> tuple[Record, Job | Failed] | None:
    from fastwarc.warc import WarcRecordType

    if record.record_type not in (WarcRecordType.response, WarcRecordType.resource, WarcRecordType.conversion):
        reading.skipped("no page: another type of record")
        return None
    record.parse_http(auto_decode="all", max_header_len=LARGEST_HEADER)
    time = record.record_date.astimezone(UTC).replace(microsecond=0).isoformat() if record.record_date else ""
    ident = str(record.record_id or "").strip("<>")
    found = Record(ident or f"{inside}#{record.stream_pos}", record.headers.get("WARC-Target-URI") or "", time)
    http = record.http_headers
    if http is not None and http.status_code != 200:
        reading.skipped("no page: the answer was not 200")
        return None
    stated = record.http_content_type if http is not None else record.headers.get("Content-Type")
    kind = (stated or "").partition(";")[0].strip().lower()
    format = FORMATS.get(kind, "")
    if not format or (format in NEEDS and find_spec(NEEDS[format][0]) is None):
        reading.skipped("no page: not HTML, text or PDF")
        return None
    body = record.reader.read(source.max_mb * 1_000_000 + 1)
    if len(body) > source.max_mb * 1_000_000:
        return found, Failed(f"too large: the page has more than {source.max_mb} MB (max_mb)")
    if not body.strip():
        reading.skipped("blank")
        return None
    return found, Job(format, found.url or found.locator, body=bytes(body), declared=record.http_charset or "")
