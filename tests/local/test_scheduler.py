"""Which pods start: the order in which they were made, gangs whole, nobody starved, and a sentence for all that wait."""

import pytest

from headrace.local.machine import Amount, Machine
from headrace.local.scheduler import Claim, place

TWO = Machine(cpus=2, memory_bytes=8 * 2**30)


def claim(name: str, cpus: float = 1.0, sequence: int = 0, **more) -> Claim:
    """A pod that asks for CPUs; its place in the order is the digit in its name."""
    amount = Amount(cpus, more.pop("memory", 0.0), more.pop("gpus", 0))
    return Claim(name, sequence or int("".join(filter(str.isdigit, name)) or 0), amount, **more)


def gang(name: str, *places: int, cpus: float = 1.0, minimum: int = 2) -> list[Claim]:
    """Pods of one gang."""
    return [claim(f"{name}{place}", cpus, gang=name, gang_minimum=minimum) for place in places]


CASES = {
    "all that fit start, in order": ([], [claim("b2"), claim("a1")], ["a1", "b2"]),
    "what is held is not given twice": ([claim("a1", 1.5)], [claim("b2", 0.5), claim("c3", 0.5)], ["b2"]),
    "a small pod does not overtake one that waits": ([claim("a1", 1.5)], [claim("b2", 1.0), claim("c3", 0.25)], []),
    "a small pod goes ahead of one that can never fit": ([], [claim("a1", 8.0), claim("b2", 1.0)], ["b2"]),
    "a gang starts when all of its minimum fits": ([], gang("g", 1, 2), ["g1", "g2"]),
    "a gang starts not at all when its minimum does not fit": ([claim("a1", 0.5)], gang("g", 2, 3), []),
    "a gang whose minimum is not made yet waits and blocks nobody": ([], [*gang("g", 1), claim("b2", 2.0)], ["b2"]),
    "a gang starts with its minimum when not all of it fits": ([], gang("g", 1, 2, 3), ["g1", "g2"]),
    "the rest of a gang follows when there is room": (gang("g", 1), gang("g", 2, minimum=1), ["g2"]),
    "the rest of a gang does not overtake a pod that waits": (
        [claim("a1", 1.5)],
        [*gang("g", 2, cpus=0.25, minimum=0), claim("b3", 1.0)],
        [],
    ),
    "the rest of a gang does not hold up a pod that comes later": (
        gang("g", 1, cpus=1.0),
        [*gang("g", 2, cpus=1.5, minimum=1), claim("b3", 1.0)],
        ["b3"],
    ),
    "a lost member of a gang is needed before the rest": (
        gang("g", 1, cpus=0.5),
        gang("g", 7, cpus=1.5, minimum=2),
        ["g7"],
    ),
    "a gang that can never fit does not hold up others": ([], [*gang("g", 1, 2, cpus=1.5), claim("b3", 2.0)], ["b3"]),
}


@pytest.mark.parametrize(("held", "waiting", "starts"), CASES.values(), ids=CASES.keys())
def test_who_starts(held, waiting, starts):
    """Who starts is decided by order, room and gangs alone."""
    placement = place(TWO, held, waiting)
    assert list(placement.start) == starts
    assert set(placement.verdicts) == {one.uid for one in waiting} - set(starts)


GIB = 2**30
SENTENCES = {
    "too many CPUs": (
        [],
        [claim("a1", 8)],
        "Unschedulable",
        "asks for 8 CPUs; this machine has 2 CPUs; lower spec.workers.resources.cpu or run it on a cluster",
    ),
    "too much memory": (
        [],
        [claim("a1", memory=16 * GIB)],
        "Unschedulable",
        "asks for 16.0 GiB of memory; this machine has 8.0 GiB of memory; lower spec.workers.resources.memory or run it on a cluster",
    ),
    "no GPU": (
        [],
        [claim("a1", gpus=1)],
        "Unschedulable",
        "asks for 1 GPU; this machine has 0 GPUs; if it has some, name them in CUDA_VISIBLE_DEVICES; lower spec.workers.resources.gpu or run it on a cluster",
    ),
    "a gang too large": (
        [],
        gang("a", 1, 2, 3, minimum=3),
        "Unschedulable",
        "and the 2 pods that must start with it ask for 3 CPUs; this machine has 2 CPUs; lower spec.workers.resources.cpu or run it on a cluster",
    ),
    "another field": (
        [],
        [claim("a1", 8, field="spec.resources")],
        "Unschedulable",
        "asks for 8 CPUs; this machine has 2 CPUs; lower spec.resources.cpu or run it on a cluster",
    ),
    "no room now": ([claim("b0", 1.6)], [claim("a1", 1)], "Waiting", "waits for 1 CPU; 0.4 of 2 are free"),
    "no room for a gang": (
        [claim("b0", 1)],
        gang("a", 1, 2),
        "Waiting",
        "waits for 2 CPUs for itself and the pod that must start with it; 1 of 2 are free",
    ),
    "others first": (
        [claim("b0", 1.5)],
        [claim("c0", 1), claim("a1", 0.1)],
        "Waiting",
        "waits for its turn; pods that were made earlier wait for room",
    ),
    "a gang half made": (
        [],
        gang("a", 1, minimum=3),
        "Waiting",
        "waits until 2 more of the pods that must start with it are made",
    ),
}


@pytest.mark.parametrize(("held", "waiting", "reason", "message"), SENTENCES.values(), ids=SENTENCES.keys())
def test_what_those_that_wait_are_told(held, waiting, reason, message):
    """The sentence names what is asked for, what there is, and what to do."""
    verdict = place(TWO, held, waiting).verdicts["a1"]
    assert (verdict.reason, verdict.message) == (reason, message)
