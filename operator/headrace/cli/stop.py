"""`headrace stop`: ends all that still runs in a state folder, in order; objects and data stay, and can go on later."""

import asyncio
import contextlib
import json
import os
import signal
import time
from pathlib import Path

from headrace.cli.errors import Sentence
from headrace.cli.signals import Interrupts
from headrace.cli.state import InUse, open_world
from headrace.cli.stopping import GRACE_SECONDS, stop_pods
from headrace.cli.words import place

ASK_AGAIN_SECONDS = 0.3
LONGEST_WAIT_SECONDS = GRACE_SECONDS + 8.0
"""What another command may take to end: its grace, and its last words."""


def stop(state_dir: Path) -> None:
    """Ends the pods of the folder; a command that works on it is asked to end first."""
    if not state_dir.is_dir():
        raise Sentence(f"there is no state folder {place(state_dir.absolute())}; name another with --state-dir")
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    asked: int | None = None
    while True:
        try:
            asyncio.run(_stop(state_dir))
        except InUse:
            holder = holder_pid(state_dir)
            if holder is None or time.monotonic() > deadline:
                raise
            if holder != asked:
                print(
                    f"asking the command that works on {place(state_dir.absolute())} (pid {holder}) to stop", flush=True
                )
                with contextlib.suppress(ProcessLookupError):  # it has just ended: the folder is free at the next try
                    os.kill(holder, signal.SIGTERM)
                asked = holder
            time.sleep(ASK_AGAIN_SECONDS)
        else:
            print(
                f"nothing runs in {place(state_dir.absolute())} any more; `headrace run` with the same files resumes",
                flush=True,
            )
            return


async def _stop(state_dir: Path) -> None:
    async with open_world(state_dir, "headrace stop") as world:
        with Interrupts() as interrupts:
            await stop_pods(world, interrupts.now, lambda sentence: print(sentence, flush=True))


def holder_pid(state_dir: Path) -> int | None:
    """The process that wrote its number into the folder's lock; None if it has not."""
    try:
        return int(json.loads((state_dir / "lock").read_bytes())["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
