"""What all parts of a world do to pods alike: read whose they are, end them, remove them."""

from dataclasses import replace
from typing import Any

from headrace.plan import labels
from headrace.plan.values import Pod, PodPhase
from tests.simulation.world import World


def attempt_of(pod: Pod) -> tuple[str, str, str]:
    """The owner's UID, run and attempt that a pod's labels name."""
    return pod.labels[labels.UID], pod.labels.get(labels.RUN, ""), pod.labels.get(labels.ATTEMPT, "")


def end(world: World, pod: Pod, phase: PodPhase, **fields: Any) -> None:
    """The pod's processes have ended."""
    world.note(f"pod {pod.name} ends: {phase} {fields.get('reason', '')}")
    world.store.put_pod(replace(pod, phase=phase, ready=False, live=None, **fields))


def remove(world: World, pod: Pod) -> None:
    """The pod is gone."""
    world.store.remove_pod(pod.name)
    world.lives.pop(pod.uid)
