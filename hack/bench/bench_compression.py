#!/usr/bin/env python3
"""Every way for gradients to travel against plain DDP on a slow network: seconds and bytes to the loss that DDP ends with.

Workers in network namespaces whose links are limited; bytes from the interfaces' own counters. Loss curves of three seeds
are computed in one process, with the learning rate tuned for each method, and joined with step times that the methods
measured in turns on the wire; a run on the wire must end where its curve does. Needs root. Exits with 1 when a bound lies
outside the confidence interval.
"""

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch
from matplotlib import pyplot as plt

sys.path.insert(0, str(Path(__file__).parent))
from curves import curve
from interval import Interval, Judge
from learning import TASKS
from on_the_wire import METHODS, on_the_wire
from slow_network import slow_network

from headrace.api.compression import Compression
from headrace_workers.train.compression.base import Wire
from headrace_workers.train.compression.choose import exchange_of

PLAIN = "none"
WORST_LOSS = {"bf16": 1.01, "int8": 1.01, "int4": 1.01, "powerSgd": 1.03}
"""A method's final loss, as a multiple of DDP's."""
FEWER_BYTES = {"int4": 7.5, "sparseLoCo": 100.0}
FASTER = {("int4", "MLP"): 4.0, ("int4", "GPT"): 2.5}
ENCODING_MS = {"int4": 15.0}
"""For 2 million parameters, on one core."""
ENCODINGS = 30
WARM_UP_OVER = 1000
AGREEMENT = 0.02
WARM_STEPS = 3
STEPS = {"powerSgd": (23, 13), "topK": (65, 53), "diLoCo": (32, 16), "sparseLoCo": (32, 16)}
"""Timed after a warm-up, or over whole rounds: steps, and how many of them are not timed."""


@dataclass
class Found:
    """What is known of one method at one task."""

    rate: float = 0.0
    curves: list[list[tuple[int, float]]] = field(default_factory=list)
    """Of each seed."""
    measured: list[dict[str, float]] = field(default_factory=list)
    """Of each round on the wire."""

    def final(self, seed: int) -> float:
        return self.curves[seed][-1][1]

    def steps_to(self, loss: float, seed: int) -> float:
        return next((step for step, reached in self.curves[seed] if reached <= loss), float("inf"))


def one_curve(task: str, method: str, rate: float, seed: int, ranks: int, steps: int) -> list[tuple[int, float]]:
    """In a process of its own."""
    torch.set_num_threads(1)
    return curve(TASKS[task](), Compression.model_validate(METHODS[method]), rate, seed, ranks, steps)


def learn(task: str, rates: Iterable[float], options: argparse.Namespace) -> dict[str, Found]:
    """The best learning rate of each method by the first seed, and the curves of all seeds with it."""
    found = {method: Found() for method in options.methods}
    with ProcessPoolExecutor(options.processes) as pool:
        tried = {
            (method, rate): pool.submit(one_curve, task, method, rate, 0, options.ranks, options.steps)
            for method in options.methods for rate in rates
        }  # fmt: skip
        for method, each in found.items():
            each.rate = min(rates, key=lambda rate, method=method: tried[method, rate].result()[-1][1])
        others = {
            (method, seed): pool.submit(one_curve, task, method, each.rate, seed, options.ranks, options.steps)
            for method, each in found.items() for seed in range(1, options.seeds)
        }  # fmt: skip
        for method, each in found.items():
            each.curves = [tried[method, each.rate].result()]
            each.curves += [others[method, seed].result() for seed in range(1, options.seeds)]
    return found


def encoding_seconds(method: str, ranks: int) -> float:
    """What a rank with a core of its own takes to encode and decode the gradient of 2 million parameters."""
    wire = Wire(
        add_up=lambda _: None, swap=lambda into, mine: into.copy_(mine),
        gather=lambda into, mine: into.view(ranks, -1).copy_(mine.expand(ranks, -1)),
    )  # fmt: skip
    exchange = exchange_of(Compression.model_validate(METHODS[method]), ranks, 0, 0, wire)
    flat, took = torch.randn(2000 * 1000), []
    for step in range(ENCODINGS):
        exchange.step, before = WARM_UP_OVER + step, exchange.encoding_seconds
        exchange.exchange(flat, {"weight": flat.view(2000, 1000)})
        took.append(exchange.encoding_seconds - before)
    return min(took)


def measure(task: str, found: dict[str, Found], options: argparse.Namespace, judge: Judge) -> None:
    """Step times in turns, and a run of each method that has to end where its curve does."""
    turns = [
        (name, each.rate, 0, *(STEPS.get(name) or (options.timed_steps, WARM_STEPS)))
        for _ in range(options.rounds)
        for name, each in found.items()
    ]
    runs = [(name, each.rate, 0, options.run_steps, WARM_STEPS) for name, each in found.items()]
    with slow_network(options.ranks, options.mbits):
        measured = on_the_wire(task, turns + runs, options.ranks)
    apart = [each["name"] for each in measured if not each["same"]]
    judge.at_most(f"{task}: measurements after which ranks differed", Interval(len(apart), 0.0), 0)
    for each in measured[: len(turns)]:
        found[str(each["name"])].measured.append(each)
    for each in measured[len(turns) :]:
        name = str(each["name"])
        curve = dict(found[name].curves[0])
        off = abs(each["loss"] / curve[options.run_steps] - 1)
        judge.at_most(f"{task}, {name}: loss after {options.run_steps} steps on the wire, off its curve by", Interval(off, 0.0), AGREEMENT)  # fmt: skip


def judge_all(task: str, found: dict[str, Found], judge: Judge) -> None:
    """The table, and the bounds."""
    plain = found[PLAIN]
    seeds = range(len(plain.curves))
    print(f"\n{task}: method, learning rate, ms a step, MB a step, encoding ms (ranks share cores), final loss, times fewer bytes, times faster to DDP's final loss")  # fmt: skip
    for name, each in found.items():
        seconds = Interval.of([one["seconds"] for one in each.measured])
        bytes_ = Interval.of([one["bytes"] for one in each.measured])
        encoding = Interval.of([one["encoding"] * 1000 for one in each.measured])
        loss = Interval.of([each.final(seed) for seed in seeds])
        fewer = Interval.of([p["bytes"] / m["bytes"] for p, m in zip(plain.measured, each.measured, strict=True)])
        worse = Interval.of([each.final(seed) / plain.final(seed) for seed in seeds])
        pairs = [(seed, plain.measured[seed % len(plain.measured)], each.measured[seed % len(each.measured)]) for seed in seeds]  # fmt: skip
        faster = Interval.of([
            plain.steps_to(plain.final(seed), seed) * p["seconds"] / (each.steps_to(plain.final(seed), seed) * m["seconds"])
            for seed, p, m in pairs
        ])  # fmt: skip
        print(f"  {name:9} {each.rate:<6g} {seconds.mean * 1000:8.1f} {bytes_.mean / 1e6:8.3f} {encoding.mean:6.1f} {loss.mean:8.4f} {fewer.mean:7.2f} {faster.mean:7.2f}", flush=True)  # fmt: skip
        if name in WORST_LOSS:
            judge.at_most(f"{task}, {name}: final loss, of DDP's", worse, WORST_LOSS[name])
        if name in FEWER_BYTES:
            judge.at_least(f"{task}, {name}: times fewer bytes", fewer, FEWER_BYTES[name])
        if (name, task) in FASTER:
            judge.at_least(f"{task}, {name}: times faster to DDP's final loss", faster, FASTER[name, task])


def draw(results: dict[str, dict[str, Found]], folder: Path) -> Path:
    """Loss against seconds and against bytes, of the first seed."""
    figure, axes = plt.subplots(len(results), 2, figsize=(11, 4 * len(results)), squeeze=False)
    for row, (task, found) in zip(axes, results.items(), strict=True):
        for axis, key, scale, label in zip(row, ("seconds", "bytes"), (1, 1e-6), ("seconds", "MB sent by a worker"), strict=True):  # fmt: skip
            for name, each in found.items():
                cost = Interval.of([one[key] for one in each.measured]).mean * scale
                axis.plot([step * cost for step, _ in each.curves[0]], [loss for _, loss in each.curves[0]], label=name)
            axis.set(title=task, xlabel=label, ylabel="held-out loss", xscale="log")
            axis.legend()
    folder.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(folder / "compression.png", dpi=110)
    return folder / "compression.png"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=["MLP", "GPT"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--mbits", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--timed-steps", type=int, default=15)
    parser.add_argument(
        "--run-steps", type=int, default=0, help="of the run that must agree with its curve; absent, all"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(".bench"))
    options = parser.parse_args()
    options.run_steps = options.run_steps or options.steps
    if PLAIN not in options.methods:
        parser.error(f"--methods needs {PLAIN}, which the others are measured against")
    torch.set_num_threads(1)
    judge, results = Judge(), defaultdict[str, dict[str, Found]](dict)
    for name in options.methods:
        alone = encoding_seconds(name, options.ranks) * 1000
        judge.at_most(f"{name}: ms to encode and decode 2 million parameters on one core", Interval(alone, 0.0), ENCODING_MS.get(name, math.inf))  # fmt: skip
    for task in options.tasks:
        found = results[task] = learn(task, TASKS[task]().rates, options)
        measure(task, found, options, judge)
        judge_all(task, found, judge)
    print(f"curves: {draw(results, options.out)}")
    return int(judge.missed)


if __name__ == "__main__":
    sys.exit(main())
