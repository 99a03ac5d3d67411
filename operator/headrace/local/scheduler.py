"""Which waiting pods start now, and what the others wait for. Pure: the machine and the pods in, the decision out.

Pods are placed in the order in which they were made. A gang's first pods start together or not at all; what a gang has
beyond its minimum takes what is left, and never from a pod or a gang that waits.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from headrace.local.machine import Amount, Machine

GIB = 2**30
SLACK = 1e-9
UNSCHEDULABLE = "Unschedulable"
WAITING = "Waiting"


@dataclass(frozen=True)
class Claim:
    """A pod as the scheduler sees it."""

    uid: str
    sequence: int
    amount: Amount
    gang: str = ""
    gang_minimum: int = 1
    field: str = "spec.workers.resources"
    """Where its owner's spec says what it asks for."""


@dataclass(frozen=True)
class Verdict:
    """Why a pod does not start; the message is a sentence whose subject is the pod."""

    reason: str
    message: str


@dataclass(frozen=True)
class Placement:
    """The pods that start now, in order, and the others' verdicts, by UID."""

    start: tuple[str, ...] = ()
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)


def place(machine: Machine, placed: Iterable[Claim], waiting: Iterable[Claim]) -> Placement:
    """Decides over all waiting pods; `placed` are the pods that hold what they asked for."""
    held = list(placed)
    free = machine.amount
    for claim in held:
        free -= claim.amount
    units, extras = _units(held, waiting)
    start: list[str] = []
    verdicts: dict[str, Verdict] = {}
    blocked = False
    for unit in units:
        need = _sum(unit.pods)
        if unit.missing:
            outcome = Verdict(WAITING, f"waits until {unit.missing} more of the pods that must start with it are made")
        elif lacking := _lacking(need, machine.amount):
            outcome = Verdict(UNSCHEDULABLE, _never(unit.pods, lacking, need, machine))
        elif not blocked and not (lacking := _lacking(need, free)):
            start += [claim.uid for claim in unit.pods]
            free -= need
            continue
        else:
            blocked = True
            outcome = _wait(unit.pods, lacking or _lacking(need, free), need, free, machine)
        verdicts |= {claim.uid: outcome for claim in unit.pods}
    for claim in extras:
        if never := _lacking(claim.amount, machine.amount):
            verdicts[claim.uid] = Verdict(UNSCHEDULABLE, _never((claim,), never, claim.amount, machine))
        elif not blocked and not (lacking := _lacking(claim.amount, free)):
            start.append(claim.uid)
            free -= claim.amount
        else:
            verdicts[claim.uid] = _wait((claim,), lacking or _lacking(claim.amount, free), claim.amount, free, machine)
    return Placement(tuple(start), verdicts)


@dataclass(frozen=True)
class _Unit:
    """Pods that start together, and how many of them are not even made."""

    pods: tuple[Claim, ...]
    missing: int = 0


def _units(placed: Sequence[Claim], waiting: Iterable[Claim]) -> tuple[list[_Unit], list[Claim]]:
    """What must start together, in order; and the pods that gangs have beyond their minimum."""
    gangs: dict[str, list[Claim]] = {}
    for claim in sorted(waiting, key=lambda claim: (claim.sequence, claim.uid)):
        gangs.setdefault(claim.gang or f"pod {claim.uid}", []).append(claim)
    units: list[_Unit] = []
    extras: list[Claim] = []
    for gang, claims in gangs.items():
        running = sum(claim.gang == gang for claim in placed)
        needed = max(claims[0].gang_minimum - running, 0)
        if needed:
            units.append(_Unit(tuple(claims[:needed]), missing=max(needed - len(claims), 0)))
        extras += claims[needed:]
    return units, sorted(extras, key=lambda claim: (claim.sequence, claim.uid))


def _sum(claims: Iterable[Claim]) -> Amount:
    total = Amount()
    for claim in claims:
        total += claim.amount
    return total


def _lacking(need: Amount, there: Amount) -> str:
    """The first resource of which there is too little; empty if there is enough."""
    if need.cpus > there.cpus + SLACK:
        return "cpu"
    if need.memory_bytes > there.memory_bytes + SLACK:
        return "memory"
    return "gpu" if need.gpus > there.gpus else ""


def _never(claims: Sequence[Claim], resource: str, need: Amount, machine: Machine) -> str:
    asker = "asks for" if len(claims) == 1 else f"and {_companions(claims)} ask for"
    field_path = max(claims, key=lambda claim: _number(claim.amount, resource)).field
    hint = "; if it has some, name them in CUDA_VISIBLE_DEVICES" if resource == "gpu" and not machine.gpus else ""
    return f"{asker} {_words(need, resource)}; this machine has {_words(machine.amount, resource)}{hint}; lower {field_path}.{resource} or run it on a cluster"


def _wait(claims: Sequence[Claim], resource: str, need: Amount, free: Amount, machine: Machine) -> Verdict:
    if not resource:
        return Verdict(WAITING, "waits for its turn; pods that were made earlier wait for room")
    together = "" if len(claims) == 1 else f" for itself and {_companions(claims)}"
    left = _figure(max(_number(free, resource), 0.0), resource)
    return Verdict(
        WAITING,
        f"waits for {_words(need, resource)}{together}; {left} of {_figure(_number(machine.amount, resource), resource)} are free",
    )


def _companions(claims: Sequence[Claim]) -> str:
    others = len(claims) - 1
    return f"the {others} pods that must start with it" if others > 1 else "the pod that must start with it"


def _number(amount: Amount, resource: str) -> float:
    return {"cpu": amount.cpus, "memory": amount.memory_bytes, "gpu": float(amount.gpus)}[resource]


def _figure(number: float, resource: str) -> str:
    return f"{number / GIB:.1f}" if resource == "memory" else f"{number:.3f}".rstrip("0").rstrip(".")


def _words(amount: Amount, resource: str) -> str:
    number = _number(amount, resource)
    unit = {"cpu": "CPU", "memory": "GiB of memory", "gpu": "GPU"}[resource]
    return f"{_figure(number, resource)} {unit}{'s' if number != 1 and resource != 'memory' else ''}"
