"""data-juicer 1.6: its DocumentMinhashDeduplicator with characters of 5, 14 bands of 8 rows.

Its own `compute_hash` and tables; reading and writing through `datasets` is left out. Characters, because with its default (spaces) a
Chinese text without spaces has no shingles and all such texts are equal. Run as: python data_juicer_peer.py INPUT.jsonl OUT.json
"""

import json
import sys
import time
from collections import defaultdict

from data_juicer.ops.deduplicator.document_minhash_deduplicator import DocumentMinhashDeduplicator
from data_juicer.utils.constant import HashKeys

CONFIGURATION = "DocumentMinhashDeduplicator, characters of 5, 112 permutations, 14x8"
BANDS, ROWS = 14, 8


def main():
    with open(sys.argv[1], encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    began = time.process_time()
    operator = DocumentMinhashDeduplicator(
        tokenization="character", window_size=5, num_permutations=BANDS * ROWS, num_bands=BANDS, num_rows_per_band=ROWS
    )
    tables = [defaultdict(list) for _ in range(BANDS)]
    for row, text in enumerate(texts):
        for table, key in zip(tables, operator.compute_hash({operator.text_key: text})[HashKeys.minhash], strict=True):
            table[key].append(row)
    links = {(bucket[0], row) for table in tables for bucket in table.values() for row in bucket[1:]}
    spent = time.process_time() - began
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        json.dump({"cpu_s": spent, "links": sorted(links), "configuration": CONFIGURATION}, out)


if __name__ == "__main__":
    main()
