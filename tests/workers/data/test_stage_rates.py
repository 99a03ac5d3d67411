"""What the stages of a Batch did, in records, seconds and records a second; and the most memory of a process."""

import multiprocessing
import os

import psutil
import pytest

from headrace_workers.data.pieces import Manifest
from headrace_workers.data.stage_rates import StageRates, peak_memory_bytes


def test_stages_are_told_with_what_they_did() -> None:
    """A stage that is done keeps its rate; of the one that is being done the queue is told too."""
    now = [0.0]
    rates = StageRates(lambda: 2, lambda: now[0])
    rates.begin("read")
    now[0] = 4.0
    rates.add(Manifest(rows_in=300, seconds=3.0, memory_bytes=70))
    rates.add(Manifest(rows_in=100, seconds=4.0, memory_bytes=50))
    rates.begin("scale")
    now[0] = 5.0
    rates.add(Manifest(rows_in=50, seconds=0.5, memory_bytes=60))
    now[0] = 6.0
    told = rates.told(expected=400)
    read, scale = told.stages
    assert told.memory_bytes == 70
    assert (read.stage, read.records, read.seconds, read.rate, read.channels, read.rate_per_channel, read.queued) == ("read", 400, 7.0, 100.0, 2, 50.0, 0)  # fmt: skip
    assert (scale.stage, scale.records, scale.rate, scale.queued) == ("scale", 50, 25.0, 350)


def test_only_the_last_stages_are_told() -> None:
    """A status has room for eight."""
    rates = StageRates(lambda: 1)
    for number in range(12):
        rates.begin(str(number))
    assert [stage.stage for stage in rates.told(0).stages] == [str(number) for number in range(4, 12)]


def _with_much(size: int, told: "multiprocessing.Queue[tuple[int, int]]") -> None:
    much = bytearray(os.urandom(1024)) * (size // 1024)
    seen = psutil.Process().memory_info().rss
    del much
    told.put((seen, peak_memory_bytes()))


@pytest.mark.parametrize("size", [64 << 20, 256 << 20])
def test_the_peak_is_the_resident_set_at_its_largest(size: int) -> None:
    """Also after it was given back, and not that of the process which started this one."""
    context = multiprocessing.get_context("spawn")
    told: multiprocessing.Queue[tuple[int, int]] = context.Queue()
    process = context.Process(target=_with_much, args=(size, told))
    process.start()
    seen, peak = told.get(timeout=60)
    process.join()
    assert seen >= size
    assert peak == pytest.approx(seen, rel=0.05)
