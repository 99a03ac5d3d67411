"""Which files become one: a record is written again a few times, not once for each commit after it."""

from headrace_workers.data.stream.compaction import BIG_BYTES, compacted_below


def test_few_files_stay() -> None:
    """Below the bound nothing is written again."""
    assert compacted_below([100] * 15, 16) is None


def test_the_smallest_become_one() -> None:
    """A file that is much larger than those before it stays."""
    below = compacted_below([100] * 15 + [1_000_000], 16)
    assert below is not None
    assert 100 < below <= 1_000_000


def test_big_files_are_left_alone() -> None:
    """They count for nothing."""
    assert compacted_below([BIG_BYTES] * 100, 16) is None


def test_records_are_written_again_a_few_times() -> None:
    """Over 4,096 commits of one size, each byte is written again fewer than ten times, and 20 files are the most."""
    sizes: list[int] = []
    written = most = 0
    for _ in range(4096):
        sizes.append(1000)
        below = compacted_below(sizes, 16)
        if below is not None:
            merged = sum(size for size in sizes if size < below)
            sizes = [*(size for size in sizes if size >= below), merged]
            written += merged
        most = max(most, len(sizes))
    assert written < 10 * 4096 * 1000
    assert most <= 20
