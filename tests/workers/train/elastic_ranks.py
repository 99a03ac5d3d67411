"""Ranks of an elastic group as processes of this machine: started, killed, stopped and asked to go one by one."""

import hashlib
import multiprocessing
import os
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import torch

from headrace_workers.faults import Interrupted
from headrace_workers.storage import Folder
from headrace_workers.train.elastic_group import ElasticGroup
from headrace_workers.train.group import Left
from headrace_workers.train.learner import Learner
from headrace_workers.train.loop import fit
from headrace_workers.train.meeting import Meeting
from headrace_workers.train.order import share
from headrace_workers.train.progress import Snapshot
from headrace_workers.train.quorum import start_lighthouse
from headrace_workers.train.training import Training
from tests.workers.train.builders import blobs, train_spec

os.environ.update(RUST_LOG="warn", TORCH_CPP_LOG_LEVEL="ERROR")
HOST = "127.0.0.1"
SECONDS = 60.0


@dataclass
class Rank:
    """One process, and what it said so far."""

    process: SpawnProcess
    line: Connection
    said: list[dict[str, Any]]
    told: bool = False


class Ranks:
    """The ranks, with the lighthouse in this process."""

    def __init__(
        self, folder: Path, spec: dict[str, Any], *, fewest: int = 1, timeout: float = 10.0, slow: float = 0.02, device: str = "cpu",
    ) -> None:  # fmt: skip
        """Nobody trains yet; each step takes at least `slow` seconds. On cuda each rank has the next GPU."""
        self.folder, self._spec, self._slow, self._device = folder, spec, slow, device
        self._lighthouse, address = start_lighthouse(HOST, fewest)
        self._meeting = Meeting(address, "token", fewest, timeout)
        self.ranks: dict[str, Rank] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._hear, daemon=True).start()

    def start(self, name: str, *, later: bool = False) -> None:
        """Starts a rank; it waits to be told to begin or to join. The lighthouse, which waits for all it knows, hears of one that comes later only then."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        device = f"cuda:{len(self.ranks) % torch.cuda.device_count()}" if self._device == "cuda" else self._device
        work = (theirs, name, str(self.folder), self._spec, self._meeting, self._slow, device, later)
        process = context.Process(target=run, args=work, daemon=True)
        process.start()
        theirs.close()
        with self._lock:
            self.ranks[name] = Rank(process, ours, [])

    def begin(self, *names: str, later: tuple[str, ...] = ()) -> None:
        """Starts ranks, and has them begin when all are ready; those that come later are ready then too."""
        for name in (*names, *later):
            self.start(name, later=name in later)
        self.until("all are ready", lambda: all(self.said(name, "waits") for name in names))
        self.until("those of later are ready", lambda: all(self.said(name, "ready") for name in later))
        for name in names:
            self.tell(name, "begin")

    def join(self, name: str) -> None:
        """Has a rank that is ready join the others, who let it in when it says that it waits."""
        self.tell(name, "join")

    def tell(self, name: str, word: str) -> None:
        """Calls a method of the rank's group."""
        self.ranks[name].told = True
        self.ranks[name].line.send(word)

    def said(self, name: str, kind: str) -> list[dict[str, Any]]:
        """What a rank said of a kind."""
        return [each for each in self.ranks[name].said if each["kind"] == kind]

    def until(self, what: str, holds: Any, seconds: float = SECONDS) -> None:
        """Waits until `holds()`; AssertionError with what all have said."""
        ends = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < ends, f"not within {seconds:g} s: {what}; {self.last()}"
            time.sleep(0.02)

    def last(self) -> dict[str, list[dict[str, Any]]]:
        """The last words of each."""
        return {name: rank.said[-3:] for name, rank in self.ranks.items()}

    def step(self, name: str) -> int:
        """The last step that a rank took."""
        return max((each["step"] for each in self.said(name, "step")), default=0)

    def close(self) -> None:
        """Ends all."""
        for rank in self.ranks.values():
            rank.process.kill()
            rank.process.join(5)
        self._lighthouse.shutdown()

    def _hear(self) -> None:
        """Keeps what ranks say, and lets those in that wait again."""
        while True:
            time.sleep(0.005)
            with self._lock:
                ranks = dict(self.ranks)
            for rank in ranks.values():
                try:
                    while rank.line.poll():
                        said = rank.line.recv()
                        rank.said.append({**said, "at": time.monotonic()})
                        if said["kind"] == "waits" and rank.told:
                            self._tell_all("let_in")
                except (EOFError, OSError):
                    continue

    def _tell_all(self, word: str) -> None:
        for rank in self.ranks.values():
            try:
                rank.line.send(word)
            except OSError:
                continue


def run(
    line: Connection,
    name: str,
    folder: str,
    spec: dict[str, Any],
    meeting: Meeting,
    slow: float,
    device: str,
    later: bool,
) -> None:
    """The process of one rank."""
    torch.set_num_threads(1)
    if device != "cpu":
        torch.cuda.set_device(device)

    def say(kind: str, **more: Any) -> None:
        line.send({"kind": kind, **more})

    if later:
        say("ready")
        word = line.recv()
    group = ElasticGroup(meeting, HOST, name, device, lambda: say("waits"))

    def listen() -> None:
        if later:
            getattr(group, word)()
        while True:
            getattr(group, line.recv())()

    threading.Thread(target=listen, daemon=True).start()
    advance, finish, learn = Training._advance, Training._finish_round, Learner.learn

    def told_advance(training: Training) -> Any:
        moves = advance(training)
        batch = training._order.batch(training.step)
        own = len(share(batch, group.rank, group.world_size))
        say(
            "step",
            step=training.step,
            rank=group.rank,
            size=group.world_size,
            records=own,
            digest=digest(training),
            scale=scale.value if (scale := training._learner._scale) else None,
        )
        return moves

    def slow_learn(*arguments: Any, **named: Any) -> torch.Tensor:
        time.sleep(slow)
        return learn(*arguments, **named)

    def told_round(training: Training) -> Any:
        moves = finish(training)
        say("round", step=training.step, digest=digest(training))
        return moves

    Training._finish_round = told_round  # type: ignore[method-assign]
    Training._advance, Learner.learn = told_advance, slow_learn  # type: ignore[method-assign]

    def hear(snapshot: Snapshot) -> None:
        say("snapshot", step=snapshot.step, loss=snapshot.loss, sent=snapshot.traffic.bytes_sent)

    try:
        result = fit(
            train_spec(**spec), blobs(), Folder(f"file://{folder}/run"), group=group, on_progress=hear,
            should_stop=lambda: group.stops, on_start=lambda step, _: say("start", step=step or 0, size=group.world_size),
            on_change=lambda step, _, lost: say("change", step=step, lost=lost, size=group.world_size, rank=group.rank),
        )  # fmt: skip
        say("end", step=result.step, metrics=result.metrics, resumed=result.resumed_from)
    except Left:
        say("left")
    except Interrupted:
        say("interrupted")
    except Exception as error:  # noqa: BLE001 (the test looks at it)
        say("error", text=f"{type(error).__name__}: {error}")
    group.close()
    line.close()


def digest(training: Training) -> str:
    """Of the network's parameters."""
    weights = training._learner.weights
    return hashlib.sha256(b"".join(each.cpu().numpy().tobytes() for each in weights.values())).hexdigest()[:12]
