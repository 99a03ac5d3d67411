"""One program at a time works on a state folder: a lock of the kernel's, which ends with its holder however that ends."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from headrace.local.refusals import FolderLocked

TRIES = 10
PAUSE_SECONDS = 0.02


@contextmanager
def hold(state_dir: Path, command: str, now: datetime) -> Iterator[None]:
    """Holds the folder; FolderLocked says who else does."""
    path = state_dir / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _take(descriptor):
            raise FolderLocked(f"{state_dir} is in use by {_holder(path)}; stop it, or give --state-dir another folder")
        note = {"pid": os.getpid(), "command": command, "since": now.astimezone().strftime("%Y-%m-%d %H:%M:%S")}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(note).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock of the file now; asking takes it for a moment, shared, and lets go."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _take(descriptor: int) -> bool:
    """Takes the lock; whoever only asks whether somebody has it, as `headrace status` does, lets go at once."""
    for _ in range(TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(PAUSE_SECONDS)
        else:
            return True
    return False


def _holder(path: Path) -> str:
    try:
        note = json.loads(path.read_bytes())
        return f"{note['command']} (pid {note['pid']}) since {note['since']}"
    except (ValueError, KeyError, TypeError):
        # The holder has locked it and not yet written who it is.
        return "another program"
