"""What no operator may touch: numbers, placeholders, addresses of the web, given names, and negations.

A changed number is another fact, and a lost `not` is another label. Words with a capital inside an English sentence count as names.
It does not find names in Chinese text or at the start of a sentence: give them as a list.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

NUMERALS = "〇零一二三四五六七八九十百千万亿两壹贰叁肆伍陆柒捌玖拾佰仟萬億兩"
NEGATIONS_ZH = "不没沒无無未非别別勿莫否"
_WORDS = "no|not|nor|never|none|nobody|nothing|nowhere|neither|without|cannot|hardly|barely|scarcely|seldom|rarely|few|little"
_VERBS = "ai|ca|could|dare|did|does|do|had|has|have|is|might|must|need|ought|sha|should|was|were|wo|would|are"
NEGATIONS_EN = frozenset([*_WORDS.split("|"), *(f"{verb}n{mark}t" for verb in _VERBS.split("|") for mark in ("", "'", "’"))])
FIGURES = re.compile(
    rf"<[A-Za-z][A-Za-z0-9_:-]{{0,60}}>|[0-9０-９]+(?:[.,:/％%-]?[0-9０-９]+)*[%％]?|[{NUMERALS}]"  # placeholders such as <EMAIL_ADDRESS>; numbers
)
WEB = re.compile(
    r"(?<![A-Za-z0-9])(?:[a-z]{2,10}://|www\.)[!-~]+|(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}", re.IGNORECASE
)
"""Every repeat that could be tried again from each character is bounded: linear time, also on a line of a gigabyte."""
CHINESE = re.compile(f"[{NEGATIONS_ZH}]")
WORD = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)?")
FACTS = re.compile(r"<[A-Za-z][A-Za-z0-9_:-]{0,60}>|[0-9]+(?:[.,][0-9]+)*")
INSIDE = re.compile(r"[a-z,;:'’0-9)] \Z")
HIDDEN = "\0"


def automaton(names: Sequence[str]) -> Any:
    """An Aho-Corasick automaton over the names; None for none."""
    import ahocorasick

    if not names:
        return None
    found = ahocorasick.Automaton()
    for name in names:
        found.add_word(name, len(name))
    found.make_automaton()
    return found


def hidden(text: str, names: Any = None) -> str:
    """The text with `HIDDEN` in place of every character that may not change."""
    patterns = (FIGURES, CHINESE, WEB) if "@" in text or "://" in text or "www." in text.lower() else (FIGURES, CHINESE)
    spans = [match.span() for pattern in patterns for match in pattern.finditer(text)]
    spans += [m.span() for m in WORD.finditer(text) if m.group().lower() in NEGATIONS_EN or (m.group()[0] <= "Z" and _is_name(text, m))]
    spans += [(end + 1 - length, end + 1) for end, length in names.iter(text)] if names is not None else []
    pieces, place = [], 0
    for start, end in sorted(spans):
        if end > place:
            start = max(start, place)
            pieces += [text[place:start], HIDDEN * (end - start)]
            place = end
    return "".join([*pieces, text[place:]]) if pieces else text


def _is_name(text: str, match: re.Match[str]) -> bool:
    """Of a word that begins with a capital: whether it is all capitals, or stands inside a sentence."""
    word = match.group()
    return (len(word) > 1 and word.isupper()) or INSIDE.search(text, max(0, match.start() - 2), match.start()) is not None


def negations(text: str) -> list[str]:
    """The words and characters that negate, lower case: first the Chinese ones."""
    return CHINESE.findall(text) + [word for word in WORD.findall(text.lower()) if word in NEGATIONS_EN]


def negates(text: str) -> bool:
    return CHINESE.search(text) is not None or any(word in NEGATIONS_EN for word in WORD.findall(text.lower()))


def kept(parent: str, child: str, names: Sequence[str] = ()) -> bool:
    """Whether a rewritten text still has the parent's numbers, placeholders and given names, and negates if and only if it did."""
    facts = Counter(FACTS.findall(parent)) == Counter(FACTS.findall(child))
    named = all(name in child for name in names if name in parent)
    return facts and named and negates(parent) == negates(child)
