"""What happened before the watermark has come: of the partition that is the farthest behind, and never back."""

from headrace_workers.data.stream.watermark import Watermark

SECOND = 1_000_000


def test_the_slowest_partition_decides() -> None:
    """A partition that has had nothing yet holds it back, until it has been idle."""
    watermark = Watermark(10, 60)
    watermark.hear({"t/0": 100 * SECOND}, now=0.0)
    assert watermark.advance(["t/0", "t/1"], 1.0) is None
    watermark.hear({"t/1": 50 * SECOND}, now=2.0)
    assert watermark.advance(["t/0", "t/1"], 3.0) == 40 * SECOND
    watermark.hear({"t/0": 200 * SECOND}, now=61.0)
    assert watermark.advance(["t/0", "t/1"], 61.0) == 40 * SECOND
    assert watermark.advance(["t/0", "t/1"], 63.0) == 190 * SECOND


def test_it_never_goes_back() -> None:
    """Nor for a partition that wakes up, nor after a restart."""
    watermark = Watermark(10, 60)
    watermark.hear({"t/0": 100 * SECOND}, now=0.0)
    assert watermark.advance(["t/0"], 0.0) == 90 * SECOND
    watermark.hear({"t/1": 20 * SECOND}, now=1.0)
    assert watermark.advance(["t/0", "t/1"], 1.0) == 90 * SECOND
    again = Watermark(10, 60, watermark.newest, watermark.reached)
    assert again.advance(["t/0", "t/1"], 0.0) == 90 * SECOND


def test_where_all_are_idle_the_newest_decides() -> None:
    """Time alone moves it no further than what was seen."""
    watermark = Watermark(10, 60)
    watermark.hear({"t/0": 100 * SECOND, "t/1": 50 * SECOND}, now=0.0)
    assert watermark.advance(["t/0", "t/1"], 100.0) == 90 * SECOND
    assert watermark.advance(["t/0", "t/1"], 1000.0) == 90 * SECOND


def test_a_late_record_moves_nothing() -> None:
    """Newest is newest."""
    watermark = Watermark(0, 60)
    watermark.hear({"t/0": 100 * SECOND}, now=0.0)
    watermark.hear({"t/0": 10 * SECOND}, now=1.0)
    assert watermark.advance(["t/0"], 1.0) == 100 * SECOND
