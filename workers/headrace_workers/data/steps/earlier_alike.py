"""Which records have an earlier one like them that is kept: one pass over their signatures, compiled by numba."""

from typing import Any

import numpy as np
from numba import njit

Array = Any
"""Of numpy."""


def without_earlier_alike(signatures: np.ndarray, bands: np.ndarray, agreeing: int) -> np.ndarray:
    """For each record whether no earlier kept one agrees with it in so many places of the signature.

    `signatures` are (records, places) of uint32. `bands` are (bands, records) of int32: a number that candidates have in
    common, counted from 0 over all bands, -1 where there is none; only those that share one are compared. They are
    written over.
    """
    kept = np.ones(len(signatures), np.bool_)
    count = max((int(band.max()) for band in bands if len(band)), default=-1) + 1
    newest = np.full(count, -1, np.int32)
    _sift(signatures, bands, agreeing, newest, np.full(len(signatures), -1, np.int32), kept)
    return kept


@njit(nogil=True)
def _sift(signatures: Array, bands: Array, agreeing: int, newest: Array, compared_with: Array, kept: Array) -> None:
    # `newest` is the newest kept record of each number. Of a record that is kept, what was its number becomes the one
    # kept before it of the same number: the number is not asked for again.
    for record in range(signatures.shape[0]):
        for band in range(bands.shape[0]):
            number = bands[band, record]
            other = newest[number] if number >= 0 else -1
            while other >= 0 and kept[record]:
                if compared_with[other] != record:
                    compared_with[other] = record
                    same = 0
                    for place in range(signatures.shape[1]):
                        same += signatures[record, place] == signatures[other, place]
                    kept[record] = same < agreeing
                other = bands[band, other]
        if kept[record]:
            for band in range(bands.shape[0]):
                number = bands[band, record]
                if number >= 0:
                    bands[band, record] = newest[number]
                    newest[number] = record
