"""A PEP 517 build back end that reads an archive's name and version and runs none of its code.

`pip download` asks a back end for the metadata of a source archive, and the usual one executes the archive's `setup.py`. Put in front
of it under the name `setuptools`, this one answers from the archive's `PKG-INFO`. It imports the standard library only, because pip
starts it in its own process. It does not help for an archive whose `pyproject.toml` names another back end: such an archive needs its
own look before it enters the table.
"""

from __future__ import annotations

from email.parser import Parser
from pathlib import Path
from typing import Any


class Bare:
    """What setuptools calls `setuptools.build_meta:__legacy__`."""

    def get_requires_for_build_wheel(self, config_settings: Any = None) -> list[str]:
        return []

    def prepare_metadata_for_build_wheel(self, metadata_directory: str, config_settings: Any = None) -> str:
        """Write the smallest `METADATA` into `metadata_directory`; the name of the folder made."""
        info = Parser().parsestr(Path("PKG-INFO").read_text(encoding="utf-8"), headersonly=True)
        folder = f"{info['Name']}-{info['Version']}.dist-info"
        Path(metadata_directory, folder).mkdir()
        text = f"Metadata-Version: 2.1\nName: {info['Name']}\nVersion: {info['Version']}\n"
        Path(metadata_directory, folder, "METADATA").write_text(text, encoding="utf-8")
        return folder


__legacy__ = Bare()
