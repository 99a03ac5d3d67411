"""When small files of the table are written as one, and which.

As in a log-structured merge tree, a record is written again a few times, and not once for each commit after it.
"""

from collections.abc import Sequence

BIG_BYTES = 256 << 20
"""Files of this size stay as they are."""


def compacted_below(sizes: Sequence[int], most_small: int) -> int | None:
    """The size below which files are to be made one; None while there are fewer than `most_small` small ones.

    The smallest files, and each larger one that is at most twice what those before it come to.
    """
    small = sorted(size for size in sizes if size < BIG_BYTES)
    if len(small) < most_small:
        return None
    merged, count = 0, 0
    for size in small:
        if count >= 2 and size > 2 * merged:
            break
        merged += size
        count += 1
    # At least half of them go, so that the next commits have room.
    while count < len(small) and count < (len(small) + 1) // 2:
        merged += small[count]
        count += 1
    return max(merged, small[count - 1] + 1)
