"""Give a pretrained tokenizer new pieces for a domain or a language, without touching what it has.

The old tokenizer cuts the new text, and its own pieces are merged further: the most frequent pair of neighbours becomes a piece, again
and again (Sennrich and others 2016, started from the old segmentation instead of from letters). So a new piece is a row of old
pieces, which also says what its embedding should start from. Frequent characters that the vocabulary
lacks come first.

BPE gets the pairs as merges after all of its own: a text is cut as before and then joined further. WordPiece gets entries of its
vocabulary. Unigram gets pieces with the log of their share of the new text, and never less than the pieces they are made of, so that
they win over them. Ids that exist keep their piece; added and special tokens, normaliser and template stay as they are.
The result is checked before it is given back: every old id, and that the text still decodes to what it did.

Memory: the texts, their distinct words and the pairs in them; the caller bounds the texts. It does not remove pieces that the domain
never uses, and does not train embeddings: the model has to be trained further.
"""

from __future__ import annotations

import heapq
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from sapwood.errors import InputError
from sapwood.text import units
from sapwood.text.tokens.fertility import unknown_id

Pair = tuple[int, int]
LONGEST = 64
"""Characters of a new piece at most; three stand for one Chinese character where the alphabet is bytes."""
BYTE = "<0x{:02X}>"
PROBES = 200
"""Texts whose decoding is compared before and after."""


class Extended(NamedTuple):
    """`ids[i]` is the new piece `pieces[i]`, made of the old ids `parts[i]`: none for a letter that was unknown, its bytes where it was those."""

    tokenizer: Tokenizer
    pieces: list[str]
    ids: list[int]
    parts: list[tuple[int, ...]]


class Merged(NamedTuple):
    """Two ids became `piece`, which was there `times` times. A letter that was unknown has no `left` and `right` (-1)."""

    left: int
    right: int
    piece: str
    times: int


def extend(tokenizer: Tokenizer, texts: Sequence[str], count: int, min_frequency: int = 10) -> Extended:
    """A new tokenizer with up to `count` more pieces; fewer where the texts hold no more frequent ones.

    Raises `InputError` for a tokenizer that is no BPE, WordPiece or Unigram, or whose ids have gaps that cannot be kept.
    """
    kind = json.loads(tokenizer.to_str())["model"]["type"]
    if kind not in _INTO:
        raise InputError(f"a {kind} tokenizer cannot be extended", "give one of BPE, WordPiece or Unigram")
    words = _words(tokenizer, texts)
    first = max(tokenizer.get_vocab().values()) + 1
    letters = _letters(tokenizer, words, count // 2, min_frequency)
    lettered = _with(tokenizer, letters)
    merges = _merges(_cut(lettered, words), lettered, count - len(letters), min_frequency)
    grown = _with(lettered, merges)
    _verify(tokenizer, grown, texts[:PROBES])
    made = [*letters, *merges]
    return Extended(grown, [merge.piece for merge in made], list(range(first, first + len(made))), _parts(tokenizer, made))


# --------------------------------------------------------------------------- which pieces


def _words(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    """The words of the texts as the tokenizer's model gets them, with their counts. One that does not cut before it merges gets the
    text cut before each space or its mark."""
    counts: Counter[str] = Counter()
    normaliser, cutter = tokenizer.normalizer, tokenizer.pre_tokenizer
    for text in texts:
        normal = normaliser.normalize_str(text) if normaliser is not None else text
        counts.update(re.findall(r"[ ▁]?[^ ▁]+|[ ▁]", normal) if cutter is None else (word for word, _ in cutter.pre_tokenize_str(normal)))
    return counts


def _letters(tokenizer: Tokenizer, words: Counter[str], most: int, least: int) -> list[Merged]:
    """Frequent characters that the vocabulary lacks, at the start of words and inside. A vocabulary of bytes lacks none."""
    known, prefix, counts = tokenizer.get_vocab(), _prefix(tokenizer), Counter[str]()
    for word, n in words.items():
        for place, letter in enumerate(word):
            counts[prefix * (place > 0) + letter] += n
    found = [(n, piece) for piece, n in counts.items() if n >= least and piece not in known]
    return [Merged(-1, -1, piece, n) for n, piece in sorted(found, key=lambda item: (-item[0], item[1]))[:most]]


def _cut(tokenizer: Tokenizer, words: Counter[str]) -> dict[tuple[int, ...], int]:
    """The words as ids, parted where a piece cannot be merged: unknown ones, single bytes that stand for unknown ones, added ones."""
    model, found = tokenizer.model, Counter[tuple[int, ...]]()
    vocabulary = tokenizer.get_vocab()
    closed = {unknown_id(tokenizer), *tokenizer.get_added_tokens_decoder(), *(vocabulary.get(BYTE.format(value)) for value in range(256))}
    for word, n in words.items():
        for apart, run in groupby((token.id for token in model.tokenize(word)), closed.__contains__):
            ids = tuple(run)
            if not apart and len(ids) > 1:
                found[ids] += n
    return found


def _merges(words: dict[tuple[int, ...], int], tokenizer: Tokenizer, count: int, least: int) -> list[Merged]:
    """The merges in their order. Ties go to the smaller ids, so that the result does not depend on the order of words."""
    rows = [(list(ids), n) for ids, n in sorted(words.items())]
    pairs: Counter[Pair] = Counter()
    where: dict[Pair, set[int]] = defaultdict(set)
    for row, (ids, n) in enumerate(rows):
        for pair in pairwise(ids):
            pairs[pair] += n
            where[pair].add(row)
    queue = [(-n, pair) for pair, n in pairs.items()]
    heapq.heapify(queue)
    legible, prefix = '"ByteLevel"' not in tokenizer.to_str(), _prefix(tokenizer)
    pieces = {number: piece for piece, number in tokenizer.get_vocab().items()}
    taken, next_id, made = set(pieces.values()), max(pieces) + 1, list[Merged]()
    while queue and len(made) < count:
        n, pair = heapq.heappop(queue)
        if -n < least:
            break
        if -n != pairs[pair]:  # counted again since, and lower: it waits for its turn
            heapq.heappush(queue, (-pairs[pair], pair))
            continue
        piece = pieces[pair[0]] + pieces[pair[1]].removeprefix(prefix)
        if piece in taken or len(piece) > LONGEST or (legible and _mixes(piece.removeprefix(prefix))):
            continue
        made.append(Merged(*pair, piece, -n))
        pieces[next_id] = piece
        taken.add(piece)
        for changed in _apply(pair, next_id, rows, pairs, where):
            heapq.heappush(queue, (-pairs[changed], changed))
        next_id += 1
    return made


def _mixes(piece: str) -> bool:
    """Whether a piece joins letters and punctuation, such as `的，`: tokenizers that do not cut there would spend their new pieces on it
    (17 of E5's first 20 were of that kind). Pieces in byte letters cannot be read so; those tokenizers cut before they merge."""
    classes = units.class_table()[units.code_points(piece.replace("▁", ""))]
    return bool((classes >= units.WORD).any() and (classes < units.WORD).any())


def _apply(pair: Pair, new: int, rows: list[tuple[list[int], int]], pairs: Counter[Pair], where: dict[Pair, set[int]]) -> list[Pair]:
    """Put `new` for the pair in every word that has it; the pairs that this made. Only pairs beside a merge are counted again."""
    changed: set[Pair] = set()
    for row in sorted(where.pop(pair)):
        ids, n = rows[row]
        joined, at = list[int](), 0
        while at < len(ids):
            if not (at + 1 < len(ids) and (ids[at], ids[at + 1]) == pair):
                joined.append(ids[at])
                at += 1
                continue
            start, begin = at, len(joined)
            while at + 1 < len(ids) and (ids[at], ids[at + 1]) == pair:
                joined.append(new)
                at += 2
            for old in _neighbours(ids, start, at):
                pairs[old] -= n
            after = ids[at : at + 1]
            for made in _neighbours(joined + after, begin, len(joined)):
                pairs[made] += n
                where[made].add(row)
                changed.add(made)
        rows[row] = (joined, n)
    return sorted(changed)


def _neighbours(ids: Sequence[int], start: int, end: int) -> Iterable[Pair]:
    """The pairs that have at least one side in start:end."""
    part = ids[max(0, start - 1) : end + 1]
    return pairwise(part)


def _parts(tokenizer: Tokenizer, made: Sequence[Merged]) -> list[tuple[int, ...]]:
    """The old ids that each new piece is made of; of a new letter its bytes, where the vocabulary has them."""
    vocabulary, prefix = tokenizer.get_vocab(), _prefix(tokenizer)
    first, parts = max(vocabulary.values()) + 1, dict[int, tuple[int, ...]]()
    for number, merge in enumerate(made, start=first):
        if merge.left < 0:
            bytes_ = [vocabulary.get(BYTE.format(value)) for value in merge.piece.removeprefix(prefix).encode()]
            parts[number] = tuple(found for found in bytes_ if found is not None)
        else:
            parts[number] = parts.get(merge.left, (merge.left,)) + parts.get(merge.right, (merge.right,))
    return list(parts.values())


# --------------------------------------------------------------------------- into the file


def _with(tokenizer: Tokenizer, made: Sequence[Merged]) -> Tokenizer:
    """The tokenizer with those pieces after its last id."""
    body = json.loads(tokenizer.to_str())
    names = {number: piece for piece, number in tokenizer.get_vocab().items()}
    first = max(names) + 1
    _own_added(body["model"], body["added_tokens"])
    _INTO[body["model"]["type"]](body["model"], made, first, names)
    return Tokenizer.from_str(json.dumps(body, ensure_ascii=False))


def _own_added(model: dict[str, Any], added: Sequence[dict[str, Any]]) -> None:
    """Put added tokens that stand beside the model's vocabulary into it, with their ids: the library numbers them anew at loading by the
    vocabulary's size, which is about to change. No text becomes one of them by this: they are cut out of a text before the model sees it."""
    for number, piece in sorted((token["id"], token["content"]) for token in added):
        if model["type"] != "Unigram":
            model["vocab"].setdefault(piece, number)
        elif number == len(model["vocab"]):
            model["vocab"].append([piece, 0.0])
        elif number > len(model["vocab"]):
            raise InputError(f"the ids of this tokenizer have a gap before {number}, {piece}", "extend the tokenizer it was made from")


def _into_bpe(model: dict[str, Any], made: Sequence[Merged], first: int, names: dict[int, str]) -> None:
    _into_wordpiece(model, made, first, names)
    pieces = names | {number: merge.piece for number, merge in enumerate(made, start=first)}
    model["merges"] += [[pieces[merge.left], pieces[merge.right]] for merge in made if merge.left >= 0]


def _into_wordpiece(model: dict[str, Any], made: Sequence[Merged], first: int, names: dict[int, str]) -> None:
    model["vocab"] |= {merge.piece: number for number, merge in enumerate(made, start=first)}


def _into_unigram(model: dict[str, Any], made: Sequence[Merged], first: int, names: dict[int, str]) -> None:
    """Scores are natural logarithms of a piece's share of all that were made, and never below those of its parts together."""
    if made and first != len(model["vocab"]):
        raise InputError(f"the ids of this tokenizer have a gap before {first}", "extend the tokenizer it was made from")
    scores = [score for _, score in model["vocab"]]
    total = sum(merge.times for merge in made)
    for merge in made:
        parts = scores[merge.left] + scores[merge.right] if merge.left >= 0 else -math.inf
        scores.append(round(max(math.log(merge.times / total), parts + 1e-3), 6))
        model["vocab"].append([merge.piece, scores[-1]])


_INTO = {"BPE": _into_bpe, "WordPiece": _into_wordpiece, "Unigram": _into_unigram}


def _prefix(tokenizer: Tokenizer) -> str:
    """What a piece inside a word begins with, such as `##`."""
    return getattr(tokenizer.model, "continuing_subword_prefix", None) or ""


def _verify(old: Tokenizer, new: Tokenizer, texts: Sequence[str]) -> None:
    """Raises `InputError` when an old id has another piece now, or a text without unknown tokens another decoding."""
    moved = [f"{number} {piece!r}" for piece, number in old.get_vocab().items() if new.id_to_token(number) != piece]
    if moved:
        raise InputError(f"extending would change {len(moved)} ids of this tokenizer, such as {moved[0]}", "extend another tokenizer")
    before, after = ([row.ids for row in each.encode_batch_fast(list(texts), add_special_tokens=False)] for each in (old, new))
    unknown = unknown_id(old)
    for text, one, two in zip(texts, before, after, strict=True):
        if unknown not in one and old.decode(one) != new.decode(two):
            raise InputError(f"extending would change how {text[:40]!r} decodes", "extend another tokenizer")
