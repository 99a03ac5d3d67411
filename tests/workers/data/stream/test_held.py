"""What waits in windows, in runs: closed once, few files, and the same after a restart."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.api.windows import Window
from headrace_workers.data.steps.open_windows import entries
from headrace_workers.data.stream.held import Held, HeldRun

SECOND = 1_000_000
WINDOW = Window.model_validate(
    {"seconds": 10, "everySeconds": 5, "by": ["host"], "measures": [{"into": "n", "measure": {"count": {}}}]}
)


def some(begin: int, count: int = 20) -> pa.Table:
    """Entries of a record each second."""
    times = np.arange(begin, begin + count) * SECOND
    return entries(pa.table({"host": [f"h{second % 3}" for second in range(count)]}), times, WINDOW, -1, "here")[0]


def counted(rows: pa.Table | None) -> int:
    """The records in these windows, each counted in all that it falls into."""
    return 0 if rows is None else sum(rows["n"].to_pylist())


def test_each_record_is_done_with_once() -> None:
    """Whatever the watermarks in between."""
    held, done, windows = Held(WINDOW), 0, 0
    for begin in range(0, 200, 20):
        held = held.with_run(f"held-{begin}", some(begin))
        rows, finished, held = held.close((begin - 7) * SECOND)
        done += finished
        windows += counted(rows)
        assert done + held.records == begin + 20
    rows, finished, held = held.close(1000 * SECOND)
    assert (done + finished, held.records, held.runs) == (200, 0, ())
    # Windows overlap by half: each record is in two, but those of the first five seconds.
    assert windows + counted(rows) == 2 * 200 - 5


def test_files_are_few() -> None:
    """Small runs become larger ones."""
    held = Held(WINDOW)
    for begin in range(1000, 2000, 10):
        held = held.with_run(f"held-{begin}", some(begin, 10))
    assert held.records == 1000
    assert len(held.runs) < 10


@pytest.mark.parametrize("closed", [0, 37, 60])
def test_a_restart_leaves_out_what_has_closed(closed: int) -> None:
    """Files are as they were written; the windows that closed since are not written again."""
    written = Held(WINDOW).with_run("held", some(0, 60))
    _, _, held = written.close(closed * SECOND)
    again = Held.restored(WINDOW, [HeldRun(run.name, run.table) for run in written.runs], closed * SECOND)
    assert again.records == held.records
    one, other = again.close(100 * SECOND), held.close(100 * SECOND)
    assert (one[0], one[1]) == (other[0], other[1])
