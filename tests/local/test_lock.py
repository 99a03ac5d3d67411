"""One program at a time works on a state folder."""

import os
import signal
from datetime import UTC, datetime

import pytest

from headrace.local.lock import hold
from headrace.local.refusals import FolderLocked

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_second_program_is_told_who_is_first(tmp_path):
    """The refusal names the folder, the command, its process number and what to do."""
    with (
        hold(tmp_path, "headrace run", NOW),
        pytest.raises(FolderLocked) as refusal,
        hold(tmp_path, "headrace run", NOW),
    ):
        pass
    message = str(refusal.value)
    assert message.startswith(f"{tmp_path} is in use by headrace run (pid {os.getpid()}) since ")
    assert message.endswith("; stop it, or give --state-dir another folder")


def test_the_lock_ends_with_its_holder(tmp_path):
    """A folder whose holder was killed is free at once."""
    read, write = os.pipe()
    holder = os.fork()
    if holder == 0:
        with hold(tmp_path, "headrace run", NOW):
            os.write(write, b"held")
            signal.pause()
    assert os.read(read, 4) == b"held"
    with pytest.raises(FolderLocked, match=f"pid {holder}"), hold(tmp_path, "headrace run", NOW):
        pass
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    with hold(tmp_path, "headrace run", NOW):
        pass
