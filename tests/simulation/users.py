"""What users do to their objects at random moments; only what the API server lets them do."""

from typing import Any

from headrace.api.edits import refused_edits
from headrace.api.inference_endpoint import Replicas
from headrace.api.objects import HeadraceObject, InferenceEndpoint, TuneJob
from tests.simulation import checkers, scenarios
from tests.simulation.world import World

OFFERS_MAX = 6


def act(world: World) -> None:
    """Perhaps one action of one user."""
    if scenarios.offers_models(world) and len(world.truth.versions) < OFFERS_MAX and world.chance(0.12):
        scenarios.offer_model(world)
    if not world.chance(world.faults.user) or not world.store.objects:
        return
    chosen = world.store.objects[world.rng.choice(sorted(world.store.objects, key=str))]
    match world.rng.choices(
        ("suspend", "recovery", "workers", "result", "recreate", "delete"), weights=(5, 2, 4, 5, 2, 1)
    )[0]:
        case "suspend":
            _edit(world, chosen, suspend=not chosen.spec.suspend)
        case "recovery":
            if not isinstance(chosen, InferenceEndpoint):
                _edit(
                    world,
                    chosen,
                    recovery=chosen.spec.recovery.model_copy(update={"max_restarts": world.rng.randint(0, 4)}),
                )
        case "workers":
            _scale(world, chosen)
        case "result":
            if not isinstance(chosen, InferenceEndpoint):
                _edit(world, chosen, seed=world.rng.randint(0, 2))
        case "recreate":
            world.note(f"user deletes {chosen.key}")
            world.store.remove_object(chosen.key)
            scenarios.add(world, type(chosen)(metadata=chosen.metadata, spec=chosen.spec))
        case "delete":
            world.note(f"user deletes {chosen.key}")
            world.store.remove_object(chosen.key)


def _scale(world: World, chosen: HeadraceObject) -> None:
    if isinstance(chosen, InferenceEndpoint):
        least = world.rng.randint(1, 3)
        _edit(world, chosen, replicas=Replicas(min=least, max=least))
    elif not isinstance(chosen, TuneJob):
        workers = chosen.spec.workers
        _edit(
            world, chosen, workers=workers.model_copy(update={"desired": world.rng.randint(workers.min, workers.max)})
        )


def _edit(world: World, chosen: HeadraceObject, **fields: Any) -> None:
    spec = chosen.spec.model_copy(update=fields)
    edited: Any = chosen.model_copy(update={"spec": spec})
    if spec == chosen.spec or refused_edits(chosen, edited):
        return
    world.note(f"user edits {chosen.key}: {', '.join(f'{name}={value}' for name, value in fields.items())}")
    checkers.remember_limits(world, world.store.replace_spec(chosen, spec))


def free_everything(world: World) -> None:
    """The users' last word: nothing stays suspended, so that everything has somewhere to go."""
    for key in sorted(world.store.objects, key=str):
        if world.chance(0.5):
            _edit(world, world.store.objects[key], suspend=False)
