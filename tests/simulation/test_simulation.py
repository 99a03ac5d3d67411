"""Hundreds of seeded worlds, each hostile in its own way; hack/simulate runs thousands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.reconcile import reconcile
from tests.simulation.simulation import Loop, SimulationFailure, simulate
from tests.simulation.wrong_loops import WRONG_LOOPS

ROOT = Path(__file__).resolve().parents[2]
BLOCK = 50
SEEDS = 500
SEEDS_TO_CATCH = 60
REPLAYED = 11


def simulate_many(seeds: range, loop: Loop = reconcile) -> None:
    """Runs seeds one after another, up to the first that fails."""
    for seed in seeds:
        simulate(seed, loop)


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_no_law_is_broken(first: int) -> None:
    """Whatever fails, no law of the checkers is broken and everything comes to rest."""
    simulate_many(range(first, first + BLOCK))


@pytest.mark.parametrize("loop", WRONG_LOOPS, ids=lambda loop: loop.__name__)
def test_a_wrong_loop_is_caught(loop: Loop) -> None:
    """The checkers bite: a loop that breaks a law is found within a few seeds, with the line that replays it."""
    with pytest.raises(SimulationFailure, match="hack/simulate --seed"):
        simulate_many(range(SEEDS_TO_CATCH), loop)


def test_a_seed_is_the_same_twice() -> None:
    """A seed gives the same course of events every time."""
    assert simulate(REPLAYED).trace == simulate(REPLAYED).trace


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_a_seed_is_the_same_in_another_process(hash_seed: str) -> None:
    """The order of sets and dictionaries, which differs between processes, reaches no decision."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    answer = subprocess.run(
        [sys.executable, str(ROOT / "hack" / "simulate"), "--seed", str(REPLAYED)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert answer.stdout.splitlines()[-1].endswith(simulate(REPLAYED).digest)
