"""The ids that begin and end what a model reads and writes, as its folder says. Reads JSON only, loads no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from sapwood.errors import InputError

ENDS = ("</s>", "<|endoftext|>", "<eos>", "[SEP]")


class Specials(NamedTuple):
    """`begin` is put before a text where the model was taught so, `ends` end an answer (the first of them is taught), `start` is what an
    encoder-decoder begins to write from, `both` says whether it is one."""

    begin: tuple[int, ...]
    ends: tuple[int, ...]
    start: int
    both: bool


def specials(folder: Path, tokenizer: Tokenizer, fill: int) -> Specials:
    """From config.json, generation_config.json and the tokenizer. `InputError` where nothing says how an answer ends."""
    config = _json(folder / "config.json")
    stated = [*_ids(config.get("eos_token_id")), *_ids(_json(folder / "generation_config.json").get("eos_token_id"))]
    found = [i for i in (tokenizer.token_to_id(name) for name in ENDS) if i is not None]
    ends = tuple(dict.fromkeys(stated or found[:1]))
    if not ends:
        raise InputError("neither the model's config nor its tokenizer has a token that ends a text", "set eos_token_id in config.json")
    added = tokenizer.encode("").ids
    begin = tuple(i for i in _ids(config.get("bos_token_id")) if i in added)
    start = config.get("decoder_start_token_id")
    return Specials(begin, ends, fill if start is None else int(start), bool(config.get("is_encoder_decoder", False)))


def named(folder: Path) -> dict[str, str]:
    """The texts of special tokens by name (`bos_token`, `eos_token`, ...), as chat templates ask for them."""
    stated = {**_json(folder / "special_tokens_map.json"), **_json(folder / "tokenizer_config.json")}
    texts = {name: _text(value) for name, value in stated.items() if name.endswith("_token")}
    return {name: text for name, text in texts.items() if text}


def _text(value: Any) -> str:
    return value.get("content", "") if isinstance(value, dict) else value if isinstance(value, str) else ""


def _ids(value: Any) -> list[int]:
    return [] if value is None else [int(i) for i in value] if isinstance(value, list) else [int(value)]


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found
