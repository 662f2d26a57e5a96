"""Generated records with personal data at known places, in English, Chinese and both mixed, to measure a finder of it on.

    for record in records(2000, seed=1):
        tally.add(record, pii.find(record.text))

A record is one to four clauses; each holds a value with its type and place, a near miss (order numbers, hashes, versions, prices, times,
18 digits that are no ID, cards that fail Luhn), or nothing. Values stand with and without a word that names them, in the usual groupings,
right next to Chinese text, and some in full-width characters. Checksums, issuers and numbering plans are right; people, places and
numbers are drawn by chance.

It measures finders against what its author thought of, not against the world: real text has forms that are not here, and numbers
from it are an upper bound.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sapwood.testing import record_values as values

LANGUAGES = ("en", "zh", "mixed")
SHARE_NEAR, SHARE_NOTHING, SHARE_WIDE = 0.35, 0.1, 0.12
WIDE = {point: point + 0xFEE0 for point in range(0x21, 0x7F)}


class Span(NamedTuple):
    """`text[start:end]` is a value of `entity_type`."""

    entity_type: str
    start: int
    end: int


class Record(NamedTuple):
    text: str
    spans: tuple[Span, ...]
    language: str


CLAUSES: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        "": ("{} is what I have.", "Please note {} for later.", "They wrote {} in the form.", "({})", "We got {} from the customer."),
        "EMAIL_ADDRESS": ("Write to {} today.", "mail:{}", "<{}>", "Contact {}, please."),
        "PHONE_NUMBER": ("Call {} after six.", "Tel: {}.", "My number is {}, ring me.", "phone {}", "Reach us on {} or by post."),
        "CREDIT_CARD": ("I paid with {} twice.", "Card no. {}, exp 09/27.", "card:{}"),
        "IBAN_CODE": ("Transfer it to {} please.", "IBAN {}, thanks.", "account {}"),
        "CN_ID_NUMBER": ("The ID card number is {}.", "ID {}", "Identity document {} was shown."),
        "IP_ADDRESS": ("The request came from {} at night.", "ip={}", "host {} did not answer"),
        "MAC_ADDRESS": ("The device {} joined.", "mac={}"),
        "PASSPORT": ("Passport no. {} expires soon.", "passport: {}", "The passport number is {}."),
        "LICENSE_PLATE": ("The car {} was parked here.", "plate {}"),
        "POSTAL_ADDRESS": ("She lives at {} with two cats.", "Ship to: {}.", "Our office is at {}.", "We moved from {} last year."),
    },
    "zh": {
        "": ("{}就是我留的。", "资料里写着{}，请核对。", "客户填的是{}。", "（{}）", "备注：{}；"),
        "EMAIL_ADDRESS": ("请发到{}谢谢。", "邮箱：{}，", "我的邮箱是{}哦。", "联系{}即可。"),
        "PHONE_NUMBER": ("请打{}找我。", "电话：{}，", "手机号是{}急。", "我号码{}随时在线，", "联系人老王{}。"),
        "CREDIT_CARD": ("卡号{}。", "我用{}付了两次款。", "银行卡：{}，"),
        "IBAN_CODE": ("请汇到{}谢谢。", "国际账号{}，"),
        "CN_ID_NUMBER": ("身份证{}号。", "身份证号码：{}，", "证件号为{}，请查。"),
        "IP_ADDRESS": ("请求来自{}的机器。", "登录地址{}，"),
        "MAC_ADDRESS": ("设备{}已上线。", "网卡地址{}，"),
        "PASSPORT": ("护照号码{}快过期了。", "护照：{}，", "护照号是{}。"),
        "LICENSE_PLATE": ("车牌{}的车主请挪车。", "我开的是{}，", "{}停在门口。"),
        "POSTAL_ADDRESS": ("我住在{}，欢迎来玩。", "请寄到{}。", "地址：{}，", "公司在{}。", "去年从{}搬走了。"),
    },
}
NEAR: dict[str, tuple[str, ...]] = {
    "en": ("Order {} shipped.", "It says {} here.", "ref {}", "The value {} is odd.", "{} was logged."),
    "zh": ("订单{}已发货。", "这里写着{}。", "编号{}，", "日志里的{}很奇怪。", "显示{}而已。"),
}
FILLER = {
    "en": ("Nothing else to say.", "It was a quiet day.", "We sat by the river and talked."),
    "zh": ("没有别的了。", "今天天气不错。", "我们在河边聊了很久。"),
}


def records(count: int, seed: int = 0) -> Iterator[Record]:
    """That many records, the languages in turn. The same seed gives the same records."""
    chance = random.Random(seed)
    for number in range(count):
        language = LANGUAGES[number % len(LANGUAGES)]
        yield _record(chance, language)


def _record(chance: random.Random, language: str) -> Record:
    text, spans = "", []
    for _ in range(chance.randint(1, 4)):
        spoken = chance.choice(("en", "zh")) if language == "mixed" else language
        value_language = chance.choice(("en", "zh")) if language == "mixed" else language
        draw = chance.random()
        if draw < SHARE_NOTHING:
            clause, kind, value = chance.choice(FILLER[spoken]), "", ""
        elif draw < SHARE_NOTHING + SHARE_NEAR:
            clause, kind = chance.choice(NEAR[spoken]), ""
            value = chance.choice(values.NEAR_MISSES)(chance)
        else:
            kind = chance.choice(values.TYPES[value_language])
            value, named = values.value(chance, kind, value_language)
            clause = chance.choice(CLAUSES[spoken][kind if named or chance.random() < 0.7 else ""])
            if value_language == "zh" and chance.random() < SHARE_WIDE and kind != "POSTAL_ADDRESS":
                value = value.translate(WIDE)
        place = len(text) + clause.index("{}") if "{}" in clause else 0
        text += clause.replace("{}", value) + (" " if spoken == "en" else "")
        if kind:
            spans.append(Span(kind, place, place + len(value)))
    return Record(text, tuple(spans), language)


class Tally:
    """Hits and misses by (type, language).

    A true span is found when findings of its type cover all of it. A finding is right when half of it or more lies in a true span of
    its type; every other finding is a false one of its type.
    """

    def __init__(self) -> None:
        self.true: Counter[tuple[str, str]] = Counter()
        self.found: Counter[tuple[str, str]] = Counter()
        self.said: Counter[tuple[str, str]] = Counter()
        self.right: Counter[tuple[str, str]] = Counter()
        self.missed: list[tuple[str, str, str]] = []
        self.false: list[tuple[str, str, str]] = []

    def add(self, record: Record, findings: Sequence[Span | tuple]) -> None:
        """`findings`: (type, start, end, ...) each."""
        said = [Span(*finding[:3]) for finding in findings]
        for span in record.spans:
            key = (span.entity_type, record.language)
            covered = sum(_overlap(span, one) for one in said if one.entity_type == span.entity_type)
            self.true[key] += 1
            if covered == span.end - span.start:
                self.found[key] += 1
            else:
                self.missed.append((*key, record.text[max(0, span.start - 12) : span.end + 8]))
        for one in said:
            key = (one.entity_type, record.language)
            inside = sum(_overlap(one, span) for span in record.spans if span.entity_type == one.entity_type)
            self.said[key] += 1
            if 2 * inside >= one.end - one.start:
                self.right[key] += 1
            else:
                self.false.append((*key, record.text[max(0, one.start - 12) : one.end + 8]))

    def table(self) -> dict[str, dict[str, dict[str, float]]]:
        """{type: {language: {n, recall, precision}}}."""
        made: dict[str, dict[str, dict[str, float]]] = {}
        for kind, language in sorted(set(self.true) | set(self.said)):
            n, said = self.true[kind, language], self.said[kind, language]
            made.setdefault(kind, {})[language] = {
                "n": n,
                "recall": round(self.found[kind, language] / n, 4) if n else 0.0,
                "precision": round(self.right[kind, language] / said, 4) if said else 0.0,
            }
        return made


def _overlap(one: Span, other: Span) -> int:
    return max(0, min(one.end, other.end) - max(one.start, other.start))


Finder = Callable[[str], Sequence[Span | tuple]]


def measure(find: Finder, count: int = 3000, seed: int = 0) -> Tally:
    """A finder's tally on that many records."""
    tally = Tally()
    for record in records(count, seed):
        tally.add(record, find(record.text))
    return tally
