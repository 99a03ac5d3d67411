"""Killed at any moment and opened again: nothing is forgotten, nothing is done twice, nothing is left behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from headrace.local import FolderLocked, LocalCluster, processes
from headrace.plan.values import Create, Delete, PodPhase, Settings

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
TICKING = "import os, time\nprint('up', os.getpid())\nwhile True: time.sleep(0.1)"


def in_killed_program(kit, state, script: str, until_line: str) -> None:
    """A program opens the folder, makes the pod `one` in it, and is killed once the pod has written the line."""
    program = os.fork()
    if program == 0:

        async def work() -> None:
            async with kit.opened(state, stop=False) as world:
                await world.make(kit.pod(await world.observe(), "one", script))
                await asyncio.sleep(60)

        try:
            asyncio.run(work())
        finally:
            os._exit(1)
    ends = time.monotonic() + 20
    while until_line not in "".join(path.read_text() for path in state.glob("pods/**/log")):
        assert time.monotonic() < ends, "the pod did not come up"
        time.sleep(0.02)
    os.kill(program, signal.SIGKILL)
    os.waitpid(program, 0)


def test_pods_outlive_a_killed_program_and_are_adopted(kit, state):
    """After SIGKILL of the program that holds the folder, its pods run on, and the next one has the same pods."""
    in_killed_program(kit, state, TICKING, "up")
    number = int(next(state.glob("pods/**/log")).read_text().split()[1])
    assert psutil.pid_exists(number)

    async def again() -> None:
        async with kit.opened(state) as world:
            seen = await world.until_phase("one", PodPhase.RUNNING)
            await asyncio.sleep(0.3)
            assert world.log("one").count("up") == 1
            assert psutil.pid_exists(number)
            assert await world.pod("one") == seen

    asyncio.run(again())
    assert not psutil.pid_exists(number)


def test_an_end_that_nobody_watched_is_told_later(kit, state):
    """A pod that ended while no program held the folder has its exit code when it is opened again."""
    in_killed_program(kit, state, "import sys, time; print('up'); time.sleep(0.3); sys.exit(4)", "up")
    time.sleep(0.6)

    async def again() -> None:
        async with kit.opened(state) as world:
            seen = await world.until_phase("one", PodPhase.FAILED)
            assert (seen.exit_code, seen.disrupted) == (4, False)

    asyncio.run(again())


def test_a_pod_that_vanished_is_lost(kit, state):
    """A pod whose processes are gone without a word, as after a power cut, failed through no fault of its own."""
    in_killed_program(kit, state, TICKING, "up")
    for process in kit.processes_of(state):
        process.kill()

    async def again() -> None:
        async with kit.opened(state) as world:
            seen = await world.until_phase("one", PodPhase.FAILED)
            assert (seen.disrupted, seen.reason, seen.exit_code) == (True, "Lost", None)

    asyncio.run(again())


def as_if_not_yet_written(state) -> None:
    """Puts the pod's object back to before its start was written down."""
    path = state / "objects/Pod/default/one.json"
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({**raw, "status": {**raw["status"], "phase": "Pending", "running": False}}))


def test_a_start_that_was_not_written_down_is_not_repeated(kit, state):
    """A program killed between starting a pod and saying so leaves a pod that is adopted, not doubled."""
    in_killed_program(kit, state, TICKING, "up")
    as_if_not_yet_written(state)

    async def again() -> None:
        async with kit.opened(state) as world:
            await world.until_phase("one", PodPhase.RUNNING)
            await asyncio.sleep(0.3)
            assert world.log("one").count("up") == 1

    asyncio.run(again())


def test_a_pod_that_was_only_written_down_is_started(kit, state):
    """A pod object without a process is started by the next program."""

    async def make_only() -> None:
        async with LocalCluster.open(state, Settings(local=True), machine=kit.small) as cluster:
            cluster._node.placing = False
            await cluster.put(kit.job())
            observed = await cluster.observe(kit.job().key)
            await cluster.apply(observed, Create(kit.pod(observed, "one", "print('up')")))

    async def again() -> None:
        async with kit.opened(state) as world:
            await world.until_phase("one", PodPhase.SUCCEEDED)
            assert world.log("one") == "up\n"

    asyncio.run(make_only())
    asyncio.run(again())


def test_strays_are_ended_at_the_next_opening(kit, state):
    """Processes of this folder that belong to no pod are ended; those of another folder are not."""
    state.mkdir()

    def started(folder: str) -> psutil.Popen:
        environment = {**os.environ, processes.POD_UID: "nobody", processes.STATE: folder}
        command = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
        process = psutil.Popen(command, env=environment, start_new_session=True, stdout=subprocess.PIPE)
        # For an instant after it was started a process has no environment that others could read.
        assert process.stdout.readline() == b"up\n"
        return process

    stray, other = started(str(state)), started(f"{state}2")

    async def again() -> None:
        async with kit.opened(state):
            assert not stray.is_running()
            assert other.is_running()

    try:
        asyncio.run(again())
    finally:
        other.kill()
        other.wait()


def test_children_without_owner_are_collected_at_the_next_opening(kit, state):
    """A program killed after an object was deleted leaves pods that the next one ends."""
    in_killed_program(kit, state, TICKING, "up")
    (state / "objects/TrainJob/default/digits.json").unlink()

    async def again() -> None:
        async with LocalCluster.open(state, Settings(local=True), machine=kit.small):
            await kit.until(lambda: not kit.processes_of(state) and not list(state.glob("objects/Pod/*/*.json")))

    asyncio.run(again())


def test_leaving_without_shutdown_leaves_pods_running(kit, state):
    """The folder is free again and its pods run on."""

    async def leave() -> None:
        async with kit.opened(state, stop=False) as world:
            await world.make(kit.pod(await world.observe(), "one", TICKING))
            await world.until_phase("one", PodPhase.RUNNING)
            with pytest.raises(FolderLocked):
                async with kit.opened(state):
                    pass

    async def again() -> None:
        async with kit.opened(state) as world:
            await kit.until(lambda: "up" in world.log("one"))
            assert (await world.pod("one")).phase == PodPhase.RUNNING

    asyncio.run(leave())
    assert kit.processes_of(state)
    asyncio.run(again())


def test_a_pod_that_is_to_go_goes_before_the_folder_is_left(kit, state):
    """A pod that was deleted just before the end is asked to end, and gone; the others run on."""

    async def leave() -> None:
        async with kit.opened(state, stop=False) as world:
            observed = await world.observe()
            await world.make(kit.pod(observed, "one", TICKING), kit.pod(observed, "two", TICKING))
            await kit.until(lambda: "up" in world.log("one") and "up" in world.log("two"))
            await world.cluster.apply(await world.observe(), Delete("Pod", "one", (await world.pod("one")).uid))

    async def again() -> None:
        async with kit.opened(state) as world:
            assert [pod.name for pod in world.cluster.pods(world.resource.key)] == ["two"]

    asyncio.run(leave())
    assert len(kit.processes_of(state)) == 2
    asyncio.run(again())
