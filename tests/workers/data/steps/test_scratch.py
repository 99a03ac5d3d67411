"""Arrays beyond a size lie in files that nobody sees, and are the same arrays."""

import errno
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from headrace_workers.data.steps import scratch
from headrace_workers.faults import RunFault


@pytest.fixture(params=[0, 1 << 30], ids=["in a file", "in memory"])
def limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(scratch, "IN_MEMORY_BYTES", request.param)
    return int(request.param)


def test_an_array_is_of_zeros_and_can_be_written(limit: int) -> None:
    """Also one without elements."""
    made = scratch.array((3, 5), np.int32)
    made[1, 2] = 7
    assert made.sum() == 7
    assert made.dtype == np.int32
    assert isinstance(made.base, np.memmap) is (limit == 0)
    assert scratch.array((0, 5), np.uint64).shape == (0, 5)


def test_rows_come_out_as_they_came_in(limit: int) -> None:
    """Piece by piece, empty ones among them."""
    given = [np.arange(count * 4, dtype=np.uint32).reshape(count, 4) + count for count in (3, 0, 1, 900)]
    rows = scratch.Rows(np.uint32)
    for each in given:
        rows.add(each)
    assert np.array_equal(rows.matrix(), np.concatenate(given))


def test_nothing_is_left_in_the_folder(limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files have no name."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = scratch.array((100, 100), np.int64)
    assert made.sum() == 0
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """And may be tried again."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(scratch, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(RunFault, match=r"8\.0 GiB of temporary files do not fit into .*; give its pod more") as fault:
        scratch.array((1 << 30,), np.uint64)
    assert fault.value.retryable
