"""Band keys of documents: 128 permutations (Broder 1997) as 32 bands of 4 rows, by rensa's flat digests.

Two documents share a band's key when their four minima agree: with Jaccard similarity s some band is shared with probability
1 - (1 - s^4)^32: a pair at 0.7 is missed with 1.5e-4, at 0.8 with 5e-8. The keys only propose; every pair is verified from the sets.

rensa leaves Rust as lists: digests and the way out cost 8 us a document of 600 shingles, numpy's own minima 29. The one-permutation
form ("rho") would save 2 us of them and thins out on short texts, so it is not used.
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

BANDS, ROWS = 32, 4
SEED = 20_190_417  # of the permutations: a constant of the method
LEAST = 5
"""Documents with fewer shingles have no keys: an empty set equals nothing, and a tiny one too much."""


def band_keys(values: Array, windows: Array) -> Array:
    """uint64[BANDS, n]: a key for each band of each document, 0 for a document with fewer than LEAST shingles.

    `values`: the hashes of all documents one after the other, repeats allowed; `windows`: how many each has.
    """
    from rensa import RMinHash

    keys = np.zeros((BANDS, len(windows)), dtype=np.uint64)
    usable = np.flatnonzero(windows >= LEAST)
    if not len(usable):
        return keys
    offsets = np.concatenate([[0], np.cumsum(windows)]).astype(np.uint64)
    digests = RMinHash.digest_matrix_from_flat_token_hashes(np.ascontiguousarray(values), offsets, BANDS * ROWS, SEED).to_rows()
    minima = np.frombuffer(b"".join(array("I", digest) for digest in digests), dtype=np.uint32).reshape(-1, BANDS, ROWS)
    pairs = np.ascontiguousarray(minima[usable]).view(np.uint64)
    mixed = pairs[:, :, 0] * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(32)
    mixed += pairs[:, :, 1]
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    mixed ^= mixed >> np.uint64(29)
    keys[:, usable] = np.maximum(mixed, np.uint64(1)).T
    return keys
