"""The real command line as a process, and what it says; nothing here knows what is right.

It never leaves a process: whatever a command started is stopped with its state folder.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

STOP_SECONDS = 60


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both streams."""
        return self.out + self.err

    def lines(self, start: str) -> list[str]:
        """The lines that start so."""
        return [line for line in self.text.splitlines() if line.startswith(start)]


def headrace(folder: Path, *arguments: str, seconds: float = 60, **environment: str) -> Said:
    """Runs `headrace` in a folder, with the state in its `state`; an error if it takes longer than `seconds`."""
    ended = subprocess.run(
        [sys.executable, "-m", "headrace.cli", *arguments],
        cwd=folder,
        env={**os.environ, "HEADRACE_STATE_DIR": "state", "COLUMNS": "200", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    said = Said(ended.returncode, ended.stdout, ended.stderr)
    assert "Traceback" not in said.text, said.text
    return said


def stop(folder: Path) -> None:
    """Stops whatever runs in the folder's state."""
    if (folder / "state").exists():
        headrace(folder, "stop", seconds=STOP_SECONDS)
