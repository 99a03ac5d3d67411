"""Starting, finding and ending the processes of pods.

A process belongs to a pod if its environment says so, or if it is below one that does: never because of a number alone,
which the system may have given to somebody else meanwhile.
"""

import json
import os
import signal
import sys
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from headrace.local import shim
from headrace.local.lock import is_held

POD_UID = "HEADRACE_POD_UID"
STATE = "HEADRACE_LOCAL_STATE"
"""Variables of every pod's environment: whose process it is, and of which state folder."""

LOG = "log"
KILL_SECONDS = 2.0


class Life(StrEnum):
    """Where one run of a pod's command is."""

    ABSENT = "Absent"
    ALIVE = "Alive"
    ENDED = "Ended"
    LOST = "Lost"
    """It was begun, nothing lives, and nobody wrote how it ended."""


@dataclass(frozen=True)
class Ending:
    """How a command ended."""

    exit_code: int
    signal: int | None


def start(folder: Path, number: int, argv: tuple[str, ...], environment: Mapping[str, str]) -> int:
    """Starts run `number` under a shim in a session of its own, output to the pod's log; returns the shim's process number."""
    command = [sys.executable, "-I", "-S", shim.__file__, str(folder), str(number), *argv]
    log = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        sys.executable, command, environment, setsid=True, setsigmask=(), setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGHUP, signal.SIGTERM),
        file_actions=((os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, str(folder / LOG), log, 0o600), (os.POSIX_SPAWN_DUP2, 1, 2)),
    )  # fmt: skip


def look(folder: Path, number: int) -> Life:
    """Where run `number` is. The shim lets go of its lock only after it has written the ending."""
    lock = folder / f"run.{number}"
    if not lock.exists():
        return Life.ABSENT
    if is_held(lock):
        return Life.ALIVE
    return Life.ENDED if ending_path(folder, number).exists() else Life.LOST


def ending_path(folder: Path, number: int) -> Path:
    """The file that says how run `number` ended."""
    return folder / f"exit.{number}.json"


def read_ending(folder: Path, number: int) -> Ending:
    """How run `number` ended, once look() says Ended."""
    note = json.loads(ending_path(folder, number).read_bytes())
    return Ending(int(note["exitCode"]), note["signal"])


def ask_to_end(folder: Path, number: int, uid: str) -> bool:
    """Sends SIGTERM to the shim, which passes it on; False if the shim could not be found (yet)."""
    process = _shim(folder, number, uid)
    if process is None:
        return False
    _send(process, signal.SIGTERM)
    return True


def _shim(folder: Path, number: int, uid: str) -> psutil.Process | None:
    if (session := session_of(folder, number)) is None:
        return None
    try:
        process = psutil.Process(session)
        return process if process.environ().get(POD_UID) == uid else None
    except (psutil.Error, OSError):
        # It ended meanwhile.
        return None


def session_of(folder: Path, number: int) -> int | None:
    """The session of a run's processes, which is the number that its shim has or had; None if it never had one."""
    try:
        return int((folder / f"run.{number}").read_text())
    except (OSError, ValueError):
        return None


def find_marked(state_dir: Path, sessions: Mapping[int, str]) -> dict[str, list[psutil.Process]]:
    """The processes of this state folder's pods, by pod UID. Takes a look at every process of the machine.

    Ray's processes write their title over their environment. What they are is told by `sessions` (pod UID by session),
    unless a stranger leads that session, and by the processes above them.
    """
    found: dict[str, list[psutil.Process]] = {}
    veiled: list[psutil.Process] = []
    strangers: set[int] = set()
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            environment = process.environ()
        except (psutil.Error, OSError):
            # It ended meanwhile, or belongs to somebody else.
            continue
        if environment.get(STATE) == str(state_dir) and POD_UID in environment:
            found.setdefault(environment[POD_UID], []).append(process)
        elif environment:
            strangers.add(process.pid)
        else:
            veiled.append(process)
    for process in veiled:
        if uid := _uid_of_veiled(process, found, sessions, strangers):
            found.setdefault(uid, []).append(process)
    return found


def _uid_of_veiled(
    process: psutil.Process,
    found: Mapping[str, list[psutil.Process]],
    sessions: Mapping[int, str],
    strangers: Container[int],
) -> str | None:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        session = os.getsid(process.pid)
        above = set(process.parents())
    except (psutil.Error, OSError):
        # It ended meanwhile.
        return None
    if session in sessions and session not in strangers:
        return sessions[session]
    return next((uid for uid, processes in sorted(found.items()) if above.intersection(processes)), None)


def kill(processes: Iterable[psutil.Process]) -> None:
    """Ends processes at once; the shim goes last, so that it can still write how its command ended."""
    shims: list[psutil.Process] = []
    others: list[psutil.Process] = []
    for process in processes:
        (shims if _is_shim(process) else others).append(process)
    for process in others:
        _send(process, signal.SIGKILL)
    for process in shims:
        # One that has not started its command yet would do so after this.
        _send(process, signal.SIGTERM)
    _, left = psutil.wait_procs([*others, *shims], timeout=KILL_SECONDS)
    for process in left:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(left, timeout=KILL_SECONDS)


def _is_shim(process: psutil.Process) -> bool:
    try:
        return shim.__file__ in process.cmdline()
    except psutil.Error:
        return False


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        # It ended by itself; psutil makes sure that nobody else who got its number is hit.
        return


def reap(children: Iterable[int]) -> set[int]:
    """Takes note of shims that we started and that have ended; returns those that still run."""
    running = set()
    for child in children:
        try:
            ended, _ = os.waitpid(child, os.WNOHANG)
        except ChildProcessError:
            continue
        if not ended:
            running.add(child)
    return running
