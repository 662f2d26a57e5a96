"""Tiny things for tests, made in milliseconds and always the same: a corpus in English and Chinese, a tokenizer, a model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sapwood.text import rows

THINGS = (
    ("the kettle", "水壶"),
    ("this lamp", "这盏灯"),
    ("the novel", "这本小说"),
    ("our hotel room", "酒店房间"),
    ("the delivery", "快递"),
    ("the camera", "相机"),
    ("the noodle shop", "面馆"),
    ("their support team", "客服"),
    ("the bicycle", "自行车"),
    ("the concert", "音乐会"),
    ("the morning train", "早班火车"),
    ("the notebook", "笔记本"),
)
OPENINGS = (
    ("I looked at {} last week.", "上周我看了{}。"),
    ("A friend told me about {}.", "朋友向我介绍了{}。"),
    ("We waited a long time for {}.", "为了{}我们等了很久。"),
)
PRAISE = (
    ("It works very well and I am happy.", "非常好用，我很满意。"),
    ("A great choice, I love it!", "真是很好的选择，我很喜欢！"),
    ("Excellent quality and a fair price.", "质量优秀，价格公道。"),
)
BLAME = (
    ("It broke at once and I am angry.", "一用就坏了，我很生气。"),
    ("A terrible choice, I hate it!", "真是糟糕的选择，我很讨厌！"),
    ("Poor quality and far too expensive.", "质量差，价格太贵。"),
)
ENDINGS = (
    ("I would tell anyone the same.", "对谁我都会这样说。"),
    ("That is all there is to say.", "要说的就是这些。"),
)
LABELS = ("negative", "positive")


def tiny_corpus() -> list[dict[str, Any]]:
    """72 documents of three sentences, half English and half Chinese, as rows (`rows.table(tiny_corpus())`)."""
    return [{k: v for k, v in row.items() if k != "label"} for row in tiny_examples()]


def tiny_examples() -> list[dict[str, Any]]:
    """The same 72 documents with a `label`: `negative` or `positive`, as many of each in either language.

    Write them with `rows.write(folder, rows.table(tiny_examples(), rows.EXAMPLES))`.
    """
    return [
        _example(language, number, thing, praised)
        for number, thing in enumerate(THINGS * 3)
        for language, praised in ((0, number % 2 == 0), (1, number % 2 == 1))
    ]


def _example(language: int, number: int, thing: tuple[str, str], praised: bool) -> dict[str, Any]:
    verdict = (PRAISE if praised else BLAME)[number // 2 % 3][language]
    opening = OPENINGS[number // len(THINGS)][language].format(thing[language])
    text = (" ", "")[language].join([opening, verdict, ENDINGS[number // 3 % 2][language]])
    code = ("en", "zh")[language]
    row = rows.document("tiny", f"{code}/{number}", text, language=code, license="CC0-1.0")
    return {**row, "label": LABELS[praised]}


def tiny_dialogues() -> list[dict[str, Any]]:
    """48 dialogues of three turns over 24 contexts, half Chinese, as rows: the first line is 1 where the last turn praises, 0 where it blames."""
    found = []
    for number, thing in enumerate(THINGS):
        for language, code in enumerate(("en", "zh")):
            context = [OPENINGS[number % 3][language].format(thing[language]), ENDINGS[number % 2][language]]
            for verdict, replies in (("1", PRAISE), ("0", BLAME)):
                text = "\n".join([verdict, *context, replies[number % 3][language]])
                found.append(rows.document("shop", f"{code}/{number}/{verdict}", text, language=code, license="CC0-1.0"))
    return found


def tiny_tokenizer(folder: Path) -> Path:
    """Write a WordPiece tokenizer of the tiny corpus (lower-cased words and single characters); returns `folder`."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    split = pre_tokenizers.BertPreTokenizer()
    clean = normalizers.BertNormalizer(lowercase=True)
    texts = [clean.normalize_str(row["text"]) for row in tiny_corpus()]
    words = {word for text in texts for word, _ in split.pre_tokenize_str(text)}
    letters = {letter for word in words for letter in word}
    vocabulary = special + sorted(words | letters | {f"##{letter}" for letter in letters})
    tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = clean, split, decoders.WordPiece()
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {f"{n}_token": f"[{n.upper()}]" for n in ("pad", "unk", "cls", "sep", "mask")}
    body = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 64, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return folder


def tiny_model(folder: Path, labels: Sequence[str] = LABELS, seed: int = 1) -> Path:
    """Write an untrained BERT (2 layers x 32, 64 tokens) with its tokenizer and card; returns `folder`.

    With labels a classifier; with `labels=()` a masked LM with a next-sentence head, as `pretrain` makes it.
    """
    from transformers import BertForSequenceClassification

    from sapwood.models import architectures, texts
    from sapwood.models.card import Card

    tiny_tokenizer(folder)
    config = architectures.bert(texts.load_tokenizer(folder).get_vocab_size(), layers=2, width=32, heads=2, max_tokens=64)
    model = architectures.pretraining_model(config, seed)
    if labels:
        config.id2label, config.label2id = dict(enumerate(labels)), {label: i for i, label in enumerate(labels)}
        with architectures.seeded(seed):
            model = BertForSequenceClassification(config)
    card = Card(name="tiny", task="classification" if labels else "masked-lm", labels=tuple(labels), max_tokens=64, base="", method="none")
    architectures.save_model(folder, model, folder, card)
    return folder


def tiny_writer(folder: Path, kind: str = "t5", seed: int = 1) -> Path:
    """Write an untrained model that writes (`t5`, `llama`, `gpt2` or `qwen2`; 2 layers x 32, 128 tokens) with its tokenizer and card; returns
    `folder`. It begins texts with [CLS] and ends them with [SEP]."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    from sapwood.models import architectures, texts
    from sapwood.models.card import Card

    tiny_tokenizer(folder)
    both = kind == "t5"
    shape: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    shape |= {"num_key_value_heads": 1, "max_position_embeddings": 128, "attention_dropout": 0.0}
    if both:
        shape = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0, "dropout_rate": 0.0}
    if kind == "gpt2":
        shape = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 128, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    vocab = texts.load_tokenizer(folder).get_vocab_size()
    config = AutoConfig.for_model(kind, vocab_size=vocab, pad_token_id=0, bos_token_id=2, eos_token_id=3, **shape)
    with architectures.seeded(seed):
        model = (AutoModelForSeq2SeqLM if both else AutoModelForCausalLM).from_config(config)
    task = "span-corruption" if both else "causal-lm"
    architectures.save_model(folder, model, folder, Card(name=f"tiny-{kind}", task=task, max_tokens=128, base="", method="none"))
    return folder


def tiny_base(folder: Path, kind: str) -> Path:
    """Write an untrained model without a head of its own (`bert`, `albert`, `llama`, `gpt2` or `t5`) to fine-tune; returns `folder`."""
    if kind == "bert":
        return tiny_model(folder, ())
    if kind != "albert":
        return tiny_writer(folder, kind)
    from transformers import AlbertConfig, AlbertForMaskedLM

    from sapwood.models import architectures, texts
    from sapwood.models.card import Card

    tiny_tokenizer(folder)
    shape: dict[str, Any] = {"embedding_size": 16, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    shape |= {"intermediate_size": 64, "max_position_embeddings": 64, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    with architectures.seeded(1):
        model = AlbertForMaskedLM(AlbertConfig(vocab_size=texts.load_tokenizer(folder).get_vocab_size(), pad_token_id=0, **shape))
    architectures.save_model(folder, model, folder, Card(name="tiny-albert", task="masked-lm", max_tokens=64, base="", method="none"))
    return folder
