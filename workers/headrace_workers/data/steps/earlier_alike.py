"""Which records have an earlier one like them that is kept: one pass over their signatures, compiled by numba."""

from typing import Any

import numpy as np
from numba import njit

Array = Any
"""Of numpy."""


def without_earlier_alike(signatures: np.ndarray, bands: np.ndarray, agreeing: int) -> np.ndarray:
    """For each record whether no earlier kept one agrees with it in so many places of the signature.

    `signatures` are (records, places) of uint32. `bands` are (records, bands): a number below the number of records that
    candidates have in common, -1 where there is none; only those that share one are compared.
    """
    kept = np.ones(len(signatures), np.bool_)
    # The newest kept record of each number, and of each record the one before it of the same.
    newest = np.full(bands.shape, -1, np.int64)
    before = np.full(bands.shape, -1, np.int64)
    _sift(signatures, bands, agreeing, newest, before, np.full(len(signatures), -1, np.int64), kept)
    return kept


@njit(nogil=True)
def _sift(
    signatures: Array, bands: Array, agreeing: int, newest: Array, before: Array, compared_with: Array, kept: Array
) -> None:
    for record in range(signatures.shape[0]):
        for band in range(bands.shape[1]):
            number = bands[record, band]
            other = newest[number, band] if number >= 0 else -1
            while other >= 0 and kept[record]:
                if compared_with[other] != record:
                    compared_with[other] = record
                    same = 0
                    for place in range(signatures.shape[1]):
                        same += signatures[record, place] == signatures[other, place]
                    kept[record] = same < agreeing
                other = before[other, band]
        if kept[record]:
            for band in range(bands.shape[1]):
                number = bands[record, band]
                if number >= 0:
                    before[record, band] = newest[number, band]
                    newest[number, band] = record
