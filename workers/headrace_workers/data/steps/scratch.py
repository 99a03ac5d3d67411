"""Arrays that may be larger than memory: beyond a size they lie in temporary files, which are gone when they are.

The kernel keeps of a file what there is room for, so that a pod's limit bounds what it has in memory and not what it can do.
"""

import os
import tempfile
from typing import IO, Any

import numpy as np

from headrace_workers.faults import RunFault
from headrace_workers.storage import is_full

IN_MEMORY_BYTES = 32 << 20


def array(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array of zeros; RunFault ScratchFull where there is no room for it."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size <= IN_MEMORY_BYTES:
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile() as file:
        try:
            # Of a file without room for it the kernel says so by ending whoever writes to its memory.
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise _fault(error, size) from error
        return _mapped(file, shape, dtype)


class Rows:
    """Rows of one width that come piece by piece."""

    def __init__(self, dtype: Any) -> None:
        """None yet."""
        self._dtype = dtype
        self._held: list[np.ndarray] = []
        self._file: IO[bytes] | None = None
        self._count, self._width = 0, 0

    def add(self, rows: np.ndarray) -> None:
        """Takes a matrix (rows, width); RunFault ScratchFull where there is no room for it."""
        self._count, self._width = self._count + len(rows), rows.shape[1]
        self._held.append(rows)
        if self._file or sum(each.nbytes for each in self._held) > IN_MEMORY_BYTES:
            self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115 (closed in matrix)
            try:
                for each in self._held:
                    self._file.write(np.ascontiguousarray(each, self._dtype))
                self._file.flush()
            except OSError as error:
                raise _fault(error, self._count * self._width * np.dtype(self._dtype).itemsize) from error
            self._held = []

    def matrix(self) -> np.ndarray:
        """All of them, in the order in which they came."""
        if not self._file:
            return np.concatenate(self._held) if self._held else np.zeros((0, self._width), self._dtype)
        with self._file as file:
            return _mapped(file, (self._count, self._width), self._dtype)


def _mapped(file: IO[bytes], shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    return np.asarray(np.memmap(file, dtype, "r+", shape=shape))


def _fault(error: OSError, size: int) -> Exception:
    if not is_full(error):
        return error
    return RunFault(
        "ScratchFull",
        f"{size / 2**30:.1f} GiB of temporary files do not fit into {tempfile.gettempdir()} of the head; "
        f"give its pod more ephemeral storage, or name a larger folder in TMPDIR by spec.pods.environment",
        retryable=True,
    )
