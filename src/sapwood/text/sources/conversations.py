"""Conversations of YAML or JSON files: lists of turns, the user's and the assistant's by turns, as the ChatterBot corpus has them.

A file is a list of conversations, or a mapping that has them under `conversations`; a conversation is a list of texts. `meta.messages` takes
the conversation as JSON, [{"role", "content"}, ...], up to its last answer; the text of the document is its turns, one a line, so that
de-duplication and splits see all of it. What it does NOT do: more than two speakers, and who begins where a file does not say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from sapwood.errors import InputError
from sapwood.samples import fetch as samples
from sapwood.samples.table import sample as sample_entry
from sapwood.text.sources.source import Located, Reading, Row, changed_at, place

LARGEST = 50_000_000
"""Bytes of one file: its whole tree is held in memory."""
ENDINGS = (".yml", ".yaml", ".json")


class Conversations(Located):
    """One document a conversation of YAML or JSON files, with meta.messages as the task `chat` reads it."""

    kind: Literal["conversations"] = Field("conversations", description="Lists of turns in .yml, .yaml and .json files.")
    glob: str = Field("*", description="Which files of a folder, by name.")
    most_turns: int = Field(20, ge=2, description="Longest conversation, in turns; a longer one is counted as left out.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.path) == bool(self.sample):
            raise ValueError("give either path, or sample (and file, for one file or folder of it)")
        return self

    def check(self, workspace: Path) -> list[str]:
        if self.sample:
            held = sample_entry(self.sample).holds(self.file) if self.file else True
            return [] if held else [f"source {self.name}: sample {self.sample} has no {self.file}"]
        try:
            _files(self, place(self, workspace, folder=(workspace / self.path).is_dir()))
        except InputError as fault:
            return [f"{fault.what}; {fault.next_step}"]
        return []

    def fingerprint(self, workspace: Path) -> str | None:
        if self.sample:
            return samples.fingerprint(self.sample)
        import hashlib

        hasher, root = hashlib.sha256(), place(self, workspace, folder=(workspace / self.path).is_dir())
        for file in _files(self, root):
            hasher.update(f"{file.name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
        return hasher.hexdigest()

    def size(self, workspace: Path) -> int:
        if self.sample:
            return sample_entry(self.sample).bytes
        return sum(file.stat().st_size for file in _files(self, place(self, workspace, folder=(workspace / self.path).is_dir())))

    def rows(self, reading: Reading) -> Iterator[Row]:
        if self.sample:
            root = samples.fetch(self.sample, reading.say) / self.file
        else:
            root = place(self, reading.workspace, folder=(reading.workspace / self.path).is_dir())
        for file in _files(self, root):
            when = changed_at(self, file)
            for number, turns in enumerate(_conversations(file)):
                told = _messages(turns)
                if told is None:
                    reading.failed(f"{file.name}#{number}", "not a conversation: a list of texts is asked for")
                elif len(told) < 2:
                    reading.skipped("no answer")
                elif len(told) > self.most_turns:
                    reading.skipped("more turns than most_turns")
                else:
                    meta = {"messages": json.dumps(told, ensure_ascii=False), "file": file.stem}
                    yield Row(f"{file.name}#{number}", "\n".join(one["content"] for one in told), meta, collected_at=when)


def _files(source: Conversations, root: Path) -> list[Path]:
    """The files to read, sorted by name."""
    found = [root] if root.is_file() else sorted(one for one in root.iterdir() if one.is_file() and not one.is_symlink())
    kept = [one for one in found if one.suffix in ENDINGS and fnmatch(one.name, source.glob)]
    if not kept:
        raise InputError(f"source {source.name}: no file ({', '.join(ENDINGS)}) matches {source.glob}", "check path and glob")
    if large := next((one.name for one in kept if one.stat().st_size > LARGEST), None):
        raise InputError(f"source {source.name}: {large} is over {LARGEST // 1_000_000} MB", "write it as JSON lines and use kind: jsonl")
    return kept


def _conversations(file: Path) -> list[Any]:
    import yaml

    try:
        text = file.read_text(encoding="utf-8")
        found = json.loads(text) if file.suffix == ".json" else yaml.load(text, yaml.CSafeLoader)
    except (ValueError, yaml.YAMLError) as fault:
        raise InputError(f"{file.name}: cannot be read ({str(fault).splitlines()[0]})", "mend the file") from None
    listed = found.get("conversations") if isinstance(found, dict) else found
    if not isinstance(listed, list):
        raise InputError(f"{file.name}: no list of conversations in it", "write a list of lists of texts")
    return listed


def _messages(turns: Any) -> list[dict[str, str]] | None:
    """The messages up to the last answer; None where these are no turns. A turn without text ends the conversation."""
    if not isinstance(turns, list) or any(isinstance(turn, dict | list) for turn in turns):
        return None
    texts = [("" if turn is None else str(turn)).strip() for turn in turns]
    whole = texts[: texts.index("")] if "" in texts else texts
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(whole[: len(whole) // 2 * 2])]
