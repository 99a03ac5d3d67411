"""Signatures of texts that agree in about as many places as the texts share words' neighbours: MinHash (Broder, 1997).

Candidates come from locality-sensitive hashing in bands; each is then checked against the threshold, so that banding
decides only what is compared. A record is dropped when one that was kept, and came earlier, is similar.
"""

import math

import numpy as np
import pyarrow as pa

from headrace.api.steps import Near
from headrace_workers.data.steps.step import text_of

SEED = 42
TINY = 1e-9
"""What a product may be above a whole number that it stands for."""
FACTORS = np.random.default_rng(SEED).integers(2**62, 2**63, 1024, dtype=np.uint64) | np.uint64(1)


def signatures(table: pa.Table, settings: Near, place: str) -> pa.Array:
    """One MinHash signature a record: a list of as many numbers as there are permutations."""
    from rensa import RMinHash

    from headrace_workers.data.steps.shingle_hashes import shingle_hashes

    hashes, bounds = shingle_hashes(text_of(table, settings.column, place))
    digests = RMinHash.digest_matrix_from_flat_token_hashes(hashes, bounds, settings.permutations, SEED).to_rows()
    flat = pa.array(np.asarray(digests, np.uint32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, settings.permutations).cast(pa.list_(pa.uint32()))


def first_of_each(signatures: pa.Array, settings: Near) -> np.ndarray:
    """For each record whether no earlier kept one is similar."""
    from headrace_workers.data.steps.earlier_alike import without_earlier_alike

    if not len(signatures):
        return np.zeros(0, dtype=bool)
    digests = signatures.flatten().to_numpy().reshape(len(signatures), -1)
    bands = _shared_bands(digests, band_rows(settings.threshold, settings.permutations))
    agreeing = math.ceil(settings.threshold * settings.permutations - TINY)
    return without_earlier_alike(digests, bands, agreeing)


def _shared_bands(digests: np.ndarray, rows_per_band: int) -> np.ndarray:
    """For each record and band a number that it has in common with those that agree with it there; -1 where none does."""
    bands = []
    for start in range(0, digests.shape[1] - rows_per_band + 1, rows_per_band):
        part = np.ascontiguousarray(digests[:, start : start + rows_per_band])
        # Sums of products of odd numbers: records that agree have the same, and two of 2^32 others once.
        sums = (part.astype(np.uint64) * FACTORS[:rows_per_band]).sum(axis=1)
        _, numbers, counts = np.unique(sums, return_inverse=True, return_counts=True)
        bands.append(np.where(counts[numbers] > 1, numbers, -1))
    return np.stack(bands, axis=1)


def band_rows(threshold: float, permutations: int) -> int:
    """Rows of a band: as many as keep the chance of missing a pair at the threshold below 1 in 1,000."""
    for rows in range(permutations, 1, -1):
        if (1 - threshold**rows) ** (permutations // rows) < 0.001:
            return rows
    return 1
