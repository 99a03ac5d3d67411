"""What each example makes the planner do, checked in as files and reviewed as diffs."""

from pathlib import Path

import pytest
import yaml

from headrace.api.edits import spec_digest
from headrace.api.manifest import load_manifests
from headrace.api.objects import DataPipeline, HeadraceObject, InferenceEndpoint, TrainJob, TuneJob
from headrace.api.status import Phase
from headrace.plan.dependents import related
from headrace.plan.plan import plan
from headrace.plan.values import Apply, Create, Observed, Plan
from tests.gen import NOW, dataset, model

EXAMPLES = Path(__file__).parents[2] / "examples"
GOLDEN = Path(__file__).parent
BOUND = 5


def objects(folder: Path) -> list[HeadraceObject]:
    """The objects of an example, with UIDs, and with everything they depend on finished."""
    manifests, problems = load_manifests([(path.name, path.read_text()) for path in sorted(folder.glob("*.yaml"))])
    assert problems == []
    found = []
    for manifest in manifests:
        metadata = manifest.object.metadata.model_copy(
            update={"uid": f"uid-of-{manifest.object.key.kind}-{manifest.object.metadata.name}"}
        )
        found.append(manifest.object.model_copy(update={"metadata": metadata}))
    return found


def finished(resource: HeadraceObject) -> HeadraceObject:
    """The object as others see it once it is complete."""
    update = {"phase": Phase.COMPLETE, "run": 1, "attempt": 1}
    match resource:
        case DataPipeline():
            update |= {"dataset": dataset(), "digest": spec_digest(resource.spec)}
        case TrainJob() | TuneJob():
            made = model(f"{resource.metadata.name}-00000-r1")
            update |= {"model": made, "digest": spec_digest(resource.spec)}
        case InferenceEndpoint():
            return resource
    return resource.model_copy(update={"status": resource.status.model_copy(update=update)})


def first_actions(resource: HeadraceObject, others: list[HeadraceObject]) -> Plan:
    """The first plan that acts, with its predecessors' decisions saved."""
    seen = related(resource, [finished(other) for other in others])
    for _ in range(BOUND):
        planned = plan(Observed(resource, related=seen), NOW)
        if planned.actions:
            return planned
        resource = resource.model_copy(update={"status": planned.status})
    raise AssertionError(f"{resource.key} does nothing in {BOUND} passes")


def text_of(planned: Plan) -> str:
    """A plan as YAML: the status, then each action."""
    actions = [
        {"action": type(action).__name__.lower(), "manifest": action.manifest}
        if isinstance(action, Create | Apply)
        else {"action": repr(action)}
        for action in planned.actions
    ]
    return yaml.safe_dump({"status": planned.status.wire(), "actions": actions}, sort_keys=False, width=160)


CASES = [
    pytest.param(folder, number, id=f"{folder.name}-{resource.key.kind}-{resource.metadata.name}")
    for folder in sorted(path for path in EXAMPLES.iterdir() if path.is_dir())
    for number, resource in enumerate(objects(folder))
]


@pytest.mark.parametrize(("folder", "number"), CASES)
def test_golden_plan(folder: Path, number: int, request: pytest.FixtureRequest) -> None:
    """The plan of an example is the one that was reviewed; `make golden` rewrites it."""
    everything = objects(folder)
    resource = everything[number]
    path = GOLDEN / folder.name / f"{str(resource.key.kind).lower()}-{resource.metadata.name}.yaml"
    text = text_of(first_actions(resource, everything))
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text
