"""A machine that cannot give what is asked for: too few CPUs, a full disk, a folder that another command works on."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bad_input.command import headrace
from tests.bad_input.manifests import csv_pipeline

TOO_MANY_CPUS = "4000"


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[None]:
    """A file system of its own; skips where none may be mounted."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small file system can be mounted by root only")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_more_cpus_than_there_are_is_told_while_it_waits_and_at_the_timeout(folder: Path) -> None:
    """The pod waits as Unschedulable; --timeout ends the command with exit code 1 and the sentence."""
    (folder / "big.yaml").write_text(csv_pipeline("big", folder / "a.csv", cpu=TOO_MANY_CPUS))
    said = headrace(folder, "run", "--until-ready", "--timeout", "3", "big.yaml")
    assert said.code == 1
    assert "not everything was finished after 3 s, the --timeout" in said.text
    (last,) = [line for line in said.text.splitlines() if "DataPipeline big: Pending: Unschedulable: the pod " in line]
    assert "ask for 4000.1 CPUs; this machine has " in last
    assert last.endswith("; lower spec.workers.resources.cpu or run it on a cluster")


def test_a_folder_that_another_command_works_on_is_refused(folder: Path) -> None:
    """The sentence names the other command, its process and what to do; the other goes on undisturbed."""
    (folder / "big.yaml").write_text(csv_pipeline("big", folder / "a.csv", cpu=TOO_MANY_CPUS))
    command = [sys.executable, "-m", "headrace.cli", "run", "--state-dir", "state", "big.yaml"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as other:
        try:
            ends = time.monotonic() + 30
            lock = folder / "state" / "lock"
            while not lock.exists() or not lock.read_text():
                assert time.monotonic() < ends, "the first command did not take the folder"
                time.sleep(0.1)
            said = headrace(folder, "run", "big.yaml")
            assert other.poll() is None
        finally:
            other.terminate()
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"headrace: {folder}/state is in use by headrace run (pid {other.pid}) since ")
    assert said.err.endswith("; stop it, or give --state-dir another folder\n")


def test_a_full_disk_below_the_state_folder_is_one_sentence(folder: Path) -> None:
    """Where not even the object can be saved, the command says that the disk is full; exit code 1."""
    (folder / "big.yaml").write_text(csv_pipeline("big", folder / "a.csv", cpu=TOO_MANY_CPUS))
    with small_disk(folder / "state", "16k"):
        filler = os.open(folder / "state" / "filler", os.O_WRONLY | os.O_CREAT)
        os.write(filler, b"x" * 16384)
        os.close(filler)
        said = headrace(folder, "run", "--timeout", "5", "big.yaml")
    assert said.code == 1
    assert "headrace: the disk" in said.err
    assert said.err.endswith(" is full; free space there, then run the same command again\n")


@pytest.mark.ray
@pytest.mark.workers
def test_a_full_disk_below_the_table_is_told_after_the_restarts_allowed(folder: Path) -> None:
    """The message names the storage; the run is tried once more, as the manifest says, and no version appears."""
    (folder / "a.csv").write_text("text\n" + "".join(f"{os.urandom(200).hex()}\n" for _ in range(2000)))
    with small_disk(folder / "small", "128k"):
        (folder / "full.yaml").write_text(csv_pipeline("full", folder / "a.csv", sink=f"file://{folder}/small/table"))
        said = headrace(folder, "run", "--until-ready", "full.yaml", seconds=120)
        assert not list((folder / "small").glob("table/_delta_log/*.json"))
    assert said.code == 1
    (failed,) = said.lines("DataPipeline full: Failed")
    assert (
        f"the storage file://{folder}/small/table is full; free space or give it more, the run goes on from here"
        in failed
    )
    assert sorted(path.name for path in (folder / "state/pods/DataPipeline/default/full").iterdir()) == [
        "run-1-attempt-1",
        "run-1-attempt-2",
    ]
