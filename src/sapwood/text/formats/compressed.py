"""Open a file that may be packed with gzip, bzip2, xz or zstandard, told by its first bytes; one layer is unpacked, in bounded memory.

A file whose name says that it is packed and whose first bytes are no packing's is read as it is; where that fails, it is named damaged.

A packed file that grows out of proportion is a bomb and is refused while it is being read, before much of it was unpacked.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from sapwood.errors import InputError, MissingExtra

SUFFIXES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstandard"}
"""Suffix of a packed file to the packing that its name promises."""
MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
)
BZIP2_BLOCK = (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")
"""What follows `BZh` and a digit: a text may begin with those four letters."""
LARGEST_RATIO = 300
"""Times its packed size. Prose packs to a third or a fifth; a gzip bomb of spaces measured here unpacks to 1,030 times its size."""
ALWAYS_FINE = 32 << 20
"""Unpacked bytes below which the ratio is not looked at: a small file of one repeated word does no harm."""
LARGEST_UNPACKED = 64 << 30
"""Bytes. Past this a source belongs into several files."""
LARGEST_WINDOW = 128 << 20
"""Bytes of memory that unpacking may ask for; `xz -9` needs 65 MB, `zstd --ultra -22` 128 MB."""
PIECE = 1 << 18


def packing(path: Path) -> str:
    """gzip, bzip2, xz, zstandard, or "" for a file that is none of them."""
    with path.open("rb") as stream:
        head = stream.read(10)
    for magic, name in MAGIC:
        if head.startswith(magic) and (name != "bzip2" or head[4:] in BZIP2_BLOCK):
            return name
    return ""


def opened(path: Path) -> BinaryIO:
    """The file's bytes, unpacked. Reading raises `InputError` for damaged data and for bombs, `MissingExtra` without zstandard."""
    kind = packing(path)
    if not kind:
        return path.open("rb")
    raw = path.open("rb")
    try:
        return io.BufferedReader(_Unpacked(path, kind, raw), PIECE)
    except BaseException:
        raw.close()
        raise


@contextmanager
def promised(path: Path) -> Iterator[None]:
    """A context for reading one file: an `InputError` in it names the damaged packing, where the name promises one that the file's first
    bytes are not. An empty file has nothing damaged."""
    try:
        yield
    except InputError as fault:
        kind = SUFFIXES.get(path.suffix.lower())
        if not kind or packing(path) or not path.stat().st_size:
            raise
        raise InputError(
            f"{path.name}: damaged {kind} data: it does not begin as {kind} does; as it is: {fault.what.removeprefix(f'{path.name}: ')}",
            f"copy it again, or take {path.suffix} off its name if it was never packed",
        ) from None


def read_all(path: Path, most: int) -> bytes:
    """All bytes, unpacked. Raises `InputError` when there are more than `most`."""
    with opened(path) as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise InputError(f"too large: more than {most} bytes", "raise the limit of the source, or split the file")
    return data


class _Unpacked(io.RawIOBase):
    """Raw bytes of one packed file, counted while they come."""

    def __init__(self, path: Path, kind: str, raw: IO[bytes]) -> None:
        self._path, self._kind, self._raw = path, kind, raw
        self._packed, self._count = path.stat().st_size, 0
        self._stream: Any = OPENERS[kind](raw)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(min(len(buffer), PIECE))
        except (EOFError, OSError, zlib.error, lzma.LZMAError, ValueError) as fault:
            raise self._refused(f"damaged {self._kind} data: {fault}") from None
        except Exception as fault:  # zstandard's own error, whose class exists only where the extra is installed
            raise self._refused(f"damaged {self._kind} data: {fault}") from None
        self._count += len(data)
        if self._count > max(ALWAYS_FINE, self._packed * LARGEST_RATIO) or self._count > LARGEST_UNPACKED:
            raise self._refused(f"{self._kind} bomb: {self._packed} bytes unpack to more than {self._count}")
        buffer[: len(data)] = data
        return len(data)

    def _refused(self, what: str) -> InputError:
        return InputError(f"{self._path.name}: {what}", "check that the file was copied completely, and who made it")

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Xz:
    """`lzma.LZMAFile` takes no limit of memory, so its loop is written here; streams that follow each other are one."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._decoder = lzma.LZMADecompressor(memlimit=LARGEST_WINDOW)

    def read(self, size: int) -> bytes:
        while True:
            if self._decoder.eof:
                rest = self._decoder.unused_data.lstrip(b"\0") or self._raw.read(PIECE).lstrip(b"\0")  # padding is zeros
                if not rest:
                    return b""
                self._decoder = lzma.LZMADecompressor(memlimit=LARGEST_WINDOW)
            elif self._decoder.needs_input:
                rest = self._raw.read(PIECE)
                if not rest:
                    raise EOFError("the data ends before its end mark")
            else:
                rest = b""
            if data := self._decoder.decompress(rest, size):
                return data


class _Zstandard:
    """The library's own stream reader takes a frame that was cut for one that ended, so frames are counted here."""

    PIECE = 1 << 10  # 4 bytes can stand for a block of 128 KB: so many give 32 MB at most in one go

    def __init__(self, raw: IO[bytes]) -> None:
        try:
            import zstandard
        except ImportError:
            raise MissingExtra("zstandard", "sources", "reading .zst files") from None
        self._raw, self._decoder = raw, zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW)
        self._frame: Any = None
        self._left, self._ready = b"", io.BytesIO()

    def read(self, size: int) -> bytes:
        while not (data := self._ready.read(size)):
            packed, self._left = self._left or self._raw.read(self.PIECE), b""
            if not packed:
                if self._frame is not None:
                    raise EOFError("the data ends inside a frame")
                return b""
            self._frame = self._frame or self._decoder.decompressobj()
            self._ready = io.BytesIO(self._frame.decompress(packed))
            if self._frame.eof:
                self._left, self._frame = self._frame.unused_data, None
        return data


OPENERS: dict[str, Callable[[IO[bytes]], Any]] = {
    "gzip": lambda raw: gzip.GzipFile(fileobj=raw),
    "bzip2": lambda raw: bz2.BZ2File(raw),
    "xz": _Xz,
    "zstandard": _Zstandard,
}
