"""Edits of one text: pure functions of (text, the text with its protected places hidden, a seeded random). "" in, "" out; the text itself where nothing fits.

`share` is of the places that an edit could take: at least one of them is taken. No edit makes a word that negates.
Mixing keeps sentences whole and so moves protected parts, but loses and makes none of the chosen sentences' parts.
"""

from __future__ import annotations

import random
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

import xxhash

from sapwood.text.augmenting.lexicons import HAN, Candidate, Lexicon, Words
from sapwood.text.augmenting.protected import negates

Edit = Callable[[str, str, random.Random], str]

KEYBOARD = {
    "q": "wa", "w": "qes", "e": "wrd", "r": "etf", "t": "ryg", "y": "tuh", "u": "yij", "i": "uok", "o": "ipl", "p": "ol",
    "a": "qsz", "s": "awdx", "d": "sefc", "f": "drgv", "g": "fthb", "h": "gyjn", "j": "hukm", "k": "jil", "l": "kop",
    "z": "asx", "x": "zsdc", "c": "xdfv", "v": "cfgb", "b": "vghn", "n": "bhjm", "m": "njk",
}  # fmt: skip
"""Neighbours on a QWERTY keyboard."""
TYPED = re.compile(r"[A-Za-z]{4,}|[\u3400-\u9fff]{2,}")
"""Shorter English words are left alone: a typing error in `as` or `it` makes another word."""
SENTENCE = re.compile(r"[^。！？!?…\n]*?(?:[。！？!?…]+[”’\"')）]*|\.(?=\s|$)|\n+|$)\s*")
CLAUSE = re.compile(r"(.*?)((?:[，；;、]|,(?![0-9]))+\s*|[。！？!?.…\s]*$)", re.DOTALL)
STOP = re.compile(r"[。！？!?.…~～][”’\"')）]*$")


def draw(seed: int, *names: object) -> random.Random:
    """A random that depends on its arguments only, not on batches, workers or what was drawn before."""
    return random.Random(xxhash.xxh3_64_intdigest("\0".join(map(str, names)).encode("utf-8", "replace"), seed=seed & 0xFFFFFFFFFFFFFFFF))


def replaced(text: str, candidates: Sequence[Candidate], share: float, chance: random.Random) -> str:
    """The text with a share of the candidates, at least one, replaced by one of their choices."""
    if not candidates:
        return text
    taken = sorted(chance.sample(range(len(candidates)), max(1, round(share * len(candidates)))))
    pieces, place = [], 0
    for one in (candidates[index] for index in taken):
        if one.start >= place:
            pieces += [text[place : one.start], chance.choice(one.choices)]
            place = one.end
    return "".join([*pieces, text[place:]])


def synonyms(lexicon: Lexicon, share: float) -> Edit:
    def edit(text: str, hidden: str, chance: random.Random) -> str:
        return replaced(text, lexicon.candidates(hidden), share, chance)

    return edit


def characters(table: Words, share: float) -> Edit:
    """Replace single characters by table: homophones, or characters that look alike."""

    def edit(text: str, hidden: str, chance: random.Random) -> str:
        found = [Candidate(i, i + 1, table[one]) for i, one in enumerate(hidden) if one in table]
        return replaced(text, found, share, chance)

    return edit


def noise(moves: Sequence[str], share: float) -> Edit:
    """Typing errors: in English words of four letters or more, and between neighbouring Chinese characters."""

    def edit(text: str, hidden: str, chance: random.Random) -> str:
        runs = [(m.start(), m.end(), 1 if m.group().isascii() else m.end() - m.start() - 1) for m in TYPED.finditer(hidden)]
        ends = list(accumulate(count for _, _, count in runs))
        if not ends:
            return text
        pieces, place = [], 0
        for index in sorted(chance.sample(range(ends[-1]), max(1, round(share * ends[-1])))):
            start, end, count = runs[run := bisect_right(ends, index)]
            if not text[start].isascii():  # the pair of characters that the index means
                start += index - (ends[run] - count)
                end = start + 2
            if start >= place:
                pieces += [text[place:start], mistyped(text[start:end], moves, chance)]
                place = end
        return "".join([*pieces, text[place:]])

    return edit


def mistyped(word: str, moves: Sequence[str], chance: random.Random) -> str:
    """One error of the given kinds in a word, or in two Chinese characters (never `keyboard`). The first letter of a word stays, as it mostly does in real errors."""
    chinese = HAN.match(word) is not None
    fitting = [move for move in moves if not (chinese and move == "keyboard")]
    if not fitting:
        return word
    at = 0 if chinese else chance.randrange(1, len(word) - 1)
    changed = {
        "swap": word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        "drop": word[:at] + word[at + 1 :],
        "double": word[:at] + word[at] + word[at:],
        "keyboard": word[:at] + chance.choice(KEYBOARD.get(word[at].lower(), word[at])) + word[at + 1 :],
    }[chance.choice(fitting)]
    return word if negates(changed) else changed


def parts(text: str) -> list[tuple[str, str]]:
    """(sentence, white space after it); of a text that is one sentence, (clause, what parts it from the next). Joined, they are the text."""
    found = [piece for piece in SENTENCE.findall(text) if piece]
    if len(found) > 1:
        return [(piece.rstrip(), piece[len(piece.rstrip()) :]) for piece in found]
    return [match.groups() for match in CLAUSE.finditer(text) if match.group()]  # type: ignore[misc]


def shuffled(text: str, hidden: str, chance: random.Random) -> str:
    """The same sentences, or the clauses of the one sentence, in another order; what parts them stays in its place."""
    found = parts(text)
    bodies = [body for body, _ in found]
    if len(set(bodies)) < 2:
        return text
    chance.shuffle(bodies)
    if STOP.search(found[0][0]):  # sentences: the last one may have had no stop
        bodies = [body if STOP.search(body) or not body else body + stop_of(body) for body in bodies]
    return "".join(body + gap for body, (_, gap) in zip(bodies, found, strict=True))


def mixed(one: str, other: str, chance: random.Random) -> str:
    """Half of the sentences or clauses of each, at least one, in their order: first of the one, then of the other."""
    halves = []
    for text in (one, other):
        found = parts(text.strip())
        if not found:
            return one
        taken = sorted(chance.sample(range(len(found)), max(1, len(found) // 2)))
        halves.append("".join(found[index][0] + found[index][1] for index in taken).strip())
    first = halves[0].rstrip("，,；;、")
    first += "" if STOP.search(first) else stop_of(first)
    return first + ("" if HAN.search(first) else " ") + halves[1]


def stop_of(text: str) -> str:
    return "。" if HAN.search(text) else "."


def either(one: Edit, other: Edit) -> Edit:
    """One of two edits, by the draw; the other where the first finds nothing."""

    def edit(text: str, hidden: str, chance: random.Random) -> str:
        first, second = (one, other) if chance.random() < 0.5 else (other, one)
        changed = first(text, hidden, chance)
        return changed if changed != text else second(text, hidden, chance)

    return edit
