"""Read a source into document rows, in batches, with memory that does not grow with the file.

Every fault is an `InputError` with the file, the line and what to do. A row that is blank is no document: it is counted, not kept.
Nothing is cleaned here: the text is what the source says, except for what the source's format adds to it (tags, spaces between words).
"""

from __future__ import annotations

import csv
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from itertools import batched, islice  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from sapwood.errors import InputError
from sapwood.text import decode, rows
from sapwood.text.sources import AnySource, Csv, Files, Jsonl, Lines, Say, Sqlite, collected_at, locate, members
