"""datasketch 2.0.0, batched: MinHash.generator over shingles in sets, 14 bands of 8 rows, 32-bit scheme, xxhash.

Shingles as in the task: words of 5, characters of 5 for Chinese, from a normal form (NFKC, case folded, letters and digits).
Candidates are taken as they are, which is how the library is used. Run as: python datasketch_peer.py INPUT.jsonl OUT.json
"""

import json
import re
import sys
import time
import unicodedata

import xxhash
from datasketch import MinHash, MinHashLSH

CONFIGURATION = "MinHash.generator, 112 permutations, affine32, xxh32, MinHashLSH 14x8"
BANDS, ROWS, K = 14, 8, 5
UNIT = re.compile(r"[぀-ヿ㐀-䶿一-鿿豈-﫿\U00020000-\U0003ffff]|[^\W_぀-ヿ㐀-䶿一-鿿豈-﫿\U00020000-\U0003ffff]+")


def shingles(text):
    text = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    units = [unit.encode() for unit in UNIT.findall(text)]
    return set(map(b" ".join, zip(units, units[1:], units[2:], units[3:], units[4:], strict=False)))


def main():
    with open(sys.argv[1], encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    began = time.process_time()
    lsh = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
    links = []
    made = MinHash.generator(map(shingles, texts), num_perm=BANDS * ROWS, hashfunc=xxhash.xxh32_intdigest, scheme="affine32")
    for row, signature in enumerate(made):
        if signature.is_empty():
            continue
        links += [(other, row) for other in lsh.query(signature)]
        lsh.insert(row, signature, check_duplication=False)
    spent = time.process_time() - began
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        json.dump({"cpu_s": spent, "links": links, "configuration": CONFIGURATION}, out)


if __name__ == "__main__":
    main()
