"""One program at a time works on a state folder: a lock of the kernel's, which ends with its holder however that ends."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from headrace.local.refusals import FolderLocked


@contextmanager
def hold(state_dir: Path, command: str, now: datetime) -> Iterator[None]:
    """Holds the folder; FolderLocked says who else does."""
    path = state_dir / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderLocked(f"{state_dir} is in use by {_holder(path)}; stop it, or give --state-dir another folder") from None
        note = {"pid": os.getpid(), "command": command, "since": now.astimezone().strftime("%Y-%m-%d %H:%M:%S")}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(note).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _holder(path: Path) -> str:
    try:
        note = json.loads(path.read_bytes())
        return f"{note['command']} (pid {note['pid']}) since {note['since']}"
    except (ValueError, KeyError, TypeError):
        # The holder has locked it and not yet written who it is.
        return "another program"
