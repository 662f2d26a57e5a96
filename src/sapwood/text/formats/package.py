"""Files that are zip archives of XML (docx, epub), opened with caps: nothing is written to disk and no path of theirs is followed.

XML is refused when it declares a document type with entities of its own: neither format needs them, and they are how a small file grows
into gigabytes or reads other files.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from typing import Any
from xml.etree import ElementTree as ET

from sapwood.errors import InputError

MOST_MEMBERS = 10_000
"""Members of one archive: a part for each page of the longest books, and room."""
LARGEST_RATIO = 300
ALWAYS_FINE = 32 << 20
"""As for packed files: below so many unpacked bytes in all, the ratio is not looked at."""
DEEPEST = 256
"""Levels of XML elements, the same limit that libxml2 has."""
ENTITY = re.compile(rb"<!ENTITY", re.IGNORECASE)
NOTHING = "check the file, and who made it"


class Package:
    """The members of one archive by name. Reading counts every unpacked byte against `most`."""

    def __init__(self, body: bytes, most: int) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(body))
        except (zipfile.BadZipFile, ValueError, OSError) as fault:
            raise InputError(f"damaged: no zip archive that can be opened ({fault})", "check that it was copied completely") from None
        self._left = most
        members = self._zip.infolist()
        if len(members) > MOST_MEMBERS:
            raise InputError(f"too many members: {len(members)} in the archive, the limit is {MOST_MEMBERS}", NOTHING)
        stated = sum(member.file_size for member in members)
        if stated > max(ALWAYS_FINE, len(body) * LARGEST_RATIO) or stated > most:
            raise InputError(f"zip bomb: {len(body)} bytes state that they unpack to {stated}", NOTHING)
        self.names = frozenset(member.filename for member in members)

    def member(self, name: str) -> bytes:
        """The bytes of one member. Raises `InputError` when it is missing, encrypted, damaged, or larger than its header states."""
        try:
            info = self._zip.getinfo(name)
            with self._zip.open(info) as stream:
                data = stream.read(min(info.file_size, self._left) + 1)
        except KeyError:
            raise InputError(f"damaged: no member {name!r} in the archive", NOTHING) from None
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as fault:
            reason = "encrypted" if "encrypted" in str(fault) else "damaged"
            raise InputError(f"{reason}: {name!r} cannot be unpacked ({fault})", NOTHING) from None
        if len(data) > info.file_size or len(data) > self._left:
            raise InputError(f"zip bomb: {name!r} unpacks to more than is stated or allowed", NOTHING)
        self._left -= len(data)
        return data

    def xml(self, name: str) -> ET.Element:
        """The root of an XML member. Raises `InputError` for entities, depth, and what is no XML."""
        data = self.member(name)
        refuse_entities(data, name)
        depth = 0
        parser: Any = ET.XMLPullParser(("start", "end"))
        root: ET.Element | None = None
        try:
            for at in range(0, len(data), 1 << 16):
                parser.feed(data[at : at + (1 << 16)])
                for event, element in parser.read_events():
                    root = element if root is None else root
                    depth += 1 if event == "start" else -1
                    if depth > DEEPEST:
                        raise InputError(f"nested too deep: more than {DEEPEST} levels in {name!r}", NOTHING)
            parser.close()
        except ET.ParseError as fault:
            raise InputError(f"damaged: {name!r} is no XML ({fault})", NOTHING) from None
        if root is None:
            raise InputError(f"damaged: {name!r} is empty", NOTHING)
        return root


def refuse_entities(data: bytes, name: str) -> None:
    """Raises `InputError` for an XML file with entities of its own, in UTF-8 and in UTF-16."""
    if ENTITY.search(data) or ENTITY.search(data.replace(b"\0", b"")):
        raise InputError(f"entities declared: {name!r} defines entities of its own, which are never expanded", NOTHING)
