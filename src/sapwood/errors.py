"""One tree of errors. Each says where, what, and what to do next, and has its own exit code.

    SapwoodError                 1   (anything below; a bare one is a bug of ours)
    ├── RecipeError              3   a recipe or a parameter is wrong; holds every problem at once
    ├── InputError               4   a source, file or request cannot be read as what it claims to be
    ├── StoreError               5   the store cannot do what was asked
    │   ├── NotFound             5   no such artifact, run, model version or response
    │   ├── Corrupt              5   stored bytes do not match their digest
    │   └── Busy                 5   another process is working on the same step
    ├── Refused                  6   a gate, parity check or signature says no
    ├── ResourceError            7   disk full, too little memory, port in use
    ├── NetworkError             8   a registry or hub cannot be reached
    ├── MissingExtra             9   an optional dependency is not installed
    └── Interrupted             75   stopped by a signal; run the same command again to continue

The shell keeps 2 for wrong usage and 130 for Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class SapwoodError(Exception):
    """Base of every error a user can meet.

    `what` names the place and the fault in one line; `next_step` is the command or edit that mends it.
    """

    exit_code = 1

    def __init__(self, what: str, next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.what}\n  next: {self.next_step}" if self.next_step else self.what


@dataclass(frozen=True)
class Problem:
    """One fault of a recipe: `where` is `file:line`, `path` is dotted (`stages.clean.min_chars`)."""

    where: str
    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.path}: {self.what}" if self.path else f"{self.where}: {self.what}"


class RecipeError(SapwoodError):
    exit_code = 3

    def __init__(self, problems: Sequence[Problem], next_step: str = "") -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "1 problem" if count == 1 else f"{count} problems"
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"{head} in the recipe:\n{lines}", next_step)


class InputError(SapwoodError):
    exit_code = 4


class StoreError(SapwoodError):
    exit_code = 5


class NotFound(StoreError):
    pass


class Corrupt(StoreError):
    pass


class Busy(StoreError):
    pass


class Refused(SapwoodError):
    exit_code = 6


class ResourceError(SapwoodError):
    exit_code = 7


class NetworkError(SapwoodError):
    exit_code = 8


class MissingExtra(SapwoodError):
    """`package` is not installed; `extra` is the name inside `pip install 'sapwood[extra]'`."""

    exit_code = 9

    def __init__(self, package: str, extra: str, what_for: str) -> None:
        super().__init__(f"{what_for} needs the package {package}, which is not installed", f"pip install 'sapwood[{extra}]'")


class Interrupted(SapwoodError):
    exit_code = 75
