"""text-dedup 0.4: its own `embed_func` and union-find, xxh3 with 32 bits, 14 bands of 8 rows, words of 5.

Its words are what stands between non-word characters; it has no character mode for Chinese. Reading and writing through `datasets`
is left out. Links are the unions that its buckets make. Run as: python text_dedup_peer.py INPUT.jsonl OUT.json
"""

import json
import sys
import time
from collections import defaultdict

import numpy as np
from text_dedup.minhash import SIGNATURE_COLUMN, embed_func
from text_dedup.utils import xxh3_32hash

CONFIGURATION = "embed_func, 112 permutations, 14x8, xxh3 of 32 bits, words of 5"
BANDS, ROWS, K = 14, 8, 5
PRIME, MOST = np.uint32((1 << 32) - 5), np.uint32((1 << 32) - 1)


def main():
    with open(sys.argv[1], encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    began = time.process_time()
    chance = np.random.RandomState(42)
    permutations = (
        chance.randint(1, PRIME, size=BANDS * ROWS, dtype=np.uint32),
        chance.randint(0, PRIME, size=BANDS * ROWS, dtype=np.uint32),
    )
    tables = [defaultdict(list) for _ in range(BANDS)]
    for row, text in enumerate(texts):
        made = embed_func(
            text,
            row,
            num_perm=BANDS * ROWS,
            ngram_size=K,
            min_length=K,
            hashranges=[(band * ROWS, (band + 1) * ROWS) for band in range(BANDS)],
            permutations=permutations,
            hash_func=xxh3_32hash,
            dtype=np.uint32,
            max_hash=MOST,
            modulo_prime=PRIME,
        )
        if made[SIGNATURE_COLUMN][0] == b"\xff" * (4 * ROWS):  # no shingles; its main filters these before
            continue
        for table, key in zip(tables, made[SIGNATURE_COLUMN], strict=True):
            table[key].append(row)
    links = {(bucket[0], row) for table in tables for bucket in table.values() for row in bucket[1:]}
    spent = time.process_time() - began
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        json.dump({"cpu_s": spent, "links": sorted(links), "configuration": CONFIGURATION}, out)


if __name__ == "__main__":
    main()
