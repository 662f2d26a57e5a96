"""Values of personal data with right checksums, and near misses, drawn by chance. What `records` puts into its clauses."""

from __future__ import annotations

import random
from collections.abc import Callable

Draw = Callable[[random.Random], str]

TYPES = {
    "en": ("EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "IP_ADDRESS", "MAC_ADDRESS", "PASSPORT", "POSTAL_ADDRESS", "CN_ID_NUMBER"),
    "zh": (
        "EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "CN_ID_NUMBER", "IBAN_CODE", "IP_ADDRESS", "MAC_ADDRESS", "PASSPORT",
        "LICENSE_PLATE", "POSTAL_ADDRESS",
    ),
}  # fmt: skip
FIRST = [
    "anna",
    "ben",
    "carla",
    "david",
    "emma",
    "frank",
    "grace",
    "henry",
    "irene",
    "john",
    "kate",
    "liam",
    "maria",
    "noah",
    "olivia",
    "peter",
    "rosa",
    "sam",
    "tina",
]
LAST = ["smith", "miller", "jones", "garcia", "brown", "wilson", "taylor", "khan", "lopez", "meyer", "rossi", "dubois", "novak", "silva"]
PINYIN = ["zhang", "wang", "li", "zhao", "chen", "liu", "yang", "huang", "zhou", "wu", "xu", "sun", "ma", "zhu", "hu"]
DOMAINS = {
    "en": ("example.com", "mail.example.co.uk", "gmail.com", "uni-test.edu", "firm.io", "sub.dept.example.org"),
    "zh": ("163.com", "qq.com", "example.com.cn", "126.com", "mail.example.cn", "sina.com"),
}
REGIONS = [
    "110105",
    "120101",
    "130102",
    "210103",
    "310115",
    "320106",
    "330106",
    "340104",
    "350203",
    "370202",
    "410105",
    "420106",
    "430104",
    "440305",
    "500103",
    "510107",
    "610113",
    "650102",
]
BINS = (
    ("4", 16),
    ("51", 16),
    ("55", 16),
    ("2221", 16),
    ("34", 15),
    ("37", 15),
    ("622848", 19),
    ("621700", 19),
    ("622202", 19),
    ("625912", 16),
    ("6011", 16),
    ("3528", 16),
)
IBANS = (
    ("DE", "d18"),
    ("GB", "a4d14"),
    ("FR", "d10c11d2"),
    ("NL", "a4d10"),
    ("ES", "d20"),
    ("IT", "a1d10c12"),
    ("CH", "d5c12"),
    ("PL", "d24"),
)
STREETS = [
    "Main",
    "Oak",
    "Elm",
    "Maple",
    "Park",
    "Washington",
    "Lincoln",
    "Church",
    "High",
    "Mill",
    "River",
    "Sunset",
    "Highland",
    "Cedar",
    "Baker",
    "Abbey",
    "Kingston",
]
SUFFIXES = ["Street", "St.", "Avenue", "Ave", "Road", "Rd", "Lane", "Drive", "Boulevard", "Blvd", "Court", "Close", "Terrace"]
CITIES = (
    ("Springfield", "IL 62701"),
    ("Boston", "MA 02108"),
    ("Austin", "TX 78701"),
    ("London", "NW1 6XE"),
    ("Leeds", "LS1 4DY"),
    ("San Jose", "CA 95112"),
)
PLACES = (
    ("北京市", "朝阳区", "建国路"), ("上海市", "浦东新区", "世纪大道"), ("广东省深圳市", "南山区", "科苑南路"), ("浙江省杭州市", "西湖区", "文三路"),
    ("四川省成都市", "武侯区", "人民南路四段"), ("江苏省南京市", "鼓楼区", "中山北路"), ("湖北武汉", "洪山区", "珞喻路"), ("河南省郑州市", "金水区", "花园路"),
    ("陕西省西安市", "雁塔区", "长安南路"), ("辽宁沈阳", "和平区", "南京北街"), ("福建省厦门市", "思明区", "湖滨南路"), ("山东省青岛市", "市南区", "香港中路"),
    ("", "海淀区", "中关村大街"), ("", "天河区", "体育西路"), ("", "昌平区回龙观镇", "龙域中街"), ("台北市", "信義區", "信義路五段"), ("高雄市", "左營區", "博愛二路"),
)  # fmt: skip
ESTATES = ("阳光花园", "金色家园", "翠湖小区", "东方公寓", "国贸大厦")
PLATE_HEADS = "京沪粤浙苏鲁川鄂豫皖闽陕辽渝津"


def digits(chance: random.Random, count: int) -> str:
    return "".join(chance.choice("0123456789") for _ in range(count))


def value(chance: random.Random, kind: str, language: str) -> tuple[str, bool]:
    """(value, whether only a word beside it can tell what it is)."""
    if kind == "CN_ID_NUMBER" and chance.random() < 0.1:
        return old_id_number(chance), True
    return MAKERS[kind](chance, language), kind == "PASSPORT"


def email(chance: random.Random, language: str) -> str:
    names = PINYIN if language == "zh" else FIRST
    first, last = chance.choice(names), chance.choice(PINYIN if language == "zh" else LAST)
    forms = (
        f"{first}.{last}",
        f"{first}_{last}{digits(chance, 2)}",
        f"{first[0]}{last}",
        f"{first}+news",
        digits(chance, 9),
        f"{first}-{last}",
    )
    local = chance.choice(forms)
    return f"{local.capitalize() if chance.random() < 0.1 else local}@{chance.choice(DOMAINS[language])}"


def phone(chance: random.Random, language: str) -> str:
    return chance.choice(CHINESE_PHONES if language == "zh" else ENGLISH_PHONES)(chance)


def _mobile(chance: random.Random) -> str:
    head = chance.choice(["130", "135", "138", "139", "150", "158", "166", "176", "180", "186", "188", "189", "199"])
    a, b = digits(chance, 4), digits(chance, 4)
    return chance.choice(
        (
            f"{head}{a}{b}",
            f"{head}{a}{b}",
            f"{head}-{a}-{b}",
            f"{head} {a} {b}",
            f"+86 {head} {a} {b}",
            f"+86{head}{a}{b}",
            f"0086-{head}{a}{b}",
        )
    )


def _landline(chance: random.Random) -> str:
    area = chance.choice(["010", "021", "020", "0571", "0755", "028", "025", "027"])
    number = chance.choice(["2", "5", "6", "8"]) + digits(chance, 7)
    return chance.choice(
        (
            f"{area}-{number}",
            f"({area}){number}",
            f"{area} {number[:4]} {number[4:]}",
            f"{area}-{number}转{digits(chance, 3)}",
            f"{area}-{number}-{digits(chance, 3)}",
        )
    )


def _taiwan(chance: random.Random) -> str:
    return chance.choice(
        (
            f"09{digits(chance, 2)}-{digits(chance, 3)}-{digits(chance, 3)}",
            f"02-2{digits(chance, 3)}-{digits(chance, 4)}",
            f"(02) 2{digits(chance, 3)}-{digits(chance, 4)}",
        )
    )


def _american(chance: random.Random) -> str:
    area, mid, last = (
        chance.choice(["212", "312", "415", "617", "650", "713", "206"]),
        chance.choice("23456789") + digits(chance, 2),
        digits(chance, 4),
    )
    mid = "253" if mid[1:] == "11" else mid
    return chance.choice(
        (
            f"({area}) {mid}-{last}",
            f"{area}-{mid}-{last}",
            f"{area}.{mid}.{last}",
            f"+1 {area}-{mid}-{last}",
            f"1-{area}-{mid}-{last}",
            f"+1{area}{mid}{last}",
        )
    )


def _british(chance: random.Random) -> str:
    a, b = digits(chance, 3), digits(chance, 3)
    return chance.choice(
        (
            f"020 7{a} {b}{digits(chance, 1)}",
            f"+44 20 7{a} {b}{digits(chance, 1)}",
            f"0{chance.randint(7400, 7500)} {a}{b}",
            f"07984 {chance.randint(100, 999)}{b}",
            f"+44 7984 {chance.randint(100, 999)}{b}",
        )
    )


def _abroad(chance: random.Random) -> str:
    return chance.choice(
        (
            f"+49 30 {chance.randint(2, 8)}{digits(chance, 6)}",
            f"+81 3-3{digits(chance, 3)}-{digits(chance, 4)}",
            f"+33 1 4{digits(chance, 1)} {digits(chance, 2)} {digits(chance, 2)} {digits(chance, 2)}",
            f"+65 6{digits(chance, 3)} {digits(chance, 4)}",
        )
    )


CHINESE_PHONES: tuple[Draw, ...] = (_mobile, _mobile, _mobile, _landline, _landline, _taiwan)
ENGLISH_PHONES: tuple[Draw, ...] = (_american, _american, _british, _abroad)


def id_number(chance: random.Random, _: str = "") -> str:
    """18 characters with the check character of GB 11643, in one piece or in its three parts."""
    body = f"{chance.choice(REGIONS)}{chance.randint(1945, 2012)}{chance.randint(1, 12):02d}{chance.randint(1, 28):02d}{digits(chance, 3)}"
    total = sum(int(digit) * (2 ** (17 - place) % 11) for place, digit in enumerate(body))
    whole = body + "10X98765432"[total % 11]
    draw = chance.random()
    if draw < 0.15:
        mark = chance.choice(" -")
        return f"{whole[:6]}{mark}{whole[6:14]}{mark}{whole[14:]}"
    return whole.lower() if draw < 0.3 else whole


def old_id_number(chance: random.Random) -> str:
    return f"{chance.choice(REGIONS)}{chance.randint(30, 85)}{chance.randint(1, 12):02d}{chance.randint(1, 28):02d}{digits(chance, 3)}"


def luhn(body: str) -> str:
    """The check digit."""
    total = sum(sum(divmod(int(digit) * (2 if place % 2 == 0 else 1), 10)) for place, digit in enumerate(reversed(body)))
    return str(-total % 10)


def card(chance: random.Random, _: str = "") -> str:
    head, length = chance.choice(BINS)
    body = head + digits(chance, length - 1 - len(head))
    whole = body + luhn(body)
    mark = chance.choice(("", "", " ", "-"))
    if length == 15 and mark:
        return f"{whole[:4]}{mark}{whole[4:10]}{mark}{whole[10:]}"
    return mark.join(whole[place : place + 4] for place in range(0, length, 4)) if mark else whole


def iban(chance: random.Random, _: str = "") -> str:
    country, shape = chance.choice(IBANS)
    body, place = "", 0
    while place < len(shape):
        kind, stop = shape[place], place + 1
        while stop < len(shape) and shape[stop].isdigit():
            stop += 1
        letters = {"d": "0123456789", "a": "ABCDEFGHKLMNPRSTW", "c": "0123456789ABCDEF"}[kind]
        body += "".join(chance.choice(letters) for _ in range(int(shape[place + 1 : stop])))
        place = stop
    spelt = int("".join(str(int(letter, 36)) for letter in body + country + "00"))
    whole = f"{country}{98 - spelt % 97:02d}{body}"
    return " ".join(whole[place : place + 4] for place in range(0, len(whole), 4)) if chance.random() < 0.5 else whole


def ip(chance: random.Random, _: str = "") -> str:
    if chance.random() < 0.25:
        groups = [f"{chance.randrange(1, 1 << 16):x}" for _ in range(4)]
        return chance.choice((f"2400:{groups[0]}:{groups[1]}::{groups[2]}", f"2a02:{groups[0]}:{groups[1]}:{groups[2]}:{groups[3]}:1:2:3"))
    return f"{chance.choice((8, 23, 36, 47, 58, 61, 101, 113, 119, 139, 180, 202, 218))}.{chance.randint(1, 254)}.{chance.randint(0, 255)}.{chance.randint(1, 254)}"


def mac(chance: random.Random, _: str = "") -> str:
    pairs = [f"{chance.randrange(256):02x}" for _ in range(6)]
    whole = chance.choice(":-").join(pairs)
    return whole.upper() if chance.random() < 0.5 else whole


def passport(chance: random.Random, language: str) -> str:
    return (
        chance.choice("EG" if language == "zh" else "ABC") + digits(chance, 8)
        if chance.random() < 0.7
        else chance.choice("123456789") + digits(chance, 8)
    )


def plate(chance: random.Random, _: str = "") -> str:
    head = chance.choice(PLATE_HEADS) + chance.choice("ABCDEFG") + chance.choice(("", "", "·", " "))
    if chance.random() < 0.3:
        return head + chance.choice("DF") + digits(chance, 5)
    tail = chance.choice(("A", "K", "X")) + digits(chance, 4)
    return head + (tail if chance.random() < 0.5 else digits(chance, 5))


def address(chance: random.Random, language: str) -> str:
    return _chinese_address(chance) if language == "zh" else _english_address(chance)


def _chinese_address(chance: random.Random) -> str:
    city, district, road = chance.choice(PLACES)
    traditional = "區" in district
    whole = city + district + road + f"{chance.randint(1, 999)}{'號' if traditional else '号'}"
    if traditional:
        return whole + chance.choice(("", f"{chance.randint(2, 15)}樓", f"{chance.randint(2, 15)}樓之{chance.randint(1, 9)}"))
    room = f"{chance.randint(1, 20)}{chance.choice(('号楼', '栋', '幢'))}{chance.randint(1, 4)}单元{chance.randint(101, 2899)}室"
    return whole + chance.choice(
        ("", "", room, f"{chance.choice(ESTATES)}{room}", f"{chance.choice('ABC')}座{chance.randint(101, 2899)}室")
    )


def _english_address(chance: random.Random) -> str:
    if chance.random() < 0.12:
        return chance.choice((f"PO Box {chance.randint(10, 9999)}", f"P.O. Box {chance.randint(10, 9999)}"))
    name = chance.choice(
        (chance.choice(STREETS), f"{chance.choice(('N', 'West', 'S.'))} {chance.choice(STREETS)}", f"{chance.randint(4, 90)}th")
    )
    whole = f"{chance.randint(1, 1899)}{chance.choice(('', '', '', 'B'))} {name} {chance.choice(SUFFIXES)}"
    if chance.random() < 0.3:
        whole += f", {chance.choice(('Apt', 'Suite', 'Unit'))} {chance.randint(1, 40)}{chance.choice(('', 'B'))}"
    if chance.random() < 0.5:
        city, code = chance.choice(CITIES)
        whole += f", {city}, {code}" if code[2] == " " else f", {city} {code}"
    return whole


MAKERS: dict[str, Callable[[random.Random, str], str]] = {
    "EMAIL_ADDRESS": email, "PHONE_NUMBER": phone, "CREDIT_CARD": card, "IBAN_CODE": iban, "CN_ID_NUMBER": id_number, "IP_ADDRESS": ip,
    "MAC_ADDRESS": mac, "PASSPORT": passport, "LICENSE_PLATE": plate, "POSTAL_ADDRESS": address,
}  # fmt: skip


# --------------------------------------------------------------------------- near misses


def _wrong_id(chance: random.Random) -> str:
    """18 digits with a date and a wrong check character."""
    right = id_number(random.Random(chance.random()))
    while not right.isdigit():
        right = id_number(random.Random(chance.random()))
    return right[:-1] + str((int(right[-1]) + chance.randint(1, 8)) % 10 if right[-1] != "9" else 3)


def _wrong_card(chance: random.Random) -> str:
    body = "4" + digits(chance, 14)
    return body + str((int(luhn(body)) + chance.randint(1, 9)) % 10)


def _wrong_iban(chance: random.Random) -> str:
    return f"DE{chance.randint(2, 98):02d}{'1' * 8}{digits(chance, 4)}{'7' * 6}"


def _order(chance: random.Random) -> str:
    return (
        chance.choice(("SN", "ORD-", "A", "TB", "#", ""))
        + chance.choice(("2", "7", "9"))
        + digits(chance, chance.choice((7, 9, 11, 12, 19, 23)))
    )


def _hash(chance: random.Random) -> str:
    return f"{chance.getrandbits(128):032x}"


def _uuid(chance: random.Random) -> str:
    whole = _hash(chance)
    return "-".join((whole[:8], whole[8:12], whole[12:16], whole[16:20], whole[20:]))


def _time(chance: random.Random) -> str:
    day = f"20{chance.randint(10, 26)}-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}"
    clock = f"{chance.randint(0, 23):02d}:{chance.randint(0, 59):02d}:{chance.randint(0, 59):02d}"
    return chance.choice(
        (
            f"{day} {clock}",
            f"{day}T{clock}Z",
            day.replace("-", ""),
            day.replace("-", "/"),
            day.replace("-", "") + clock.replace(":", ""),
            f"17{digits(chance, 8)}",
            f"17{digits(chance, 11)}",
            clock,
        )
    )


NEAR_MISSES: tuple[Draw, ...] = (
    _wrong_id, _wrong_card, _wrong_iban, _order, _order, _hash, _uuid, _time, _time,
    lambda chance: f"v{chance.randint(1, 20)}.{chance.randint(0, 40)}.{chance.randint(0, 99)}.{chance.randint(0, 200)}",
    lambda chance: f"${chance.randint(1, 99)},{digits(chance, 3)},{digits(chance, 3)}.{digits(chance, 2)}",
    lambda chance: f"{chance.randint(1000, 999999)}.{digits(chance, 2)}",
    lambda chance: f"138{digits(chance, 8)}.{digits(chance, 2)}",
    lambda chance: f"3.{digits(chance, 14)}",
    lambda chance: f"978-7-{digits(chance, 3)}-{digits(chance, 5)}-{digits(chance, 1)}",
    lambda chance: f"192.168.{chance.randint(0, 255)}.{chance.randint(1, 254)}",
    lambda chance: f"{chance.randint(20, 50)}.{digits(chance, 4)}, {chance.randint(100, 130)}.{digits(chance, 4)}",
    lambda chance: f"@{chance.choice(FIRST)}{digits(chance, 2)}",
    lambda chance: f"icon@{chance.randint(2, 3)}x.png",
    lambda chance: f"{chance.randint(1990, 2020)}-{chance.randint(2021, 2026)}",
    lambda chance: chance.choice(("地铁2号线", "第7号令", "10号选手", "3月5号", "高铁G1234次")),
    lambda chance: f"{chance.randint(2, 90)} First Class Tickets",
    lambda chance: "std::vector::size",
    lambda chance: f"{chance.randint(1, 9)} 000 000",
)  # fmt: skip
