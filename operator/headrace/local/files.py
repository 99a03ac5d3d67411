"""Files that are there whole or not at all, also after a power cut: written aside, flushed, then renamed."""

import os
from pathlib import Path

TEMPORARY = ".tmp"


def write_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replaces the file in one step; readers see the old bytes or the new ones."""
    aside = path.with_name(f".{path.name}{TEMPORARY}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)
    flush_folder(path.parent)


def remove_file(path: Path) -> None:
    """Removes the file for good; none is fine."""
    path.unlink(missing_ok=True)
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Makes renames and removals in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
