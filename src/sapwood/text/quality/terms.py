"""Words and phrases looked for in many texts at once, by the hashes of their units: the same in English and in Chinese.

A term matches where the same units stand in a row, in the normal form of `units`: `ass` is not found in `class`, 黑人 is found in
看见黑人了, and case, width and punctuation do not matter. A text's counts depend on that text only.

It does not know inflections (list them), spelling tricks (a$$), or meaning: a medical page and an insult count alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from sapwood.text.near import shingling

PRIME = np.uint64(0x9E3779B97F4A7C15)
LONGEST = 8  # units of a term
FILTER_BITS = 16

STOP_WORDS = {
    "en": "the of and to a in is that it for was on are as with be by this at from or have an not but which you were all can has there",
    "zh": "的 了 是 在 不 有 和 这 這 我 你 他 她 们 們 也 就 都 而 与 與 及 或 个 個 为 為 以 于 於 之 其 中 对 對 从 從 到 会 會 可 能 上 下 要 被",
}
"""The commonest function words (characters in Chinese, both scripts)."""

IDENTITY = {
    "women": "woman,women,girl,girls,female,females,feminine,女人,女性,女生,女孩,妇女,婦女,女士",
    "men": "man,men,boy,boys,male,males,masculine,男人,男性,男生,男孩,男士",
    "lgbt": "gay,lesbian,bisexual,transgender,queer,homosexual,lgbt,同性恋,同性戀,双性恋,雙性戀,跨性别,跨性別",
    "black": "black people,african american,african americans,blacks,黑人,非裔",
    "white": "white people,caucasian,whites,白人",
    "asian": "asian,asians,chinese people,japanese people,korean people,亚裔,亞裔,亚洲人,亞洲人,华人,華人",
    "muslim": "muslim,muslims,islam,islamic,穆斯林,伊斯兰,伊斯蘭",
    "christian": "christian,christians,catholic,catholics,church,基督徒,基督教,天主教",
    "jewish": "jew,jews,jewish,judaism,犹太,猶太",
    "buddhist": "buddhist,buddhists,buddhism,佛教,佛教徒",
    "disabled": "disabled,disability,disabilities,blind,deaf,wheelchair,autistic,残疾,殘疾,残障,殘障,盲人,聋人,聾人,自闭症,自閉症",
    "old": "elderly,old people,senior citizens,pensioner,pensioners,老人,老年人,长者,長者",
    "migrants": "immigrant,immigrants,migrant,migrants,refugee,refugees,移民,难民,難民,农民工,農民工,外来人口",
}
"""Terms by which people are named, for the audit of what a filter removes. Short and neutral: it finds mentions, not attitudes."""


class Terms(NamedTuple):
    """Groups of terms, ready to be counted. `window[n]`: sorted hashes of the terms of n units; `member[n]`: bool[terms, groups].
    `sizes[low bits of a unit's hash]` has bit n set where a term of n units begins so: nearly every unit is turned away there."""

    groups: tuple[str, ...]
    sizes: Any
    window: Mapping[int, Any]
    member: Mapping[int, Any]


def terms(groups: Mapping[str, Iterable[str]]) -> Terms:
    """Terms of more than 8 units are left out, and so are those without any."""
    names = tuple(groups)
    listed = [(number, term) for number, name in enumerate(names) for term in groups[name]]
    hashes, counts = shingling.hashes([term for _, term in listed])
    starts = [0, *np.cumsum(counts).tolist()]
    found: dict[int, dict[int, list[int]]] = {}
    sizes = np.zeros(1 << FILTER_BITS, dtype=np.uint16)
    for place, (number, _) in enumerate(listed):
        own = hashes[starts[place] : starts[place + 1]]
        if 1 <= len(own) <= LONGEST:
            key = int(_window(own, np.zeros(1, dtype=np.int64), len(own))[0])
            found.setdefault(len(own), {}).setdefault(key, []).append(number)
            sizes[int(own[0]) & ((1 << FILTER_BITS) - 1)] |= 1 << len(own)
    window = {size: np.array(sorted(keys), dtype=np.uint64) for size, keys in found.items()}
    member = {size: np.array([[n in found[size][int(k)] for n in range(len(names))] for k in keys]) for size, keys in window.items()}
    return Terms(names, sizes, window, member)


def count(known: Terms, hashes: Any, rows: Any, texts: int) -> Any:
    """float64[texts, groups]: how often each group's terms stand in each text. `hashes`: of every unit, `rows`: its text."""
    totals = np.zeros((texts, len(known.groups)))
    begins = known.sizes.take(hashes.astype(np.uint16))  # the low bits
    some = np.flatnonzero(begins)
    begins = begins[some]
    for size, sorted_keys in known.window.items():
        places = some[(begins & (1 << size) > 0) & (some <= len(hashes) - size)]
        places = places[rows[places] == rows[places + size - 1]]
        keys = _window(hashes, places, size)
        at = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
        hit = sorted_keys[at] == keys
        owners, members = rows[places[hit]], known.member[size][at[hit]]
        for group in np.flatnonzero(known.member[size].any(axis=0)).tolist():
            totals[:, group] += np.bincount(owners[members[:, group]], minlength=texts)
    return totals


@cache
def built_in() -> Terms:
    """Stop words by language (`stop_words_en`) and identity groups (`mentions_women`)."""
    stops = {f"stop_words_{language}": words.split() for language, words in STOP_WORDS.items()}
    return terms({**stops, **{f"mentions_{group}": listed.split(",") for group, listed in IDENTITY.items()}})


def _window(hashes: Any, places: Any, size: int) -> Any:
    total = np.zeros(len(places), dtype=np.uint64)
    for step in range(size):
        total = total * PRIME + hashes[places + step]
    return total
