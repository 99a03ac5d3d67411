"""Manifests before the real API server and before local validation: the same verdict, the field and the remedy named.

Where the two differ, and why, stands in manifests/differences.py.
"""

import asyncio
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

import pytest

from headrace.api.base import Edit, edit_of
from headrace.api.edits import immutable_message, refused_edits, running_message, spelled
from headrace.api.manifest import load_manifests
from headrace.api.meta import Kind
from headrace.api.objects import parse_object
from tests.cluster.conftest import Cluster
from tests.cluster.manifests.cases import Case
from tests.cluster.manifests.differences import DIFFERENCES, EDIT_DIFFERENCES
from tests.cluster.manifests.edits import EDITS, ENDPOINT_EDITS, FULL, State, editing, states
from tests.cluster.manifests.limits import limit_cases, rules_of
from tests.cluster.manifests.minimal import manifest, spec_model
from tests.cluster.manifests.oddities import odd_cases
from tests.cluster.manifests.rules import rule_cases
from tests.cluster.manifests.server import RESOURCES, Verdict, connection, judge_all

CASES = {case.name: case for case in (*rule_cases(), *limit_cases(), *odd_cases())}


@pytest.fixture(scope="module")
def verdicts(defined: Cluster) -> dict[str, Verdict]:
    """The API server's verdict on every case, from a dry run each."""

    async def ask() -> dict[str, Verdict]:
        async with connection(defined) as api:
            requests = [("POST", RESOURCES[_kind(case)].path("default"), case.manifest) for case in CASES.values()]
            return dict(zip(CASES, await judge_all(api, requests), strict=True))

    return asyncio.run(ask())


def _kind(case: Case) -> Kind:
    return Kind(case.manifest["kind"])


@pytest.mark.parametrize("name", CASES)
def test_a_manifest_gets_the_same_verdict_here_and_there(name: str, verdicts: dict[str, Verdict]) -> None:
    """Both accept and fill in the same defaults, or both refuse and name the field and the remedy."""
    case, verdict = CASES[name], verdicts[name]
    found, problems = load_manifests([("case.yaml", json.dumps(case.manifest))])
    told = [f"{problem.message}" for problem in problems]
    if case.field is None:
        assert (verdict.message, told) == ("", [])
        assert verdict.object is not None
        assert _plain(found[0].object.spec.wire()) == _plain(verdict.object["spec"])
        return
    assert verdict.object is None, f"the API server takes what local validation refuses: {told}"
    assert case.field in verdict.message and case.remedy in verdict.message, verdict.message
    assert any(case.field in each and case.remedy in each for each in told), (told, verdict.message)


def _plain(value: Any, key: str = "") -> Any:
    """A spec whose quantities are text and whose maps hold no nulls, so that spelling alone makes no difference."""
    if isinstance(value, dict):
        return {name: _plain(child, name) for name, child in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if key in ("cpu", "memory", "ephemeralStorage") else value


def test_every_rule_is_kept_and_broken_in_every_place() -> None:
    """A rule of any kind without a case that keeps it and one that breaks it is told here."""
    rules = {(kind, *rule) for kind in Kind for rule in rules_of(kind)}
    kept = {(_kind(case), *case.rule) for case in CASES.values() if case.rule and case.field is None}
    broken = {(_kind(case), *case.rule) for case in CASES.values() if case.rule and case.field is not None}
    assert (rules - kept, rules - broken) == (set(), set())
    assert (kept | broken) - rules == set()


@pytest.mark.parametrize("name", DIFFERENCES)
async def test_known_differences(name: str, cluster: Cluster, verdicts: dict[str, Verdict]) -> None:
    """One takes what the other refuses, as listed and for the reason given there."""
    difference = DIFFERENCES[name]
    async with connection(cluster) as api:
        path = RESOURCES[Kind.TRAIN_JOB].path("default")
        (verdict,) = await judge_all(api, [("POST", path, difference.manifest)])
    found, _ = load_manifests([("case.yaml", json.dumps(difference.manifest))])
    assert (verdict.object is not None, bool(found)) == (difference.there, difference.here)


@pytest.mark.parametrize("name", EDIT_DIFFERENCES)
async def test_known_differences_of_edits(name: str, cluster: Cluster, verdicts: Any, namespace: str) -> None:
    """An edit of a running job that one takes and the other refuses, as listed."""
    difference = EDIT_DIFFERENCES[name]
    path = RESOURCES[difference.kind].path(namespace)
    async with connection(cluster) as api:
        made = await api.create(path, manifest(difference.kind, difference.before))
        running = await api.update(f"{path}/case/status", made | {"status": {"phase": "Running"}})
        edited = running | {"spec": difference.after}
        (verdict,) = await judge_all(api, [("PUT", f"{path}/case", edited)])
    refusals = refused_edits(parse_object(running), parse_object(edited))
    assert (verdict.object is not None, refusals == []) == (difference.there, difference.here)


def test_there_are_hundreds_of_cases() -> None:
    """The tables did not shrink by accident."""
    assert len([case for case in CASES.values() if case.field is None]) >= 100
    assert len([case for case in CASES.values() if case.field is not None]) >= 100


Editing = dict[tuple[Kind, State, int], tuple[Mapping[str, Any], Verdict]]
EDITING = list(editing())


@pytest.fixture(scope="module")
def edited(defined: Cluster) -> Editing:
    """By kind, state and edit: the object that is stored, and the API server's verdict on the edit."""
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    defined.kubectl("create", "namespace", namespace)
    try:
        return asyncio.run(_edit_all(defined, namespace))
    finally:
        defined.kubectl("delete", "namespace", namespace, "--wait=false")


async def _edit_all(cluster: Cluster, namespace: str) -> Editing:
    async with connection(cluster) as api:
        stored = {}
        for kind, spec in FULL.items():
            for state in states():
                path = RESOURCES[kind].path(namespace)
                raw = {"apiVersion": RESOURCES[kind].api_version, "kind": str(kind), "metadata": {"name": state.name},
                       "spec": spec | {"suspend": state.suspend}}  # fmt: skip
                made = await api.create(path, raw)
                stored[kind, state] = await api.update(f"{path}/{state.name}/status", made | {"status": state.status()})
        requests = [
            ("PUT", RESOURCES[kind].path(namespace, state.name), _with(stored[kind, state], EDITS[kind][number]))
            for kind, state, number in EDITING
        ]
        answers = await judge_all(api, requests)
        return {key: (stored[key[0], key[1]], answer) for key, answer in zip(EDITING, answers, strict=True)}


def _with(raw: Mapping[str, Any], edit: Mapping[str, Any]) -> dict[str, Any]:
    spec = {name: value for name, value in {**raw["spec"], **edit}.items() if value is not None}
    return {**raw, "spec": spec}


@pytest.mark.parametrize(("kind", "state", "number"), EDITING, ids=lambda value: getattr(value, "name", str(value)))
def test_an_edit_is_refused_by_what_it_does(kind: Kind, state: State, number: int, edited: Editing) -> None:
    """Immutable fields always, what changes the result while the run is active and not suspended; the rest never."""
    (stored, verdict), edit = edited[kind, state, number], EDITS[kind][number]
    model = spec_model(kind)
    names = {spelled(model, name): edit_of(model, name) for name in model.model_fields}
    due = {name: immutable_message(name) for name in edit if names[name] == Edit.IMMUTABLE}
    if state.is_guarded:
        due |= {name: running_message(name) for name in edit if names[name] == Edit.NEW_RUN}
    assert (verdict.object is None) == bool(due), verdict.message
    told = {
        name
        for name, message in due.items()
        if re.search(rf"spec[.\w]*: Invalid value: {re.escape(message)}", verdict.message)
    }
    # Of the fields that change the result the server names the first.
    assert told == {name for name in due if names[name] == Edit.IMMUTABLE} | set(
        sorted(name for name in due if names[name] == Edit.NEW_RUN)[:1]
    )
    old, new = parse_object(dict(stored)), parse_object(_with(stored, edit))
    assert {refusal.field: refusal.message for refusal in refused_edits(old, new)} == due


def test_every_field_is_edited() -> None:
    """A field without an edit is told here; suspend is what the states are about."""
    tables = EDITS | {Kind.INFERENCE_ENDPOINT: ENDPOINT_EDITS}
    for kind, edits in tables.items():
        model = spec_model(kind)
        fields = {spelled(model, name) for name in model.model_fields}
        assert fields - {name for edit in edits for name in edit} <= {"suspend"}


async def test_suspend_stops_and_resumes_whatever_the_state(cluster: Cluster, edited: Editing, namespace: str) -> None:
    """An active run can be suspended, and a suspended one resumed, but not together with a change of the result."""
    path = RESOURCES[Kind.TRAIN_JOB].path(namespace)
    async with connection(cluster) as api:
        raw = {
            "apiVersion": "headrace.dev/v1alpha1",
            "kind": "TrainJob",
            "metadata": {"name": "t"},
            "spec": FULL[Kind.TRAIN_JOB],
        }
        made = await api.create(path, raw)
        running = await api.update(f"{path}/t/status", made | {"status": {"phase": "Running"}})
        both, alone = await judge_all(
            api,
            [("PUT", f"{path}/t", _with(running, edit)) for edit in ({"suspend": True, "seed": 9}, {"suspend": True})],
        )
        assert "seed cannot change while the job runs" in both.message
        assert alone.object is not None
        suspended = await api.update(f"{path}/t", _with(running, {"suspend": True}))
        (resumed,) = await judge_all(api, [("PUT", f"{path}/t", _with(suspended, {"suspend": False, "seed": 9}))])
        assert resumed.object is not None


@pytest.mark.parametrize("edit", ENDPOINT_EDITS, ids=lambda edit: next(iter(edit)))
async def test_an_endpoint_is_edited_in_place(
    edit: Mapping[str, Any], cluster: Cluster, verdicts: Any, namespace: str
) -> None:
    """Every field of an endpoint may change while it serves."""
    path = RESOURCES[Kind.INFERENCE_ENDPOINT].path(namespace)
    async with connection(cluster) as api:
        raw = {
            "apiVersion": "headrace.dev/v1alpha1",
            "kind": "InferenceEndpoint",
            "metadata": {"name": "e"},
            "spec": {},
        }
        made = await api.create(path, raw)
        serving = await api.update(f"{path}/e/status", made | {"status": {"phase": "Ready"}})
        (verdict,) = await judge_all(api, [("PUT", f"{path}/e", _with(serving, edit))])
    assert verdict.message == ""


SPELLINGS = """
apiVersion: headrace.dev/v1alpha1
kind: TrainJob
metadata: {name: spellings, labels: }
spec:
  dataset: {pipeline: digits, version: "7"}
  model: {builtin: Perceptron, parameters: {a: 1e-3, b: 1.0, c: 1E3, d: 0x1F, e: 010, f: .5, g: 1_000, h: off, i: ~, j: "1", 1: k}}
  epochs: 1.0
  batchSize: 1e2
  optimizer: {learningRate: 1e-3, weightDecay: +.5}
  suspend: yes
  rollout:
"""


def test_yaml_means_the_same_to_kubectl(cluster: Cluster, verdicts: dict[str, Verdict]) -> None:
    """Numbers with exponents, whole floats, octals, words for truth, nothing: all as kubectl reads them."""
    there = cluster.kubectl("create", "--dry-run=server", "--output=json", "--filename=-", manifest=SPELLINGS)
    found, problems = load_manifests([("spellings.yaml", SPELLINGS)])
    assert problems == []
    assert _plain(found[0].object.spec.wire()) == _plain(json.loads(there)["spec"])
