"""Which old encoding some bytes are in, by how ordinary the characters are that they would be. Only strong evidence counts.

Each East Asian encoding is read as what it would say, and scored by the share of everyday characters among the wide ones: the commonest
characters of Chinese cover about 45 % of any text, kana 50 to 70 % of Japanese, the commonest syllables half of Korean; the same bytes
read wrongly give 0 to 5 %. Source of the lists: the usual frequency tables of each language, cut where a text of a line is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

HANS = frozenset(
    "的一是不了人我在有他这中大来上个国到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天而能好都然没日于起还发成"
    "事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长，。、"
)
HANT = frozenset(
    "的一是不了人我在有他這中大來上個國到說們為子和你地出道也時年得就那要下以生會自著去之過家學對可她裡後小麼心多天而能好都然沒日於起還發成"
    "事只作當想看文無開手十用主行方又如前所本見經頭面公同三已老從動兩長，。、"
)
HANGUL = frozenset(
    "이다는의에가을를고하한지로사도서기자인리대그어시으니정나보일해수아스들과라게만있었것전오부여원구제주상비조장안우동공거마국년경위신적성면중세"
)


def _kana(character: str) -> bool:
    return "\u3040" <= character <= "\u30ff" or character in "、。"


EVERYDAY: Mapping[str, Callable[[str], bool]] = {
    "gb18030": HANS.__contains__,
    "big5": HANT.__contains__,
    "cp932": _kana,
    "cp949": HANGUL.__contains__,
}
TRIED = ("GB18030", "Big5", "Shift-JIS", "EUC-KR", "Windows-1252")
ENOUGH = 0.2
"""Share of everyday characters: half of what the poorest right reading had, four times the best wrong one."""
CLEAR = 2.0
"""How many times the second best the best must be."""
FEWEST = 4
"""Wide characters. Fewer say nothing by their frequency."""
COMMON_SHARE = 0.6
"""Chinese in GB18030 has nearly all of its characters in GB2312; other bytes read as GB18030 mostly do not. This decides for lists of
rare characters, where nothing else fits."""

WESTERN = frozenset(
    ["Danish", "Dutch", "English", "Finnish", "French", "German", "Italian", "Norwegian", "Portuguese", "Spanish", "Swedish"]
)
WESTERN_LETTERS = frozenset("àáâãäåæçèéêëìíîïñòóôõöøœùúûüýÿßÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØŒÙÚÛÜÝ’‘“”„–—«»‹›°·•€£…©®™§½¼²³´¨ªº¡¿\u00a0")
CODE_PAGES = ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "koi8_r", "iso8859_2")
FEWEST_MARKS, LARGEST_MARK_SHARE, COHERENT, NEAR = 4, 0.3, 0.4, 0.08
"""High bytes needed; the largest share of all letters they may be (in Cyrillic or Greek they are all of them); charset-normalizer's
coherence of a language, and by how much another code page may exceed it (French reads nearly as well as cp1250)."""


def encoding(sample: bytes) -> str:
    """The codec the sample is surely in, or "". The sample is whole lines that hold bytes outside of ASCII."""
    scores = {name: found for name in EVERYDAY if (found := _score(name, sample)) is not None}
    ranked = sorted(scores, key=lambda name: -scores[name][0])
    if ranked:
        best, second = scores[ranked[0]], scores[ranked[1]][0] if len(ranked) > 1 else 0.0
        if best[0] >= ENOUGH and best[0] >= CLEAR * second and best[1] >= FEWEST:
            return ranked[0]
    if _western(sample):
        return "cp1252"
    others = any(share for name, (share, _) in scores.items() if name != "gb18030")
    return "gb18030" if "gb18030" in scores and _rare_chinese(sample, others) else ""


def _score(name: str, sample: bytes) -> tuple[float, int] | None:
    """(share of everyday characters, number of wide characters), or None where the bytes do not fit. A character cut at the end is let go."""
    try:
        text = sample.decode(name)
    except UnicodeDecodeError as fault:
        if fault.start < len(sample) - 3:
            return None
        text = sample[: fault.start].decode(name)
    wide = [character for character in text if character > "\u007f"]
    if not wide:
        return None
    return sum(map(EVERYDAY[name], wide)) / len(wide), len(wide)


def _rare_chinese(sample: bytes, others: bool) -> bool:
    """Lists of rare characters, where frequency is silent. One to three characters must be of GB2312's first level, whose bytes are no
    accented small letters in Latin-1, and no other encoding may see an everyday character in them."""
    wide = "".join(character for character in sample.decode("gb18030", "ignore") if character > "\u007f")
    common = wide.encode("gb2312", "ignore")
    if len(wide) < FEWEST:
        return not others and len(common) == 2 * len(wide) and all(0xB0 <= lead <= 0xD7 for lead in common[::2])
    return len(common) // 2 >= COMMON_SHARE * len(wide)


def looks_western(sample: bytes) -> bool:
    """Whether the bytes above ASCII are all letters and marks of western European text, as a page that claims Latin-1 must have them."""
    text = sample.decode("cp1252", "replace")
    marks = [character for character in text if character > "\u007f"]
    letters = sum(character.isalpha() for character in text)
    return sum(mark.isalpha() for mark in marks) <= LARGEST_MARK_SHARE * letters and all(mark in WESTERN_LETTERS for mark in marks)


def _western(sample: bytes) -> bool:
    if sum(byte > 127 for byte in sample) < FEWEST_MARKS or not looks_western(sample):
        return False
    from charset_normalizer import from_bytes

    matches = {match.encoding: match for match in from_bytes(sample[:8192], cp_isolation=list(CODE_PAGES))}
    found = matches.get("cp1252") or next((match for match in matches.values() if "cp1252" in match.could_be_from_charset), None)
    if found is None or found.language not in WESTERN or found.coherence < COHERENT:
        return False
    return all(other.coherence <= found.coherence + NEAR for other in matches.values())
