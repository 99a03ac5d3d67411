"""How this process keeps its memory: what it frees goes back, and garbage is looked for seldom."""

import asyncio
import ctypes
import gc

MMAP_THRESHOLD_BYTES = 128 * 1024
RETURN_SECONDS = 30.0
_M_MMAP_THRESHOLD = -3
"""Of malloc.h."""


def keep_memory_steady() -> None:
    """Call it once, when everything is imported and before anything is done."""
    # What is imported stays, and requests under way are no garbage: the collector took a fifth of the CPU. Full
    # collections are not put off as long as the others, or garbage in cycles pins memory.
    gc.freeze()
    gc.set_threshold(20_000, 10, 3)
    # glibc raises its threshold whenever a large buffer is freed. Then lists of all pods come from the heap, which
    # grows with each hole that the next list does not fit.
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)


async def return_memory() -> None:
    """Gives the system back what a burst of runs took and left in holes, now and then until cancelled."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda pad: pad)
    while True:
        await asyncio.sleep(RETURN_SECONDS)
        gc.collect()
        trim(0)
