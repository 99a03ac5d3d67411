"""What is special about a TrainJob's run: what opens a tracker reaches the head alone, and the status says what arrived."""

import json
from typing import Any

import pytest

from headrace.api.objects import TrainJob
from headrace.api.run_report import Tracked
from headrace.api.status import Phase, TrainJobStatus
from headrace.plan import labels
from headrace.plan.conditions import find
from headrace.plan.plan import plan
from headrace.plan.values import Create
from tests.gen import NOW, dataset, pod, report, train_job
from tests.plan.test_run import head, observed, with_status

TRACKING = {
    "mlflow": {"uri": "https://mlflow.example.com", "experiment": "digits", "credentials": {"secret": "mlflow-login"}},
    "weightsAndBiases": {"project": "digits", "secret": "wandb-login"},
}
PAGE = "https://mlflow.example.com/#/experiments/1/runs/2"


def made(job: TrainJob) -> dict[str, list[dict[str, Any]]]:
    """The manifests that a run's start makes, by the role of pods and the kind of all else."""
    started = with_status(job, phase=Phase.PENDING, attempt_time=NOW, input=dataset())
    manifests = [action.manifest for action in plan(observed(started), NOW).actions if isinstance(action, Create)]
    sorted_out: dict[str, list[dict[str, Any]]] = {}
    for each in manifests:
        sort = each["metadata"]["labels"][labels.ROLE] if each["kind"] == "Pod" else each["kind"]
        sorted_out.setdefault(sort, []).append(each)
    return sorted_out


def test_credentials_reach_the_head_alone() -> None:
    """By reference, each optional: which of them a tracker wants is its business. No worker and no RunSpec has them."""
    found = made(train_job(tracking=TRACKING))
    (own,) = found[labels.HEAD]
    variables = {each["name"]: each for each in own["spec"]["containers"][0]["env"]}
    assert variables["WANDB_API_KEY"]["valueFrom"] == {
        "secretKeyRef": {"name": "wandb-login", "key": "WANDB_API_KEY", "optional": True}
    }
    names = [name for name in variables if name.startswith("MLFLOW")]
    assert names == ["MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME"]
    assert len(found[labels.WORKER]) == 2
    assert not [each for each in found[labels.WORKER] if "-login" in json.dumps(each)]
    assert "WANDB_API_KEY" not in json.dumps(found["ConfigMap"])


def test_a_tracker_of_the_cluster_is_no_hole_in_the_isolation() -> None:
    """The policy of a run is the same whatever its manifest names: private addresses are the operator's to open."""
    plain, tracked = (made(train_job(**spec))["NetworkPolicy"] for spec in ({}, {"tracking": TRACKING}))
    assert plain == tracked


@pytest.mark.parametrize(
    ("problem", "status", "words"),
    [
        ("", "True", f"the run is tracked at {PAGE}"),
        (
            "MLflow cannot be reached",
            "False",
            "mlflow lacks 3 points of the curve, which are in the run's storage: MLflow cannot",
        ),
    ],
)
def test_what_arrived_is_a_condition(problem: str, status: str, words: str) -> None:
    """And the page is in the status. Runs that are not tracked, or not yet, say nothing."""
    job = with_status(train_job(), phase=Phase.RUNNING)
    one = Tracked(tool="mlflow", address=PAGE, delivered=4, undelivered=3, problem=problem)
    told = plan(observed(job, head(live=report(tracking=(one,))), pod(), pod(index=1)), NOW).status
    found = find(told.conditions, "Tracked")
    assert isinstance(told, TrainJobStatus) and told.tracking == (one,)
    assert found and found.status == status and words in found.message
    for tracking in ((), (Tracked(tool="mlflow"),)):
        silent = plan(observed(job, head(live=report(tracking=tracking)), pod(), pod(index=1)), NOW).status
        assert find(silent.conditions, "Tracked") is None
