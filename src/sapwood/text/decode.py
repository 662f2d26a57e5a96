"""Read text files in bounded memory: find the encoding over the whole file first, then stream its lines.

UTF-8 (with or without a byte order mark) and GB18030 (with GBK and GB2312 inside it) are told apart; nothing else is guessed: a file in
Big5, Shift-JIS or Latin-1 is refused with the place of the first bad byte, and never read into wrong characters silently. A short GB18030
file of rare characters only can be refused too; then say what it is with `encoding`.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from sapwood.errors import InputError

CHUNK = 1 << 20
LONGEST_LINE = 10_000_000
DAMAGED_AFTER = 8
"""A file with this many multi-byte UTF-8 characters before its first fault is damaged UTF-8, not GB18030."""
COMMON_SHARE = 0.6
"""Chinese in GB18030 has nearly all of its characters in GB2312; other bytes read as GB18030 mostly do not."""


def encoding_of(path: Path, longest_line: int = LONGEST_LINE) -> str:
    """`utf-8-sig` or `gb18030`, after reading every byte once.

    Raises `InputError` for an empty or binary file, a line over `longest_line` bytes, or text in neither encoding.
    """
    _check_bytes(path, longest_line)
    fault = _utf8_fault(path)
    if fault is None:
        return "utf-8-sig"
    offset, seen = fault
    if seen < DAMAGED_AFTER and _is_gb18030(path):
        return "gb18030"
    line = _line_of(path, offset)
    raise InputError(
        f"{path.name}: line {line}, byte {offset}: neither UTF-8 nor GB18030 text",
        "convert the file to UTF-8 (iconv -f ENCODING -t UTF-8), or cut the damaged line out",
    )


def lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its end). The file was checked by `encoding_of` before."""
    with path.open(encoding=encoding, newline="\n") as stream:
        for number, line in enumerate(stream, 1):
            yield number, line.rstrip("\r\n")


def whole(path: Path, longest: int = LONGEST_LINE) -> str:
    """The text of one file of at most `longest` bytes, line ends as \\n."""
    if (size := path.stat().st_size) > longest:
        raise InputError(f"{path.name}: {size} bytes, the longest document is {longest}", "split it, or give it as lines")
    return path.read_text(encoding=encoding_of(path, longest))


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK):
            yield piece


def _check_bytes(path: Path, longest_line: int) -> None:
    line, length, offset = 1, 0, 0
    for piece in _pieces(path):
        if offset == 0 and piece[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise InputError(f"{path.name}: this is UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8")
        if (at := piece.find(0)) >= 0:
            bad = line + piece.count(b"\n", 0, at)
            raise InputError(f"{path.name}: line {bad}, byte {offset + at}: a NUL byte, so this is no text file", "give a text file")
        parts = piece.split(b"\n")
        for position, part in enumerate(parts):
            length = length + len(part) if position == 0 else len(part)
            if length > longest_line:
                raise InputError(
                    f"{path.name}: line {line} is longer than {longest_line} bytes", "break the line, or use kind: files for long documents"
                )
            line += position < len(parts) - 1
        offset += len(piece)
    if offset == 0:
        raise InputError(f"{path.name}: the file is empty", "check that it was written completely")


def _utf8_fault(path: Path) -> tuple[int, int] | None:
    """(offset of the first byte that is not UTF-8, multi-byte characters before it), or None when all is UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = seen = 0
    for piece in _pieces(path):
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(piece)
        except UnicodeDecodeError as fault:
            seen += _multibyte(fault.object[: fault.start].decode("utf-8"))
            return offset - pending + fault.start, seen
        seen += 0 if text.isascii() else _multibyte(text)
        offset += len(piece)
    pending = len(decoder.getstate()[0])
    return (offset - pending, seen) if pending else None


def _multibyte(text: str) -> int:
    return sum(character > "\u07ff" for character in text)


def _is_gb18030(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("gb18030")()
    wide = common = 0
    try:
        for piece in _pieces(path):
            text = "".join(c for c in decoder.decode(piece) if not c.isascii())
            wide += len(text)
            common += len(text.encode("gb2312", "ignore")) // 2
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return common >= COMMON_SHARE * wide


def _line_of(path: Path, offset: int) -> int:
    line, read = 1, 0
    for piece in _pieces(path):
        line += piece[: max(0, offset - read)].count(b"\n")
        read += len(piece)
        if read >= offset:
            break
    return line
