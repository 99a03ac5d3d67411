"""What becomes of a manifest some of whose fields belong to another manager."""

import copy
from types import SimpleNamespace

import pytest

from headrace.api.manifest import load_manifests
from headrace.cli.on_cluster.dry_run import dry_run
from headrace.cli.on_cluster.objects import read
from headrace.kube.client import Stale

TEXT = """\
apiVersion: headrace.dev/v1alpha1
kind: DataPipeline
metadata: {name: digits, labels: {app.kubernetes.io/part-of: digits}}
spec:
  source: {sample: {name: Digits}}
  sink: {delta: {}}
  seed: 3
"""
PART_OF = "app.kubernetes.io/part-of"
LABEL = f".metadata.labels.{PART_OF}"


class Server:
    """An API server on which another manager has some fields."""

    def __init__(self, before, *theirs):
        self.home = self.configuration = None
        self._before = before
        self._theirs = theirs

    async def apply(self, path, body, *, manager, force, dry_run):
        assert dry_run
        conflicts = [field for field in self._theirs if _has(body, field)]
        if conflicts and not force:
            raise Stale(409, "Conflict", "no", tuple((field, 'conflict with "argocd"') for field in conflicts))
        after = copy.deepcopy(self._before)
        after["spec"] |= body["spec"]
        after["metadata"]["labels"] = after["metadata"]["labels"] | body["metadata"].get("labels", {})
        return after


def _has(body, field):
    return (
        PART_OF in body["metadata"].get("labels", {})
        if field == LABEL
        else field.removeprefix(".spec.") in body["spec"]
    )


@pytest.fixture
def asked():
    """Asks for TEXT where the object exists with the given changes, and another manager has the given fields."""

    async def ask(*theirs, label="digits", **spec):
        (manifest,), _ = load_manifests([("one.yaml", TEXT)])
        body = manifest.object.wire() | {
            "metadata": {"name": "digits", "namespace": "demo", "labels": {PART_OF: "digits"}}
        }
        body = {**body, "spec": {name: body["spec"][name] for name in ("source", "sink", "seed")}}
        before = copy.deepcopy(body)
        before["spec"] |= spec
        before["metadata"]["labels"] = {PART_OF: label}
        return await dry_run(SimpleNamespace(api=Server(before, *theirs)), manifest, body, read(before))

    return ask


async def test_what_is_the_same_is_unchanged_whoever_has_it(asked):
    """A manifest that another tool applied is not taken from it."""
    assert (await asked(".spec.sink", LABEL)).change == "unchanged"


async def test_what_another_manager_set_to_the_same_stays_its_own(asked):
    """Only the difference is applied, without what another manager has just so."""
    answer = await asked(".spec.sink", LABEL, seed=1)
    assert (answer.change, answer.problems) == ("configured", ())
    assert sorted(answer.body["spec"]) == ["seed", "source"]
    assert answer.body["metadata"]["labels"] == {}


async def test_another_value_is_a_quarrel(asked):
    """Only the fields that differ are told, with who has them."""
    answer = await asked(".spec.sink", ".spec.seed", LABEL, seed=1, label="other")
    assert [str(problem).partition("; ")[0] for problem in answer.problems] == [
        "one.yaml:7: DataPipeline digits: spec.seed: belongs to the field manager argocd",
        f"one.yaml:3: DataPipeline digits: metadata.labels.{PART_OF}: belongs to the field manager argocd",
    ]
