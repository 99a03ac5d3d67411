"""Signatures of texts that agree in about as many places as the texts share words' neighbours: MinHash (Broder, 1997).

Candidates come from locality-sensitive hashing in bands; each is then checked against the threshold, so that banding
decides only what is compared. A record is dropped when one that was kept, and came earlier, is similar.
"""

from collections import defaultdict

import numpy as np
import pyarrow as pa

from headrace.api.steps import Near
from headrace_workers.data.steps.step import text_of

SHINGLE_WORDS = 3
SEED = 42


def signatures(table: pa.Table, settings: Near, place: str) -> pa.Array:
    """One MinHash signature a record: a list of as many numbers as there are permutations."""
    from rensa import RMinHash

    digests = []
    for text in text_of(table, settings.column, place).to_pylist():
        minhash = RMinHash(num_perm=settings.permutations, seed=SEED)
        minhash.update(shingles(text or ""))
        digests.append(minhash.digest())
    return pa.array(digests, pa.list_(pa.uint32()))


def shingles(text: str) -> list[str]:
    """Every run of three words; of a shorter text, the whole."""
    words = text.split()
    return [" ".join(words[start : start + SHINGLE_WORDS]) for start in range(max(1, len(words) - SHINGLE_WORDS + 1))]


def first_of_each(signatures: pa.Array, settings: Near) -> np.ndarray:
    """For each record whether no earlier kept one is similar."""
    if not len(signatures):
        return np.zeros(0, dtype=bool)
    digests = signatures.flatten().to_numpy().reshape(len(signatures), -1)
    rows_per_band = band_rows(settings.threshold, settings.permutations)
    starts = range(0, settings.permutations - rows_per_band + 1, rows_per_band)
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    kept = np.ones(len(digests), dtype=bool)
    for row, digest in enumerate(digests):
        keys = [(start, digest[start : start + rows_per_band].tobytes()) for start in starts]
        candidates = sorted({other for key in keys for other in buckets.get(key, ())})
        if candidates and (digests[candidates] == digest).mean(axis=1).max() >= settings.threshold:
            kept[row] = False
            continue
        for key in keys:
            buckets[key].append(row)
    return kept


def band_rows(threshold: float, permutations: int) -> int:
    """Rows of a band: as many as keep the chance of missing a pair at the threshold below 1 in 1,000."""
    for rows in range(permutations, 1, -1):
        if (1 - threshold**rows) ** (permutations // rows) < 0.001:
            return rows
    return 1
