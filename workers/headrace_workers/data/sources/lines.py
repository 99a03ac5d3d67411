"""Lines of a file, in blocks small enough to hold: for the formats whose records are lines."""

from collections.abc import Iterator
from typing import BinaryIO

BLOCK_BYTES = 8 << 20


def blocks(opened: BinaryIO) -> Iterator[list[tuple[int, bytes]]]:
    """Lists of (line number from 1, line without its end), skipping empty lines."""
    block: list[tuple[int, bytes]] = []
    size = 0
    for number, line in enumerate(opened, 1):
        stripped = line.rstrip(b"\r\n")
        if number == 1:
            stripped = stripped.removeprefix(b"\xef\xbb\xbf")
        if not stripped or stripped.isspace():
            continue
        block.append((number, stripped))
        size += len(line)
        if size >= BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block
