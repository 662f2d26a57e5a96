"""Take in a Hugging Face folder from outside: copy what is data, refuse what is code, store the weights as one fp32 safetensors file.

Only `config.json`, safetensors and tokenizer files are read. Pickles (`*.bin`, `*.pt`, `*.pth`, `*.ckpt`, `*.pkl`), Python files and
`auto_map` are refused, because opening them runs what their author wrote.
It does not judge what the weights say: a base model can be biased or poisoned and still come in.
"""

from __future__ import annotations

import json
import re
import shutil
from math import prod
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sapwood.errors import InputError

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
SOURCES_OF_A_TOKENIZER = ("vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model", "spiece.model", "added_tokens.json")
PATTERNS = ("config.json", "*.safetensors", "model.safetensors.index.json", *TOKENIZER_FILES, *SOURCES_OF_A_TOKENIZER, "README.md")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5")
WEIGHTS = "model.safetensors"


Kind = Literal["encoder", "masked-lm", "causal-lm", "span-corruption", "classification"]
HEADS: dict[str, Kind] = {
    "ForSequenceClassification": "classification",
    "ForMaskedLM": "masked-lm",
    "ForPreTraining": "masked-lm",
    "ForCausalLM": "causal-lm",
    "LMHeadModel": "causal-lm",
    "ForConditionalGeneration": "span-corruption",
}
"""What a class of transformers answers, by the end of its name. An encoder-decoder from outside may have learnt more than to fill spans."""


class Taken(NamedTuple):
    """What came in. `labels` is empty unless the model classifies; `max_tokens` counts special tokens."""

    task: Kind
    labels: tuple[str, ...]
    max_tokens: int
    licence: str


def refusals(folder: Path) -> list[str]:
    """Why the folder cannot be taken in, one sentence each; cheap, so that a plan can ask."""
    if not folder.is_dir():
        return [f"{folder}: there is no such folder"]
    names = sorted(path.name for path in folder.iterdir())
    found = [f"{folder}: {name} is Python code, which Sapwood does not run" for name in names if name.endswith(".py")]
    found += [f"{folder}: {name} may be a pickle, which can run code when opened" for name in names if name.endswith(PICKLES)]
    if not any(name.endswith(".safetensors") for name in names):
        found.append(f"{folder}: there is no safetensors file")
    try:
        if "auto_map" in _json(folder / "config.json"):
            found.append(f"{folder}: config.json asks for code of its own (auto_map)")
    except InputError as fault:
        found.append(fault.what)
    return found


def take_in(source: Path, folder: Path) -> Taken:
    """Fill `folder` with the model of `source`. `InputError` says what stands in the way."""
    if faults := refusals(source):
        raise InputError(
            "; ".join(faults),
            "save it with save_pretrained into a new folder that holds only config, safetensors and tokenizer",
        )
    config = _config(source)
    _weights(source, folder / WEIGHTS)
    _tokenizer(source, folder)
    body = {k: v for k, v in _json(source / "config.json").items() if k not in ("_name_or_path", "torch_dtype", "transformers_version")}
    _write(folder / "config.json", body | {"dtype": "float32"})
    task = _task(config)
    labels = tuple(config.id2label[i] for i in sorted(config.id2label)) if task == "classification" else ()
    return Taken(task, labels, _max_tokens(config, folder), _licence(source))


def parameters(folder: Path) -> int:
    """Weights in the folder's safetensors files, those of members and additions too, read from their headers."""
    from safetensors import safe_open

    total = 0
    for path in folder.rglob("*.safetensors"):
        with safe_open(str(path), "np") as stored:
            for name in stored.keys():  # noqa: SIM118 - not a mapping
                total += prod(stored.get_slice(name).get_shape())
    return total


def vocabulary(folder: Path) -> int:
    from sapwood.models.texts import load_tokenizer

    return int(load_tokenizer(folder).get_vocab_size())


def _config(source: Path) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(source, local_files_only=True, trust_remote_code=False)
    except (ValueError, KeyError, OSError, TypeError) as fault:
        reason = str(fault).strip().splitlines()[0]
        raise InputError(f"{source}/config.json: transformers does not know this architecture ({reason})", "choose another base") from None


def _weights(source: Path, target: Path) -> None:
    """One file, fp32: shards are joined, half precision is widened."""
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file, save_file

    files = sorted(source.glob("*.safetensors"))
    if (source / WEIGHTS).is_file():
        files = [source / WEIGHTS]
    try:
        with safe_open(str(files[0]), "np") as stored:
            kinds = {stored.get_slice(name).get_dtype() for name in stored.keys()}  # noqa: SIM118 - not a mapping
        if len(files) == 1 and kinds <= {"F32", "I64", "I32"}:
            shutil.copyfile(files[0], target)
            return
        joined = {name: tensor for file in files for name, tensor in load_file(file).items()}
    except (SafetensorError, OSError) as fault:
        raise InputError(f"{source}: the weights are damaged ({fault})", "copy or fetch the folder again") from None
    widened = {name: t.float() if t.is_floating_point() else t for name, t in sorted(joined.items())}
    save_file(widened, target, metadata={"format": "pt"})


def _tokenizer(source: Path, folder: Path) -> None:
    if not (source / "tokenizer.json").is_file():
        return _built_tokenizer(source, folder)
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    return None


def _built_tokenizer(source: Path, folder: Path) -> None:
    """`tokenizer.json` out of the older files (`vocab.txt`, `sentencepiece.bpe.model`)."""
    from transformers import AutoTokenizer

    try:
        AutoTokenizer.from_pretrained(source, local_files_only=True, trust_remote_code=False).save_pretrained(folder)
    except Exception as fault:  # ImportError, ValueError, OSError, or the bare Exception of tokenizers
        reason = str(fault).strip().splitlines()[0]
        raise InputError(
            f"{source}: no tokenizer.json, and none can be made ({reason})", "save the tokenizer with save_pretrained"
        ) from None
    if not (folder / "tokenizer.json").is_file():
        raise InputError(f"{source}: there is no tokenizer.json, and it has no fast form", "choose another base")


def _task(config: Any) -> Kind:
    name = (getattr(config, "architectures", None) or [""])[0]
    return next((kind for end, kind in HEADS.items() if name.endswith(end)), "encoder")


def _max_tokens(config: Any, folder: Path) -> int:
    """The shorter of what the positions and the tokenizer allow. RoBERTa's family numbers positions from padding + 1."""
    positions = int(getattr(config, "max_position_embeddings", 0) or 512)
    if config.model_type in ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl"):
        positions -= int(config.pad_token_id or 0) + 1
    stated = folder / "tokenizer_config.json"
    told = _json(stated).get("model_max_length", positions) if stated.is_file() else positions
    return max(3, min(positions, int(min(told, 1 << 30))))


def _licence(source: Path) -> str:
    """The `license:` line of the model card, if there is one."""
    card = source / "README.md"
    head = card.read_text(encoding="utf-8", errors="replace")[:4000] if card.is_file() else ""
    found = re.search(r"^license:\s*(\S+)", head, re.MULTILINE)
    return found.group(1) if found else "not stated"


def _json(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise InputError(f"{path}: cannot be read as JSON ({type(fault).__name__})", "give a Hugging Face model folder") from None
    if not isinstance(loaded, dict):
        raise InputError(f"{path}: is not a JSON object", "give a Hugging Face model folder")
    return loaded


def _write(path: Path, body: dict[str, Any]) -> None:
    path.write_text(json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
