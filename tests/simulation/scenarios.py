"""What a world holds when it starts, drawn by its seed: one kind alone, or a whole chain from raw data to an endpoint."""

from typing import Any

from headrace.api.artifacts import DatasetVersion, JobReference, ModelVersion
from headrace.api.data_pipeline import DataPipelineSpec
from headrace.api.edits import spec_digest
from headrace.api.inference_endpoint import InferenceEndpointSpec
from headrace.api.job import Gang, KubernetesGang, Recovery
from headrace.api.meta import Kind, ObjectMeta
from headrace.api.objects import DataPipeline, HeadraceObject, InferenceEndpoint, TrainJob, TuneJob
from headrace.api.pods import Workers
from headrace.api.status import Phase
from headrace.api.train_job import Rollout, StartingModel, TrainJobSpec
from headrace.api.tune_job import TuneJobSpec
from tests.simulation import checkers
from tests.simulation.truth import drawn_quality
from tests.simulation.world import World

PIPELINE = DataPipelineSpec.model_validate({
    "source": {"sample": {"name": "Digits"}},
    "steps": [{"split": {"trainFraction": 0.8, "key": "id"}}],
    "sink": {"delta": {}},
})  # fmt: skip
TRAIN = TrainJobSpec.model_validate(
    {"dataset": {"pipeline": "digits"}, "model": {"builtin": "Perceptron"}, "steps": 100, "stallSeconds": 60}
)
TUNE = TuneJobSpec.model_validate({
    "objective": {"metric": "accuracy"},
    "search": [{"path": "optimizer.learningRate", "logUniform": {"low": 1e-4, "high": 1e-1}}],
    "budget": {"trials": 4, "parallel": 2},
    "template": {"dataset": {"pipeline": "digits"}, "model": {"builtin": "Perceptron"}, "steps": 100},
    "stallSeconds": 60,
})  # fmt: skip
ENDPOINTS = tuple(
    InferenceEndpointSpec.model_validate(
        {
            "rollout": {
                "deadlineSeconds": 90,
                "online": {"minRequests": 20, "maxErrorRate": 0.05, "maxP95Milliseconds": 250},
                **policy,
            }
        }
    )
    for policy in (
        {"canary": {"steps": [{"weight": 10, "holdSeconds": 5}, {"weight": 50, "holdSeconds": 5}]}},
        {"canary": {"steps": [{"weight": 30, "holdSeconds": 10}]}, "probe": {"requestsPerSecond": 20}},
        {"canary": {"steps": [{"weight": 20, "holdSeconds": 5}]}, "offline": {"metric": "accuracy"}},
        {"offline": {"metric": "accuracy", "minimumGain": 0.01}},
    )
)
SCENARIOS = {"pipeline": 3, "train": 5, "tune": 3, "fine-tune": 2, "endpoint": 5, "chain": 3}
"""How often each is drawn."""


def drawn_policy(world: World) -> dict[str, Any]:
    """What bounds a run, as Python names of its spec."""
    rng = world.rng
    recovery = Recovery(
        max_restarts=rng.choice((0, 1, 2, 3)),
        max_disruptions=rng.choice((1, 5, 100)),
        backoff_seconds=rng.choice((0, 1, 4)),
    )
    policy: dict[str, Any] = {"recovery": recovery}
    if world.chance(0.1):
        policy["active_deadline_seconds"] = rng.choice((30, 300))
    if world.chance(0.2):
        policy["schedule_timeout_seconds"] = rng.choice((1, 10, 40))
    if world.chance(0.1):
        policy["ttl_seconds_after_finished"] = rng.choice((0, 40))
    if world.chance(0.1):
        policy["suspend"] = True
    if world.chance(0.2):
        policy["gang"] = Gang(kubernetes=KubernetesGang())
    return policy


def drawn_workers(world: World) -> Workers:
    """One to three workers."""
    least = world.rng.randint(1, 2)
    return Workers(min=least, max=world.rng.randint(least, 3))


def pipeline(world: World) -> DataPipeline:
    """A pipeline that has yet to run."""
    return DataPipeline(
        metadata=ObjectMeta(name="digits"),
        spec=PIPELINE.model_copy(update={"workers": drawn_workers(world), **drawn_policy(world)}),
    )


def train_job(world: World, name: str, rollout: str | None = None) -> TrainJob:
    """A TrainJob on the pipeline's table."""
    offer = Rollout(endpoint=rollout) if rollout else None
    return TrainJob(
        metadata=ObjectMeta(name=name),
        spec=TRAIN.model_copy(update={"workers": drawn_workers(world), "rollout": offer, **drawn_policy(world)}),
    )


def fine_tuning(world: World) -> TrainJob:
    """A TrainJob that starts with what the job `train` has made."""
    job = train_job(world, "tuned")
    model = StartingModel.model_validate({"from": {"job": "train"}})
    return job.model_copy(update={"spec": job.spec.model_copy(update={"model": model})})


def tune_job(world: World, name: str, rollout: str | None = None) -> TuneJob:
    """A TuneJob on the pipeline's table."""
    offer = Rollout(endpoint=rollout) if rollout else None
    return TuneJob(
        metadata=ObjectMeta(name=name), spec=TUNE.model_copy(update={"rollout": offer, **drawn_policy(world)})
    )


def endpoint(world: World) -> InferenceEndpoint:
    """An endpoint with one of the policies."""
    return InferenceEndpoint(metadata=ObjectMeta(name="digits"), spec=world.rng.choice(ENDPOINTS))


def add(world: World, created: HeadraceObject) -> HeadraceObject:
    """Creates an object and remembers what its spec allows."""
    stored = world.store.add_object(created, world.now)
    checkers.remember_limits(world, stored)
    world.note(f"create {stored.key} {stored.metadata.uid}")
    return stored


def add_finished(world: World, created: DataPipeline | TrainJob | TuneJob) -> HeadraceObject:
    """Creates an object whose first run is over and was complete: what other kinds need of it is there, at no cost."""
    stored = add(world, created)
    uid = stored.metadata.uid
    table = f"file:///var/lib/headrace/default/datasets/{created.metadata.name}"
    dataset = DatasetVersion(uri=table, version=len(world.truth.tables.get(table, {})), digest=uid, records=90)
    result: dict[str, Any] = {"dataset": dataset}
    if isinstance(created, DataPipeline):
        world.truth.tables.setdefault(table, {})[uid, 1] = dataset
    else:
        name = f"{created.metadata.name}-{uid[:5]}-r1"
        quality = world.truth.versions[name] = drawn_quality(world.seed, name)
        reference = JobReference(kind=created.key.kind, name=created.metadata.name, uid=uid, run=1)
        model = ModelVersion(
            name=name, uri=f"file:///var/lib/headrace/default/models/{name}", digest=name, metrics={"accuracy": quality.accuracy},
            dataset=dataset.model_copy(update={"digest": "", "version": 0}), job=reference, created_at=world.now,
        )  # fmt: skip
        result = {"model": model}
    status = created.status.model_copy(
        update={
            "phase": Phase.COMPLETE,
            "run": 1,
            "attempt": 1,
            "digest": spec_digest(created.spec),
            "completion_time": world.now,
            **result,
        }
    )
    stored_status = type(status).model_validate_json(status.model_dump_json(by_alias=True, exclude_none=True))
    world.truth.completed.add((uid, 1, 1))
    saved = world.store.replace_status(stored, stored_status)
    checkers.remember(world, saved)
    return saved


def offer_model(world: World) -> None:
    """One more finished job that offers its model to the endpoint."""
    job = train_job(world, f"job-{len(world.truth.versions)}", "digits")
    quiet = job.spec.model_copy(update={"suspend": False, "ttl_seconds_after_finished": None})
    add_finished(world, job.model_copy(update={"spec": quiet}))


def populate(world: World) -> None:
    """Draws the scenario and creates its objects."""
    scenario = world.rng.choices(list(SCENARIOS), weights=list(SCENARIOS.values()))[0]
    world.requests_per_second = world.rng.choice((0, 2, 50, 50))
    world.note(f"scenario {scenario}, {world.requests_per_second} requests per second, {world.faults}")
    match scenario:
        case "pipeline":
            add(world, pipeline(world))
        case "train" | "tune":
            add_finished(world, DataPipeline(metadata=ObjectMeta(name="digits"), spec=PIPELINE))
            add(world, train_job(world, "train") if scenario == "train" else tune_job(world, "tune"))
        case "fine-tune":
            add_finished(world, DataPipeline(metadata=ObjectMeta(name="digits"), spec=PIPELINE))
            jobs = [train_job(world, "train"), fine_tuning(world)]
            world.rng.shuffle(jobs)
            for job in jobs:
                add(world, job)
        case "endpoint":
            add(world, endpoint(world))
            offer_model(world)
        case "chain":
            created: list[HeadraceObject] = [
                pipeline(world),
                train_job(world, "train", "digits"),
                tune_job(world, "tune", "digits"),
                endpoint(world),
            ]
            world.rng.shuffle(created)
            for one in created:
                add(world, one)


def offers_models(world: World) -> bool:
    """Whether more finished jobs may come: an endpoint is there and no pipeline to train on."""
    kinds = {key.kind for key in world.store.objects}
    return Kind.INFERENCE_ENDPOINT in kinds and Kind.DATA_PIPELINE not in kinds
