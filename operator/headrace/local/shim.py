"""The process between local mode and a pod's command, as containerd's shim is: it outlives `headrace` and tells how the command ended.

Run as a script, with the standard library alone: `python -I -S shim.py FOLDER NUMBER COMMAND...`. Run NUMBER of a pod
happens at most once: the shim makes FOLDER/run.NUMBER, starts nothing where it is there already, and holds a lock on it
as long as anything of the run lives. It must never leave a process of the pod behind.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
NOT_EXECUTABLE = 126
NOT_FOUND = 127


def main(folder: Path, number: int, command: list[str]) -> int:
    """Runs the command once and writes how it ended; 0 also when another shim has done so or does."""
    # A SIGTERM that comes before there is a child must not be lost, and none comes before our number is known.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    if claim(folder / f"run.{number}") is None:
        return 0
    ending = folder / f"exit.{number}.json"
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    shim = os.getpid()
    child = os.fork()
    if child == 0:
        become(command, shim)
    signal.signal(signal.SIGTERM, lambda *_: kill(child, signal.SIGTERM))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    status = wait_for(child)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_the_rest()
    write_ending(ending, status)
    return 0


def claim(path: Path) -> int | None:
    """The file, locked and with our number in it, or None when another shim has or had this run.

    It appears locked: whoever looks at a run that begins never finds it begun and given up.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    try:
        os.link(aside, path)
    except FileExistsError:
        return None
    finally:
        aside.unlink()
    return descriptor


def become(command: list[str], shim: int) -> None:
    """Turns this child into the command; it dies with the shim."""
    code = NOT_EXECUTABLE
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        if os.getppid() == shim:
            os.execvp(command[0], command)  # noqa: S606
    except FileNotFoundError:
        code = NOT_FOUND
        os.write(2, f"{command[0]} is not an executable file on this machine\n".encode())
    except OSError as error:
        os.write(2, f"{command[0]} cannot be run: {error.strerror}\n".encode())
    finally:
        os._exit(code)


def wait_for(child: int) -> int:
    """The child's wait status, reaping meanwhile the orphans that come to us."""
    while True:
        ended, status = os.wait()
        if ended == child:
            return status


def end_the_rest() -> None:
    """Kills every process below this one. As subreaper we inherit the children of what we kill, until none is left."""
    while children := children_of(os.getpid()):
        for process in children:
            kill(process, signal.SIGKILL)
        for _ in children:
            try:
                os.wait()
            except ChildProcessError:
                return


def kill(process: int, number: signal.Signals) -> None:
    """Sends a signal to a child of ours, which may have ended meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def children_of(parent: int) -> list[int]:
    """The processes whose parent this is; empty where there is no /proc (local mode sweeps by itself as well)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            # It ended between being listed and being read.
            continue
        if int(fields[1]) == parent:
            found.append(int(folder.name))
    return found


def write_ending(path: Path, status: int) -> None:
    """Writes how the command ended, whole or not at all."""
    code = os.waitstatus_to_exitcode(status)
    note = {
        "exitCode": code if code >= 0 else 128 - code,
        "signal": -code if code < 0 else None,
        "finishedAt": datetime.now(UTC).isoformat(),
    }
    aside = path.with_name(f".{path.name}.tmp")
    with aside.open("w") as file:
        file.write(json.dumps(note))
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)


def prctl(option: int, value: int) -> None:
    """Sets an attribute of this process; only Linux has them."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(option, value, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
