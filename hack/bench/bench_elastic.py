#!/usr/bin/env python3
"""Training whose workers die, hang, leave and join, on a slow network: pauses, steps lost, and what of its speed is left.

A head and four workers in network namespaces, with Ray as in pods; beside them, with the same network of 1.9 M parameters,
torchft's own Manager, and the elastic group of Ray Train, which restarts from a checkpoint. Needs root. Exits with 1 when a bound is missed.
"""

import argparse
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from interval import Interval, Judge
from on_the_wire import METHODS, on_the_wire
from peer_torchft import measure_torchft
from run_on_network import PodsOnNetwork, mnist_version
from slow_network import DEVICE, cut, slow_network

from tests.workers.train.pods import run_spec

WORKERS = 4
START_SECONDS = 120.0
TRAIN_SECONDS = 900.0
STALL, REPLACED, PAUSE = 3.0, 15.0, 2.0
GOODPUT, LOSS, SAME_LOSS = 0.90, 1.02, 1.01
OVERHEAD = 1.03
FAULT_EVERY_SECONDS = 29.0
TIMEOUT_SECONDS = 10

Fault = Callable[[PodsOnNetwork, int], None]


class Bench:
    """Runs one after another, each in a folder of its own."""

    def __init__(self, folder: Path, judge: Judge, options: argparse.Namespace) -> None:
        self._folder, self._judge, self._options = folder, judge, options
        self._dataset = mnist_version(folder)
        self._numbers = itertools.count()

    def open(self, steps: int, python_path: str = "", **changes: Any) -> PodsOnNetwork:
        """A run that has all its workers."""
        spec = {
            "epochs": None, "steps": steps, "batchSize": 128,
            "model": {"builtin": "Perceptron", "parameters": {"hidden": 1024, "layers": 2}},
            "optimizer": {"name": "SGD", "learningRate": 0.05, "momentum": 0.9},
            "workers": {"min": 1, "max": WORKERS}, "compression": METHODS[self._options.method], "checkpoints": {"everySteps": 100_000},
            "evaluation": {"everySteps": 100_000}, "stallSeconds": TIMEOUT_SECONDS, **changes,
        }  # fmt: skip
        folder = self._folder / f"run{next(self._numbers)}"
        folder.mkdir()
        run = PodsOnNetwork(folder, run_spec(folder, self._dataset, **spec), python_path)
        for rank in range(WORKERS + 1):
            run.start_pod(rank)
        try:
            run.wait_until(lambda found: found.workers == WORKERS and found.progress.step > 5, START_SECONDS)
        except TimeoutError:
            run.close()
            raise
        return run

    def calm(self, steps: int) -> float:
        """The loss of a run that nothing happens to."""
        run = self.open(steps)
        try:
            return run.end(TRAIN_SECONDS).metrics["loss"]
        finally:
            run.close()

    def planned(self, steps: int, loss: float) -> None:
        """4, 2, 4 workers: two leave when asked, two join."""
        run = self.open(steps)
        try:
            began = time.monotonic()
            for rank in (3, 4):
                run.leave(rank)
            run.wait_until(lambda found: found.workers == 2, 30)
            shrunk = time.monotonic()
            run.watch(5)
            for rank in (3, 4):
                run.start_pod(rank)
            run.wait_until(lambda found: found.workers == WORKERS, 60)
            grown = time.monotonic()
            run.watch(5)
            done = run.end(TRAIN_SECONDS)
            pauses = run.pause(began, shrunk + 5), run.pause(shrunk + 5, grown + 5)
        finally:
            run.close()
        self._say_at_most("4 to 2 workers by request: seconds without a step", pauses[0], PAUSE)
        self._say_at_most("2 to 4 workers: seconds without a step", pauses[1], PAUSE)
        self._say_at_most("loss after that, of a run without", done.metrics["loss"] / loss, SAME_LOSS)
        self._say_at_most("steps done again, or restarts of the group", done.group_restarts, 0)

    def faults(self, minutes: float, name: str, fault: Fault, *, bounded: bool) -> None:
        """A fault every 29 s, each followed by a new worker: pauses, and the steps of what live workers could have done."""
        run = self.open(1_000_000)
        pauses, replaced = [], []
        try:
            speeds = self._speeds(run)
            first, expected = run.seen[-1], 0.0
            ends = time.monotonic() + minutes * 60
            for number in itertools.count():
                if time.monotonic() > ends:
                    break
                rank = 1 + number % WORKERS
                at = time.monotonic()
                fault(run, rank)
                run.wait_until(lambda found: found.workers < WORKERS, 30)
                run.wait_until(lambda found: found.workers == WORKERS, 60)
                replaced.append(time.monotonic() - at)
                run.watch(max(FAULT_EVERY_SECONDS - (time.monotonic() - at), 2.0))
                pauses.append(run.pause(at - 1.0, at + 10.0))
            looked = [each for each in run.seen if each.at >= first.at]
            for earlier, later in itertools.pairwise(looked):
                expected += speeds[max(earlier.workers, WORKERS - 1)] * (later.at - earlier.at)
            goodput = (looked[-1].step - first.step) / expected
            restarts = run.report()
        finally:
            run.close()
        print(
            f"{name}: {len(pauses)} times, longest pauses {', '.join(f'{each:.1f}' for each in pauses)} s", flush=True
        )
        if bounded:
            self._say_at_most(f"{name}: seconds without a step", max(pauses), STALL)
            self._say_at_most(f"{name}: seconds until the new one trains", max(replaced), REPLACED)
            self._judge.at_least(
                f"{name}: steps, of what live workers could have done", Interval(goodput, 0.0), GOODPUT
            )
        else:
            self._say_at_most(f"{name}: seconds without a step", max(pauses), TIMEOUT_SECONDS + STALL)
            print(f"{name}: steps, of what live workers could have done: {goodput:.3f}")
        self._say_at_most(f"{name}: restarts of the group", restarts.group_restarts if restarts else 0, 0)

    def loss_under_faults(self, steps: int, loss: float) -> None:
        """The same steps as a calm run, with a worker killed every so often."""
        run = self.open(steps)
        try:
            for number in itertools.count():
                found = run.report()
                if run.processes["head"].poll() is not None or (found and found.progress.step > steps - 60):
                    break
                rank = 1 + number % WORKERS
                run.kill(rank)
                run.start_pod(rank)
                run.watch(FAULT_EVERY_SECONDS)
            done = run.end(TRAIN_SECONDS)
        finally:
            run.close()
        self._say_at_most(
            "workers killed: loss after as many records, of a calm run's", done.metrics["loss"] / loss, LOSS
        )

    def head(self, every: int) -> None:
        """The head is killed: the next attempt resumes from the last checkpoint."""
        run = self.open(1_000_000, checkpoints={"everySteps": every})
        try:
            before = run.wait_until(lambda found: found.progress.step > 2.5 * every, TRAIN_SECONDS)
            for rank in range(WORKERS + 1):
                run.kill(rank)
            identity = run.spec.identity.model_copy(update={"attempt": 2})
            run.spec = run.spec.model_copy(update={"identity": identity})
            run.write_spec()
            for rank in range(WORKERS + 1):
                run.start_pod(rank)
            after = run.wait_until(lambda found: found.resumed_from is not None, START_SECONDS)
        finally:
            run.close()
        lost = before.progress.step - (after.resumed_from or 0)
        self._say_at_most("the head killed: steps lost, of a checkpoint's interval", lost / every, 1.0)

    def overhead(self, rounds: int) -> None:
        """Plain training without a limit of the network, beside plain DDP under the same."""
        ratios = []
        for _ in range(rounds):
            floor = on_the_wire("MLP", [("none", 0.05, 0, 150, 30)], WORKERS)[0]["seconds"]
            run = self.open(100_000, compression={"none": {}})
            try:
                run.watch(3)
                since = run.seen[-1]
                run.watch(10)
                seconds = (run.seen[-1].at - since.at) / (run.seen[-1].step - since.step)
            finally:
                run.close()
            ratios.append(seconds / floor)
            print(f"a step: {seconds * 1000:.1f} ms, plain DDP {floor * 1000:.1f} ms", flush=True)
        self._judge.at_most(
            "a step without compression on a fast network, of plain DDP's", Interval.of(ratios), OVERHEAD
        )

    def ray_train(self) -> None:
        """What a killed worker costs where Ray Train forms the group, with plain gradients and a checkpoint every 50 steps."""
        without_torchft = self._folder / "without-torchft"
        without_torchft.mkdir()
        (without_torchft / "sitecustomize.py").write_text("import sys\nsys.modules['torchft'] = None\n")
        run = self.open(1_000_000, str(without_torchft), compression={"none": {}}, checkpoints={"everySteps": 50})
        try:
            run.wait_until(lambda found: found.checkpoint is not None, TRAIN_SECONDS)
            run.watch(5)
            at, before = time.monotonic(), run.seen[-1].step
            kill(run, WORKERS)
            run.wait_until(lambda found: found.resumed_from is not None, START_SECONDS)
            after = run.wait_until(lambda found: found.progress.step > before, START_SECONDS)
            again = before - (after.resumed_from or 0)
            paused = run.pause(at - 1, time.monotonic())
        finally:
            run.close()
        print(f"Ray Train at {self._options.mbits} Mbit/s, plain gradients: a worker killed: {paused:.1f} s without a new step, {again} steps done again", flush=True)  # fmt: skip

    def _speeds(self, run: PodsOnNetwork) -> dict[int, float]:
        """Steps a second with all workers, and with one less."""
        found = {}
        for workers in (WORKERS, WORKERS - 1):
            if workers < WORKERS:
                run.leave(WORKERS)
                run.wait_until(lambda report: report.workers == WORKERS - 1, 30)
            run.watch(1)
            since = run.seen[-1]
            run.watch(15)
            found[workers] = (run.seen[-1].step - since.step) / (run.seen[-1].at - since.at)
        run.start_pod(WORKERS)
        run.wait_until(lambda report: report.workers == WORKERS, 60)
        run.watch(3)
        return found

    def _say_at_most(self, what: str, figure: float, bound: float) -> None:
        self._judge.at_most(what, Interval(figure, 0.0), bound)


def kill(run: PodsOnNetwork, rank: int) -> None:
    """A pod is gone, and another comes."""
    run.kill(rank)
    run.start_pod(rank)


def suspend(run: PodsOnNetwork, rank: int) -> None:
    """What trains hangs; the head ends it, and starts another on the same pod."""
    run.suspend(rank)


def cut_off(run: PodsOnNetwork, rank: int) -> None:
    """A node is cut off until the others train without it, and another pod comes."""
    cut(rank, off=True)
    run.wait_until(lambda found: found.workers < WORKERS, 60)
    run.kill(rank)
    cut(rank, off=False)
    run.start_pod(rank)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mbits", type=int, default=100)
    parser.add_argument("--method", default="int4", choices=METHODS)
    parser.add_argument("--minutes", type=float, default=30.0, help="of killing a worker every 29 s")
    parser.add_argument("--steps", type=int, default=400, help="of the runs whose losses are compared")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=["planned", "killed", "loss", "hangs", "cut", "head", "overhead", "torchft", "ray-train"])  # fmt: skip
    options = parser.parse_args()
    # Gloo asks the host's name for its address, which is not the namespace's.
    os.environ["GLOO_SOCKET_IFNAME"] = DEVICE
    judge = Judge()
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as scratch:
        bench = Bench(Path(scratch), judge, options)
        with slow_network(WORKERS + 1, options.mbits):
            loss = bench.calm(options.steps) if {"planned", "loss"} & set(options.only) else 0.0
            parts: dict[str, Callable[[], None]] = {
                "planned": lambda: bench.planned(options.steps, loss),
                "killed": lambda: bench.faults(options.minutes, "a worker killed", kill, bounded=True),
                "loss": lambda: bench.loss_under_faults(options.steps, loss),
                "hangs": lambda: bench.faults(2, "a worker stopped", suspend, bounded=False),
                "cut": lambda: bench.faults(2, "a worker cut off", cut_off, bounded=False),
                "head": lambda: bench.head(50),
                "torchft": lambda: measure_torchft(WORKERS, options.mbits),
                "ray-train": bench.ray_train,
            }  # fmt: skip
            for name, part in parts.items():
                if name in options.only:
                    part()
        if "overhead" in options.only:
            with slow_network(WORKERS + 1, 0):
                bench.overhead(options.rounds)
    return int(judge.missed)


if __name__ == "__main__":
    sys.exit(main())
