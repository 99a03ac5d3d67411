"""Starts the ranks of the benchmarks of compression, each in its network namespace, and reads what they measured."""

import json
import subprocess
import sys
from pathlib import Path

from slow_network import namespace

METHODS: dict[str, dict[str, object]] = {
    "none": {"none": {}},
    "bf16": {"bf16": {}},
    "int8": {"int8": {}},
    "int4": {"int4": {}},
    "powerSgd": {"powerSgd": {"rank": 4, "warmupSteps": 10}},
    "topK": {"topK": {"fraction": 0.01, "warmupSteps": 50}},
    "diLoCo": {"diLoCo": {"localSteps": 16}},
    "sparseLoCo": {"sparseLoCo": {"localSteps": 16, "fraction": 0.03}},
}
"""What a spec says under `compression`, by name."""
AUTO = {"auto": {"auto": {}}}
WIRE_SECONDS = 3600


def on_the_wire(task: str, work: list[tuple[str, float, int, int, int]], ranks: int) -> list[dict[str, float]]:
    """Starts the ranks, each in its namespace; what they measured, in the order of the work: method, learning rate, seed, steps, and how many of them are not timed."""
    script = str(Path(__file__).parent / "wire_rank.py")
    told = json.dumps([(name, (METHODS | AUTO)[name], *rest) for name, *rest in work])
    processes = [
        subprocess.Popen(
            ["ip", "netns", "exec", namespace(rank), sys.executable, script, str(rank), str(ranks), task, told],
            stdout=subprocess.PIPE, text=True,
        )
        for rank in range(ranks)
    ]  # fmt: skip
    try:
        outputs = [each.communicate(timeout=WIRE_SECONDS)[0] for each in processes]
    finally:
        for each in processes:
            each.kill()
    if any(each.returncode for each in processes):
        raise SystemExit("a rank failed; its own words are above")
    return [json.loads(line) for line in outputs[0].splitlines() if line.startswith("{")]
