"""Signatures of texts that agree in about as many places as the texts share words' neighbours: MinHash (Broder, 1997).

Candidates come from locality-sensitive hashing in bands; each is then checked against the threshold, so that banding
decides only what is compared. A record is dropped when one that was kept, and came earlier, is similar.
"""

import math
from array import array
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from headrace.api.steps import Near
from headrace_workers.data.steps import scratch
from headrace_workers.data.steps.step import text_of
from headrace_workers.faults import RunFault

SEED = 42
TINY = 1e-9
"""What a product may be above a whole number that it stands for."""
MOST_NUMBERS = np.iinfo(np.int32).max
BLOCK = 1 << 14
"""Records whose bands are computed at a time."""
FACTORS = np.random.default_rng(SEED).integers(2**62, 2**63, 1024, dtype=np.uint64) | np.uint64(1)


def signatures(table: pa.Table, settings: Near, place: str) -> pa.Array:
    """One MinHash signature a record: a list of as many numbers as there are permutations."""
    from rensa import RMinHash

    from headrace_workers.data.steps.shingle_hashes import shingle_hashes

    hashes, bounds = shingle_hashes(text_of(table, settings.column, place))
    digests = RMinHash.digest_matrix_from_flat_token_hashes(hashes, bounds, settings.permutations, SEED).to_rows()
    # Arrays row by row: numpy takes twice as long for a list of lists.
    flat = pa.array(np.frombuffer(b"".join(array("I", digest) for digest in digests), np.uint32))
    return pa.FixedSizeListArray.from_arrays(flat, settings.permutations).cast(pa.list_(pa.uint32()))


def first_of_each(signatures: Iterable[pa.Array], settings: Near) -> np.ndarray:
    """For each record whether no earlier kept one is similar; signatures come piece by piece, more than memory holds."""
    from headrace_workers.data.steps.earlier_alike import without_earlier_alike

    rows = scratch.Rows(np.uint32)
    for piece in signatures:
        rows.add(piece.flatten().to_numpy().reshape(len(piece), settings.permutations))
    digests = rows.matrix()
    bands = _shared_bands(digests, band_rows(settings.threshold, settings.permutations))
    agreeing = math.ceil(settings.threshold * settings.permutations - TINY)
    return without_earlier_alike(digests, bands, agreeing)


def _shared_bands(digests: np.ndarray, rows_per_band: int) -> np.ndarray:
    """For each band and record a number that it has in common with those that agree with it there; -1 where none does."""
    starts = range(0, digests.shape[1] - rows_per_band + 1, rows_per_band)
    sums = scratch.array((len(starts), len(digests)), np.uint64)
    for block in range(0, len(digests), BLOCK):
        rows = digests[block : block + BLOCK]
        for band, start in enumerate(starts):
            # Sums of products of odd numbers: records that agree have the same, and two of 2^32 others once.
            part = rows[:, start : start + rows_per_band].astype(np.uint64) * FACTORS[:rows_per_band]
            sums[band, block : block + BLOCK] = part.sum(axis=1)
    bands = scratch.array(sums.shape, np.int32)
    known = 0
    for band, of_records in enumerate(sums):
        _, numbers, counts = np.unique(of_records, return_inverse=True, return_counts=True)
        shared = counts > 1
        if known + shared.sum() > MOST_NUMBERS:
            raise RunFault(
                "TooManyRecords",
                f"{len(digests):,} records are too many for deduplicate.near; split the source, or use deduplicate.exact before it",
            )
        named = np.where(shared, np.cumsum(shared) - 1 + known, -1).astype(np.int32)
        bands[band] = named[numbers]
        known += int(shared.sum())
    return bands


def band_rows(threshold: float, permutations: int) -> int:
    """Rows of a band: as many as keep the chance of missing a pair at the threshold below 1 in 1,000."""
    for rows in range(permutations, 1, -1):
        if (1 - threshold**rows) ** (permutations // rows) < 0.001:
            return rows
    return 1
