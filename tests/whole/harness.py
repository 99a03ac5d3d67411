"""The real command line as a process of its own, and what it leaves on the machine, seen from outside.

It never signals a process that does not belong to its state folder.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from headrace.api.meta import Kind, ObjectKey
from headrace.api.objects import HeadraceObject
from headrace.local import log_paths, read_objects
from headrace.local.processes import POD_UID, STATE

HERE = Path(__file__).parent
LOOK_SECONDS = 0.1
STOP_SECONDS = 40.0

Found = TypeVar("Found")


def wait_until(look: Callable[[], Found | None], seconds: float, what: Callable[[], str] = lambda: "") -> Found:
    """The first thing that is true; AssertionError with `what` once the time is over."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s\n{what()}"
        time.sleep(LOOK_SECONDS)
    return found


@dataclass(frozen=True)
class Cli:
    """One `headrace` command that runs, in a session of its own."""

    process: "subprocess.Popen[bytes]"
    log: Path
    started: float

    @property
    def output(self) -> str:
        """All that it has said."""
        return self.log.read_text()

    def wait_for(self, text: str, seconds: float) -> float:
        """The seconds from the start of the process until it said the text."""
        wait_until(lambda: text in self.output, seconds, lambda: self.output)
        return time.monotonic() - self.started

    def end(self, seconds: float) -> int:
        """The exit code, once it has ended by itself."""
        wait_until(lambda: self.process.poll() is not None, seconds, lambda: self.output)
        assert self.process.returncode is not None
        return self.process.returncode

    def kill(self) -> None:
        """SIGKILL: the command has no last words."""
        self.process.kill()
        self.process.wait()

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)


@dataclass(frozen=True)
class World:
    """A folder with manifests and the state folder that commands work on."""

    folder: Path

    @property
    def state_dir(self) -> Path:
        """Where the commands keep their state."""
        return self.folder / "state"

    def write(self, name: str, text: str) -> Path:
        """A manifest's file."""
        path = self.folder / f"{name}.yaml"
        path.write_text(text)
        return path

    def start(self, *files: Path, until_ready: bool = True) -> Cli:
        """Starts `headrace run`."""
        options = ["--until-ready"] if until_ready else []
        return self.command("run", *options, "--state-dir", str(self.state_dir), *map(str, files))

    def run(self, *files: Path, seconds: float) -> str:
        """What `headrace run --until-ready` said, once it has ended well."""
        cli = self.start(*files)
        assert cli.end(seconds) == 0, cli.output
        return cli.output

    def command(self, *words: str) -> Cli:
        """Starts any command of `headrace`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"cli-{time.monotonic_ns()}.log"
        path = os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"}
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "headrace.cli", *words],
                cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        return Cli(process, log, time.monotonic())

    def stop(self) -> None:
        """`headrace stop`, and nothing is left."""
        if not self.state_dir.is_dir():
            return
        cli = self.command("stop", "--state-dir", str(self.state_dir))
        assert cli.end(STOP_SECONDS) == 0, cli.output
        assert processes_of(self.state_dir) == []

    def delete(self, name: str) -> None:
        """`headrace delete`."""
        cli = self.command("delete", name, "--state-dir", str(self.state_dir))
        assert cli.end(STOP_SECONDS) == 0, cli.output

    def status(self, kind: Kind, name: str) -> HeadraceObject | None:
        """An object as last saved."""
        key = ObjectKey(kind=kind, namespace="default", name=name)
        try:
            return next((found for found in read_objects(self.state_dir) if found.key == key), None)
        except FileNotFoundError:
            return None

    def log_of(self, kind: Kind, name: str) -> str:
        """The logs of all pods of an object, as far as they are kept."""
        paths = log_paths(self.state_dir, ObjectKey(kind=kind, namespace="default", name=name))
        return "".join(path.read_text(errors="replace") for _, path in paths)

    def pull_the_plug(self) -> None:
        """SIGKILL to every process of the pods, as when the machine loses its power."""
        for process in processes_of(self.state_dir):
            # One that a killed parent took along is gone already.
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        wait_until(lambda: not processes_of(self.state_dir), 10, lambda: str(processes_of(self.state_dir)))


def processes_of(state_dir: Path) -> list[psutil.Process]:
    """The living processes of a state folder's pods: marked by their environment, or in a session that a pod began.

    Ray's processes write their titles over their environment, so a session counts where the environment is empty.
    """
    sessions = {int(path.read_text() or "0") for path in state_dir.glob("**/run.*") if path.suffix[1:].isdecimal()}
    return [process for process in psutil.process_iter() if _belongs(process, state_dir, sessions)]


def _belongs(process: psutil.Process, state_dir: Path, sessions: set[int]) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        environment = process.environ()
        if not environment:
            return os.getsid(process.pid) in sessions
        return environment.get(STATE) == str(state_dir)
    except (psutil.Error, OSError):
        return False


def shims_of(state_dir: Path) -> dict[str, int]:
    """The process number that leads each running pod, by the pod's UID; AssertionError if a pod was started twice."""
    shims = []
    for process in processes_of(state_dir):
        try:
            if any(word.endswith("/local/shim.py") for word in process.cmdline()):
                shims.append((process.environ()[POD_UID], process.pid))
        except (psutil.Error, OSError, KeyError):
            continue
    twice = [uid for uid, number in Counter(uid for uid, _ in shims).items() if number > 1]
    assert not twice, f"pods {twice} run twice"
    return dict(shims)


def commands_of(state_dir: Path, module: str) -> list[psutil.Process]:
    """The processes that are the commands of pods: those of a module, straight below their shims."""
    leaders = set(shims_of(state_dir).values())
    return [
        child for leader in sorted(leaders) for child in psutil.Process(leader).children() if module in child.cmdline()
    ]
