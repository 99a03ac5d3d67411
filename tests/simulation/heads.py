"""What the head pods of a world do: read what they were told, make progress with their workers, report, end."""

from dataclasses import replace

from headrace.api.artifacts import DatasetVersion, JobReference, ModelVersion
from headrace.api.meta import Kind
from headrace.api.run_report import (
    BestTrial,
    CheckpointReference,
    Hangs,
    Progress,
    Records,
    ReportPhase,
    RunReport,
    Straggler,
    Trials,
)
from headrace.api.run_spec import RunSpec
from headrace.plan import labels
from headrace.plan.values import Pod, PodPhase
from tests.simulation.pods import attempt_of, end
from tests.simulation.truth import drawn_quality
from tests.simulation.world import Life, World

STEPS = 4
INTERRUPTED_EXIT = 3
STALLING_KINDS = frozenset({Kind.TRAIN_JOB, Kind.TUNE_JOB})
"""Kinds whose runs are started again when they hang; a hanging pipeline would hang for ever."""


def has_head(world: World, worker: Pod) -> bool:
    """Whether the head of the worker's attempt is there or yet to come; a worker that joined ends with its head."""
    started = world.truth.heads_seen
    attempt = attempt_of(worker)
    if attempt not in started:
        return True
    return any(
        pod.labels[labels.ROLE] == labels.HEAD and attempt_of(pod) == attempt and not pod.terminated
        for pod in world.store.pods.values()
    )


def begin(world: World, pod: Pod, life: Life) -> None:
    """The head's process starts and reads its RunSpec; its fate is drawn here."""
    told = world.store.children[next(need for need in life.needs if need[0] == "ConfigMap")]
    life.spec = RunSpec.model_validate_json(told["data"]["run.json"])
    world.truth.heads_seen.add(attempt_of(pod))
    identity = life.spec.identity
    run = (identity.uid, identity.run)
    life.step = world.truth.checkpoints.get(run, 0)
    life.ends_after = life.step + world.rng.randint(1, STEPS)
    life.ends = _drawn_end(world, identity.kind)
    world.note(f"head {pod.name} begins at step {life.step}, to end {life.ends}")
    world.store.put_pod(
        replace(world.store.pods[pod.name], ready=True, live=_report(world, life, ReportPhase.STARTING)), wake=False
    )


def _drawn_end(world: World, kind: Kind) -> str:
    faults = world.faults
    for ending, chance in (
        ("Fails", faults.head_fails),
        ("Hopeless", faults.head_hopeless),
        ("Dies", faults.head_dumb),
    ):
        if world.chance(chance):
            return ending
    if kind in STALLING_KINDS and world.chance(faults.head_hangs):
        return "Hangs"
    return "Complete"


def run(world: World, pod: Pod, life: Life) -> None:
    """One stretch of the head's life."""
    assert life.spec is not None
    identity = life.spec.identity
    run_key = (identity.uid, identity.run)
    if done := world.truth.results.get(run_key):
        _complete(world, pod, life, done)
        return
    workers = len(_running_workers(world, pod))
    if workers < life.spec.min_workers:
        world.store.put_pod(replace(pod, live=_report(world, life, ReportPhase.STARTING)), wake=False)
        return
    if life.ends == "Hangs" and life.step >= life.ends_after:
        return
    if life.ends == "Complete" and life.step >= STEPS:
        _complete(world, pod, life, _result(world, life))
        return
    if life.ends in ("Fails", "Hopeless") and life.step >= life.ends_after:
        report = _report(
            world,
            life,
            ReportPhase.FAILED,
            reason="DataBad" if life.ends == "Hopeless" else "OutOfMemory",
            retryable=life.ends == "Fails",
        )
        end(world, pod, PodPhase.FAILED, final=report, exit_code=1, reason="Error")
        return
    if life.ends == "Dies" and life.step >= life.ends_after:
        end(world, pod, PodPhase.FAILED, exit_code=137, reason="OOMKilled", message="killed by the kernel")
        return
    if identity.kind == Kind.TRAIN_JOB:
        _disturb(world, pod, life)
    life.step += 1
    if life.step % 2 == 0:
        world.truth.checkpoints[run_key] = max(world.truth.checkpoints.get(run_key, 0), min(life.step, STEPS))
    world.store.put_pod(replace(pod, live=_report(world, life, ReportPhase.RUNNING, workers=workers)))


def _disturb(world: World, head: Pod, life: Life) -> None:
    """A worker hangs and is replaced, one is slow, or none is."""
    assert life.spec is not None
    identity = life.spec.identity
    if world.chance(world.faults.worker_hangs):
        life.hangs += 1
        world.truth.hangs[identity.uid, identity.run, identity.attempt] = life.hangs
    slow = world.chance(world.faults.worker_slow)
    life.slow = min(pod.name for pod in _running_workers(world, head)) if slow else ""


def stop(world: World, pod: Pod, life: Life) -> None:
    """SIGTERM: a checkpoint, the last report, the end of the process; the pod leaves later."""
    if life.spec is not None:
        run_key = (life.spec.identity.uid, life.spec.identity.run)
        world.truth.checkpoints[run_key] = max(world.truth.checkpoints.get(run_key, 0), min(life.step, STEPS))
        final = _report(world, life, ReportPhase.INTERRUPTED, reason="Interrupted")
        end(world, pod, PodPhase.FAILED, final=final, exit_code=INTERRUPTED_EXIT)
    life.leaves_in = 1


def _running_workers(world: World, head: Pod) -> list[Pod]:
    attempt = attempt_of(head)
    return [
        pod
        for pod in world.store.pods.values()
        if pod.labels[labels.ROLE] == labels.WORKER
        and pod.phase == PodPhase.RUNNING
        and not pod.deleting
        and attempt_of(pod) == attempt
    ]


def _report(
    world: World, life: Life, phase: ReportPhase, *, reason: str = "Running", retryable: bool = True, workers: int = 0
) -> RunReport:
    assert life.spec is not None
    identity = life.spec.identity
    saved = world.truth.checkpoints.get((identity.uid, identity.run), 0)
    return RunReport(
        phase=phase, reason=reason, message=f"{identity.name}: {phase.lower()} at step {life.step}", retryable=retryable, time=world.now,
        run=identity.run, attempt=identity.attempt, stage="train", workers=workers,
        progress=Progress(step=life.step, total=STEPS, rate=1.0),
        checkpoint=CheckpointReference(step=saved, uri=f"{life.spec.storage}/checkpoints/{saved}") if saved else None,
        hangs=Hangs(count=life.hangs, pod=f"{identity.name}-worker", why="it does not answer") if life.hangs else None,
        stragglers=(Straggler(pod=life.slow, step_seconds=2.0, median_step_seconds=1.0),) if life.slow else (),
    )  # fmt: skip


def _complete(world: World, pod: Pod, life: Life, result: RunReport) -> None:
    assert life.spec is not None
    identity = life.spec.identity
    final = result.model_copy(update={"attempt": identity.attempt, "time": world.now})
    world.truth.results[identity.uid, identity.run] = final
    world.truth.completed.add((identity.uid, identity.run, identity.attempt))
    end(world, pod, PodPhase.SUCCEEDED, final=final, exit_code=0, reason="Completed")


def _result(world: World, life: Life) -> RunReport:
    spec = life.spec
    assert spec is not None
    report = _report(world, life, ReportPhase.COMPLETE, reason="Complete")
    if spec.pipeline:
        return report.model_copy(
            update={"dataset": commit_dataset(world, spec), "records": Records(read=100, written=90, filtered=10)}
        )
    assert spec.dataset is not None, f"{spec.identity.name}: a job's head was started without a dataset"
    starts = spec.train is not None and spec.train.model.from_ is not None
    assert starts == (spec.started_from is not None), (
        f"{spec.identity.name}: a head was started with other weights than asked for"
    )
    trial = {"best_trial": BestTrial(number=3, value=0.9), "trials": Trials(complete=4)} if spec.tune else {}
    return report.model_copy(update={"model": publish_model(world, spec, spec.dataset), **trial})


def commit_dataset(world: World, spec: RunSpec) -> DatasetVersion:
    """The next version of the table; what this run has committed before, if it has."""
    table = world.truth.tables.setdefault(spec.publish, {})
    identity = spec.identity
    if (identity.uid, identity.run) not in table:
        table[identity.uid, identity.run] = DatasetVersion(
            uri=spec.publish,
            version=len(table),
            digest=identity.digest,
            records=90,
            splits={"train": 80, "validation": 10},
            artifacts=f"{spec.storage}/artifacts",
        )
    return table[identity.uid, identity.run]


def publish_model(world: World, spec: RunSpec, dataset: DatasetVersion) -> ModelVersion:
    """The model version of a run."""
    identity = spec.identity
    name = f"{identity.name}-{identity.uid[:5]}-r{identity.run}"
    quality = drawn_quality(world.seed, name)
    world.truth.versions[name] = quality
    return ModelVersion(
        name=name, uri=f"{spec.publish}/{name}", digest=name, metrics={"accuracy": quality.accuracy}, dataset=dataset,
        job=JobReference(kind=identity.kind, name=identity.name, uid=identity.uid, run=identity.run),
        trial=3 if spec.tune else None, created_at=world.now,
    )  # fmt: skip
