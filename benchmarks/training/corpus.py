"""Real text of mixed lengths for masked-LM training: leads of Wikipedia articles and articles of Chinese laws, as token ids."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

VOCABULARY = 30_000
LONGEST = 128
"""Tokens of a text, special tokens included: the length that BERT itself was trained at for nine tenths of its steps."""
HELD_OUT = 128
"""Texts that are evaluated on and never trained on."""
TRAINED = 12_000
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class Rows(NamedTuple):
    """Token ids with [CLS] and [SEP], one array a text, in a fixed order; and the folder of the tokenizer."""

    train: list[np.ndarray[Any, Any]]
    held_out: list[np.ndarray[Any, Any]]
    tokenizer: Path


def prepare(folder: Path) -> None:
    """Fetch the samples, train a WordPiece vocabulary on the training side, and keep the ids. Nothing is done twice."""
    if (folder / f"ids-{LONGEST}.npz").is_file():
        return
    texts = list(_texts())
    order = np.random.default_rng(0).permutation(len(texts))[: TRAINED + HELD_OUT]
    chosen = [texts[i] for i in order]
    tokenizer = _tokenizer(chosen[HELD_OUT:])
    tokenizer.enable_truncation(LONGEST)
    rows = [np.asarray(row.ids, dtype=np.int32) for row in tokenizer.encode_batch(chosen)]
    tokenizer.no_truncation()
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {f"{name[1:-1].lower()}_token": name for name in SPECIAL}
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": LONGEST, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(told), encoding="utf-8")
    np.savez(folder / f"ids-{LONGEST}.npz", ids=np.concatenate(rows), sizes=np.asarray([len(row) for row in rows]))


def opened(folder: Path) -> Rows:
    found = np.load(folder / f"ids-{LONGEST}.npz")
    rows = np.split(found["ids"], np.cumsum(found["sizes"])[:-1])
    return Rows(rows[HELD_OUT:], rows[:HELD_OUT], folder)


def _texts() -> Iterator[str]:
    from sapwood.samples.fetch import fetch

    leads = json.loads(next(fetch("wiki-leads-en", print).glob("*.json")).read_text(encoding="utf-8"))
    yield from (entry["extract"] for entry in leads.values())
    laws = sqlite3.connect(f"file:{fetch('china-law', print) / 'laws.db'}?mode=ro", uri=True)
    yield from (text for (text,) in laws.execute("select article_text from articles order by law_name, article_no"))
    laws.close()


def _tokenizer(texts: list[str]) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=list(SPECIAL), show_progress=False, min_frequency=1)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer
