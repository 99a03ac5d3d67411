#!/usr/bin/env python3
"""Whether `auto` takes the fastest way for gradients, on networks from slow to as fast as this machine: it beside each of them.

Three networks: a perceptron, a GPT with embeddings, a convolutional one. Step times are measured in turns, after auto has
tried. Needs root. Exits with 1 when a bound lies outside the confidence interval.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from interval import Interval, Judge
from learning import TASKS
from on_the_wire import METHODS, on_the_wire
from slow_network import slow_network

from headrace_workers.train.compression.auto import FIRST_TRIALS, PRESERVING

OF_THE_BEST = 1.10
OF_PLAIN = 1.03


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--mbits", nargs="+", type=int, default=[10, 100, 1000, 0], help="0: as fast as it goes")
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--timed-steps", type=int, default=10)
    options = parser.parse_args()
    judge = Judge()
    for task in options.tasks:
        rate = TASKS[task]().rates[0]
        for mbits in options.mbits:
            fixed = [(name, rate, 0, options.timed_steps, 3) for name in METHODS if name in PRESERVING]
            chosen = [("auto", rate, 0, max(FIRST_TRIALS) + options.timed_steps, max(FIRST_TRIALS) + 1)]
            with slow_network(options.ranks, mbits):
                measured = on_the_wire(task, (fixed + chosen) * options.rounds, options.ranks)
            seconds = {name: [each["seconds"] for each in measured if each["name"] == name] for name in (*PRESERVING, "auto")}  # fmt: skip
            where = f"{task} at {mbits} Mbit/s" if mbits else f"{task}, as fast as it goes"
            told = ", ".join(f"{name} {Interval.of(each).mean * 1000:.1f}" for name, each in seconds.items())
            ways = sorted({str(each["method"]) for each in measured if each["name"] == "auto"})
            print(f"{where}: ms a step: {told}; auto took {' and '.join(ways)}", flush=True)
            best = [min(each) for each in zip(*(seconds[name] for name in PRESERVING), strict=True)]
            of_best = [own / other for own, other in zip(seconds["auto"], best, strict=True)]
            of_plain = [own / other for own, other in zip(seconds["auto"], seconds["none"], strict=True)]
            judge.at_most(f"{where}: auto, of the best", Interval.of(of_best), OF_THE_BEST)
            judge.at_most(f"{where}: auto, of plain DDP", Interval.of(of_plain), OF_PLAIN)
    return int(judge.missed)


if __name__ == "__main__":
    sys.exit(main())
