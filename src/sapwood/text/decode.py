"""Read text in bounded memory: find the encoding over the whole of it first, then stream its lines. Packed files are unpacked on the way.

UTF-8 (with or without a byte order mark) and UTF-16 with one are told by their form. GB18030 (with GBK and GB2312 inside it), Big5,
Shift-JIS and EUC-KR are told by how many of their characters are everyday ones: a right reading has .4 to .7 of them, a wrong one .05
at most on the texts tried. Windows-1252 (with Latin-1) counts only where charset-normalizer finds a western language in it and no sign
of another code page. What a page or a header says of its encoding is a hint, never proof. Everything else is refused with the place of
the first bad byte and what was tried, and never read into wrong characters silently; then say what it is with `encoding`. What is said of
a refused file begins with a constant word (`encoding`, `not text`, `too long`), so that reports count like faults together.

It does not tell the other single-byte code pages (Cyrillic, Greek, central European, Turkish) from each other, so it refuses them.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import AnyStr, BinaryIO, TextIO

from sapwood.errors import InputError
from sapwood.text import evidence
from sapwood.text.formats import compressed

CHUNK = 1 << 20
LONGEST_LINE = 10_000_000
"""Bytes of one line or one document: several times a long novel."""
DAMAGED_AFTER = 8
"""A file with this many multi-byte UTF-8 characters before its first fault is damaged UTF-8, not another encoding."""
SAMPLE = 1 << 16
"""Bytes of lines with non-ASCII characters that are looked at for evidence."""
WIDER = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
}
"""What a claim means in practice: the larger encoding that holds the claimed one, as browsers read it."""
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

Opener = Callable[[], BinaryIO]


def encoding_of(path: Path, longest_line: int = LONGEST_LINE, forced: str = "") -> str:
    """The name of the codec that reads every byte: `utf-8-sig`, `utf-16`, `gb18030`, `big5`, `cp932`, `cp949`, `cp1252`, or `forced`.

    Raises `InputError` for an empty or binary file, a line over `longest_line` bytes, or text in none of them.
    """
    with compressed.promised(path):
        return _encoding(path.name, lambda: compressed.opened(path), longest_line, forced)


@contextmanager
def opened(path: Path, encoding: str, newline: str = "\n") -> Iterator[TextIO]:
    """The file as text; a line ends where `newline` says, as for the built-in `open`."""
    with compressed.opened(path) as raw, io.TextIOWrapper(raw, encoding=encoding, newline=newline) as stream:
        yield stream


def lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its end). The file was checked by `encoding_of` before."""
    with opened(path, encoding) as stream:
        for number, line in enumerate(stream, 1):
            yield number, line.rstrip("\r\n")


def whole(path: Path, longest: int = LONGEST_LINE, forced: str = "") -> str:
    """The text of one file of at most `longest` bytes (unpacked), line ends as \\n."""
    with compressed.opened(path) as stream:
        data = stream.read(longest + 1)
    if len(data) > longest:
        raise InputError(f"{path.name}: too long: more than {longest} bytes in one document", "split it, or give it as lines")
    with compressed.promised(path):
        text = data.decode(_encoding(path.name, lambda: io.BytesIO(data), longest, forced))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def text_of(data: bytes, name: str, declared: str = "", forced: str = "") -> str:
    """Text of bytes from a page or a record. `declared` is what a header or `meta` claims: it decides only where the evidence is silent,
    and only if every byte fits. Raises `InputError` naming `name` where nothing fits."""
    if not data:
        return ""
    try:
        return data.decode(_encoding(name, lambda: io.BytesIO(data), len(data), forced))
    except InputError:
        claimed = WIDER.get(_codec(declared), _codec(declared))
        unlikely = claimed == "cp1252" and not evidence.looks_western(data[:SAMPLE])
        if forced or not claimed or claimed == "utf-8" or unlikely or b"\0" in data:
            raise
        try:
            return data.decode(claimed)
        except UnicodeDecodeError:
            pass
        raise


def known(encoding: str) -> bool:
    """Whether Python has a text codec of that name."""
    return bool(_codec(encoding))


def _codec(name: str) -> str:
    try:
        found = codecs.lookup(name.strip()) if name.strip() else None
    except (LookupError, ValueError):
        return ""
    return found.name if found is not None and found._is_text_encoding else ""


@dataclass
class _Survey:
    """What one pass over the bytes found. `fault`: offset and line of the first byte that is not UTF-8."""

    size: int = 0
    multibyte: int = 0
    fault: tuple[int, int] | None = None
    sample: bytes = b""


def _encoding(name: str, opener: Opener, longest_line: int, forced: str) -> str:
    with opener() as stream:
        head = stream.read(2)
    if not head:
        raise InputError(f"{name}: the file is empty", "check that it was written completely")
    if forced or head in UTF16:
        chosen = forced or "utf-16"
        if (wrong := _fault_in(chosen, name, opener, longest_line)) is not None:
            raise InputError(f"{name}: encoding: not {chosen} text: {wrong}", "check encoding, or cut the damaged part out")
        return chosen
    survey = _survey(name, opener, longest_line)
    if survey.fault is None:
        return "utf-8-sig"
    offset, line = survey.fault
    where = f"{name}: encoding: line {line}, byte {offset}"
    if survey.multibyte >= DAMAGED_AFTER:
        raise InputError(
            f"{where}: damaged UTF-8 text (neither UTF-8 nor another encoding from here on)", "cut the damaged part out, or copy it again"
        )
    chosen = evidence.encoding(survey.sample)
    if chosen and _fits(chosen, opener):
        return chosen
    raise InputError(
        f"{where}: neither UTF-8 nor, with enough evidence, {', '.join(evidence.TRIED)} text (a source's encoding: can be set)",
        "say what it is (encoding: NAME), convert it to UTF-8 (iconv -f ENCODING -t UTF-8), or cut the damaged part out",
    )


def _pieces(opener: Opener) -> Iterator[bytes]:
    with opener() as stream:
        while piece := stream.read(CHUNK):
            yield piece


def _survey(name: str, opener: Opener, longest_line: int) -> _Survey:
    found, decoder = _Survey(), codecs.getincrementaldecoder("utf-8")()
    line, length = 1, 0
    kept: list[bytes] = []
    for piece in _pieces(opener):
        if (at := piece.find(0)) >= 0:
            bad = line + piece.count(b"\n", 0, at)
            raise InputError(
                f"{name}: not text: line {bad}, byte {found.size + at}: a NUL byte, so this is no text file", "give a text file"
            )
        length = _check_lines(name, piece, line, length, longest_line)
        plain = piece.isascii()
        if found.fault is None and not (plain and not decoder.getstate()[0]):
            _look(found, decoder, piece, line)
        if not plain and sum(map(len, kept)) < SAMPLE:
            kept += _telling(piece)
        line += piece.count(b"\n")
        found.size += len(piece)
    pending = len(decoder.getstate()[0])
    if found.fault is None and pending:
        found.fault = (found.size - pending, line)
    found.sample = b"\n".join(kept)[:SAMPLE]
    return found


def _look(found: _Survey, decoder: codecs.IncrementalDecoder, piece: bytes, line: int) -> None:
    """Decode one piece as UTF-8; note the first fault, and count characters of three bytes and more until there are enough."""
    pending = len(decoder.getstate()[0])
    try:
        text = decoder.decode(piece)
    except UnicodeDecodeError as fault:
        found.fault = (found.size - pending + fault.start, line + piece.count(b"\n", 0, max(0, fault.start - pending)))
        text = fault.object[: fault.start].decode("utf-8")
    if found.multibyte < DAMAGED_AFTER and not text.isascii():
        found.multibyte += sum(character > "\u07ff" for character in text)


def _check_lines(name: str, piece: AnyStr, line: int, length: int, longest_line: int) -> int:
    """The length of the line that is open at the end of the piece; `InputError` for one that is too long."""
    end = piece[:0] + ("\n" if isinstance(piece, str) else b"\n")  # type: ignore[operator]
    last = piece.rfind(end)
    open_end = length + len(piece) if last < 0 else len(piece) - last - 1
    if max(length + len(piece), open_end) > longest_line:  # only then can any line be too long
        parts = piece.split(end)
        lengths = [len(part) + (length if number == 0 else 0) for number, part in enumerate(parts)]
        if (bad := next((number for number, found in enumerate(lengths) if found > longest_line), None)) is not None:
            raise InputError(
                f"{name}: too long: line {line + bad} is longer than {longest_line} bytes",
                "break the line, or use kind: files for long documents",
            )
    return open_end


def _telling(piece: bytes) -> Iterator[bytes]:
    """Lines with bytes that are not ASCII. No encoding tried here has a line end inside a character."""
    return (line[:4096] for line in piece.split(b"\n") if not line.isascii())


def _fits(encoding: str, opener: Opener) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for piece in _pieces(opener):
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _fault_in(encoding: str, name: str, opener: Opener, longest_line: int) -> str | None:
    """What is wrong with the bytes as text in this encoding, or None. Lines are measured in characters."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, length = 1, 0
    try:
        for piece in _pieces(opener):
            text = decoder.decode(piece)
            if (at := text.find("\0")) >= 0:
                return f"line {line + text.count(chr(10), 0, at)} has a NUL character"
            length = _check_lines(name, text, line, length, longest_line)
            line += text.count("\n")
        decoder.decode(b"", final=True)
    except (UnicodeError, ValueError) as fault:
        return f"line {line} or after: {fault}"
    return None
