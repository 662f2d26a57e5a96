"""datasketch 2.0.0 fed with Sapwood's own shingle hashes: the same library without the cost of cutting text in plain Python.

The harshest comparison: what is left of the peer is its signatures and its index. Cutting and hashing are ours and are counted.
Run by Sapwood's own Python: python datasketch_fed_peer.py INPUT.jsonl OUT.json
"""

import json
import sys
import time

import numpy as np
from datasketch import MinHash, MinHashLSH

from sapwood.text.near import shingling

CONFIGURATION = "as datasketch, fed with Sapwood's shingle hashes (32 bits of them)"
BANDS, ROWS = 14, 8


def hashed(texts):
    """uint32 hashes of each text's shingles, in the order of the texts."""
    for chunk in shingling.windows(texts):
        values = (chunk.values >> np.uint64(20)).astype(np.uint32)
        yield from np.split(values, np.cumsum(chunk.windows)[:-1])


def main():
    with open(sys.argv[1], encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    list(shingling.windows(texts[:100]))  # tables are built once
    began = time.process_time()
    lsh = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
    links = []
    made = MinHash.generator(
        (found.tolist() for found in hashed(texts)), num_perm=BANDS * ROWS, hashfunc=lambda value: value, scheme="affine32"
    )
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
