"""The shim: one run of a command, at most once, told how it ended, nothing left behind."""

import fcntl
import json
import os
import signal
import sys
import time

import psutil
import pytest

from headrace.local import processes, shim
from headrace.local.processes import Life

MARK = "HEADRACE_TEST_SHIM"


@pytest.fixture
def run(tmp_path):
    """Starts a line of Python under a shim; returns the shim's process."""

    def start(script: str, number: int = 0, command: tuple[str, ...] | None = None) -> psutil.Process:
        environment = {**os.environ, MARK: str(tmp_path), processes.POD_UID: "u1", processes.STATE: str(tmp_path)}
        return psutil.Process(processes.start(tmp_path, number, command or (sys.executable, "-c", script), environment))

    yield start
    left = marked(tmp_path)
    for process in left:
        process.kill()
    assert not left, f"left behind: {left}"


def marked(folder) -> list[psutil.Process]:
    """The processes of this test."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until(fact) -> None:
    """Waits for a fact."""
    ends = time.monotonic() + 20
    while not fact():
        assert time.monotonic() < ends, "did not become true within 20 s"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("script", "code", "number"),
    [
        ("pass", 0, None),
        ("raise SystemExit(3)", 3, None),
        ("import os; os.kill(os.getpid(), 9)", 137, 9),
        ("import os; os.abort()", 134, 6),
    ],
)
def test_the_end_is_told(run, tmp_path, script, code, number):
    """The exit code is the command's own, or 128 and the signal that ended it."""
    run(script).wait(20)
    assert processes.look(tmp_path, 0) == Life.ENDED
    assert processes.read_ending(tmp_path, 0) == processes.Ending(code, number)


def test_a_run_that_begins_is_never_seen_lost(tmp_path, monkeypatch):
    """Whoever looks while the shim is about to take its lock sees no run yet: one that seems lost would be killed."""
    seen = []
    lock = fcntl.flock

    def look_first(descriptor, operation):
        monkeypatch.setattr(fcntl, "flock", lock)
        seen.append(processes.look(tmp_path, 0))
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", look_first)
    claimed = shim.claim(tmp_path / "run.0")
    assert (seen, processes.look(tmp_path, 0)) == ([Life.ABSENT], Life.ALIVE)
    assert processes.session_of(tmp_path, 0) == os.getpid()
    assert shim.claim(tmp_path / "run.0") is None
    os.close(claimed)


def test_a_command_that_does_not_exist_ends_with_127(run, tmp_path):
    """A missing program is named in the log."""
    run("", command=("/nowhere/program",)).wait(20)
    assert processes.read_ending(tmp_path, 0).exit_code == 127
    assert "/nowhere/program is not an executable file" in (tmp_path / "log").read_text()


def test_sigterm_is_passed_on(run, tmp_path):
    """The command gets SIGTERM and may end in its own way."""
    shim = run(
        "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(3)); print('up', flush=True); time.sleep(60)"
    )
    wait_until(lambda: "up" in (tmp_path / "log").read_text())
    assert processes.ask_to_end(tmp_path, 0, "u1")
    shim.wait(20)
    assert processes.read_ending(tmp_path, 0).exit_code == 3


def test_a_stranger_with_the_number_is_not_asked(run, tmp_path):
    """SIGTERM goes only to a process whose environment names the pod, whatever number the file holds."""
    shim = run("import time; print('up', flush=True); time.sleep(60)")
    wait_until(lambda: "up" in (tmp_path / "log").read_text())
    assert not processes.ask_to_end(tmp_path, 0, "somebody-else")
    assert shim.is_running()
    shim.send_signal(signal.SIGTERM)
    shim.wait(20)


def test_a_run_happens_at_most_once(run, tmp_path):
    """A second shim for the same run starts nothing, while the first lives and after it has ended."""
    first = run("import time; print('once', flush=True); time.sleep(1.5)")
    wait_until(lambda: "once" in (tmp_path / "log").read_text())
    run("print('twice', flush=True)").wait(20)
    first.wait(20)
    run("print('thrice', flush=True)").wait(20)
    assert (tmp_path / "log").read_text() == "once\n"
    run("print('again', flush=True)", number=1).wait(20)
    assert (tmp_path / "log").read_text() == "once\nagain\n"


DETACHED = "import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True{more}); print('up', flush=True)"


@pytest.mark.parametrize("more", ["", ", env={}"], ids=["marked", "unmarked"])
def test_what_the_command_leaves_is_ended(run, tmp_path, more):
    """Processes in sessions of their own end with the command, even without its environment."""
    shim = run(DETACHED.replace("{more}", more))
    shim.wait(20)
    assert processes.look(tmp_path, 0) == Life.ENDED
    assert marked(tmp_path) == []


def test_the_command_dies_with_its_shim(run, tmp_path):
    """A killed shim takes its command with it; nobody writes how it ended, so the run is lost."""
    shim = run("import time; print('up', flush=True); time.sleep(60)")
    wait_until(lambda: "up" in (tmp_path / "log").read_text())
    assert processes.look(tmp_path, 0) == Life.ALIVE
    shim.kill()
    shim.wait(20)
    wait_until(lambda: processes.look(tmp_path, 0) == Life.LOST and not marked(tmp_path))


def test_a_run_that_was_never_begun_is_absent(tmp_path):
    """A folder without a lock file has had no shim."""
    assert processes.look(tmp_path, 0) == Life.ABSENT


def test_killing_spares_the_shim_until_it_has_told_the_end(run, tmp_path):
    """A command that ignores SIGTERM is killed, and its shim still writes how it ended."""
    run("import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)")
    wait_until(lambda: "up" in (tmp_path / "log").read_text())
    processes.kill(processes.find_marked(tmp_path, {})["u1"])
    assert processes.read_ending(tmp_path, 0).signal == 9
    assert json.loads((tmp_path / "exit.0.json").read_text())["finishedAt"]


VEILED = (
    "import ctypes, os, subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], env={})\n"
    "print('up', child.pid, flush=True); time.sleep(60)"
)


def test_processes_that_hide_their_environment_are_found(run, tmp_path):
    """A process without a readable environment is a pod's if it is below one of the pod's or in its shim's session."""
    shim = run(VEILED)
    wait_until(lambda: "up" in (tmp_path / "log").read_text())
    veiled = int((tmp_path / "log").read_text().split()[1])
    assert veiled in {process.pid for process in processes.find_marked(tmp_path, {})["u1"]}
    shim.kill()
    shim.wait(20)
    wait_until(
        lambda: [process.pid for process in processes.find_marked(tmp_path, {shim.pid: "u1"}).get("u1", [])] == [veiled]
    )
    processes.kill(processes.find_marked(tmp_path, {shim.pid: "u1"})["u1"])
    assert processes.find_marked(tmp_path, {shim.pid: "u1"}) == {}
