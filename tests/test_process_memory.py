import asyncio
import ctypes
import gc
import subprocess
import sys
import weakref
from types import SimpleNamespace

import pytest

from headrace import process_memory

LARGE_BLOCKS = """
import ctypes, sys
from headrace.process_memory import keep_memory_steady

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]
libc.mallinfo2.restype = Info
if "steady" in sys.argv:
    keep_memory_steady()
libc.free(libc.malloc(8 << 20))
before = libc.mallinfo2().hblks
libc.malloc(4 << 20)
print(libc.mallinfo2().hblks - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is glibc's allocator that is told so")
@pytest.mark.parametrize(("how", "mapped"), [("as it is", "0"), ("steady", "1")])
def test_large_blocks_do_not_come_from_the_heap(how, mapped):
    told = subprocess.run([sys.executable, "-c", LARGE_BLOCKS, how], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == mapped


def test_what_is_imported_is_no_garbage():
    code = "import gc; from headrace.process_memory import keep_memory_steady as k; k(); print(gc.get_freeze_count() > 1000)"

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "True"
    assert gc.get_freeze_count() == 0


async def test_garbage_and_holes_are_given_back(monkeypatch):
    told = asyncio.Event()
    monkeypatch.setattr(process_memory, "RETURN_SECONDS", 0.01)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(malloc_trim=lambda pad: told.set()))

    class Cycle:
        def __init__(self):
            self.itself = self

    left = weakref.ref(Cycle())
    returning = asyncio.create_task(process_memory.return_memory())
    async with asyncio.timeout(10):
        await told.wait()
    returning.cancel()

    assert left() is None
