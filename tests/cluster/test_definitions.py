"""The definitions on a real API server: what kubectl shows and scales, and changes of the definitions under stored objects."""

import asyncio
import copy
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from headrace.api.crds import PLURALS, SHORT_NAMES, crd
from headrace.api.meta import API_VERSION, GROUP, VERSION, Kind
from headrace.kube.client import Api, ApiError, NotFound, Refused
from tests.cluster.conftest import Cluster
from tests.cluster.manifests.minimal import MINIMAL, TRAIN, Wire, manifest, spec_model
from tests.cluster.manifests.server import DRY, RESOURCES, Verdict, connection, judge

APPLY_SECONDS = 30
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
LOOK_SECONDS = 0.1
STATUS: dict[Kind, Wire] = {
    Kind.DATA_PIPELINE: {
        "phase": "Complete",
        "workers": {"ready": 3},
        "percent": 100,
        "dataset": {"uri": "s3://lake/t", "version": 41, "digest": "d"},
    },
    Kind.TRAIN_JOB: {"phase": "Running", "workers": {"ready": 3}, "percent": 57, "stage": "Training", "restarts": 2},
    Kind.TUNE_JOB: {"phase": "Running", "percent": 20, "bestTrial": {"number": 1, "value": 0.875, "parameters": {}}},
    Kind.INFERENCE_ENDPOINT: {"phase": "Waiting", "url": "http://digits"},
}
SHOWN: dict[Kind, list[str]] = {
    Kind.DATA_PIPELINE: ["NAME", "STATE", "WORKERS", "PROGRESS", "VERSION", "AGE", "case", "Complete", "3", "100", "41"],
    Kind.TRAIN_JOB: ["NAME", "STATE", "WORKERS", "PROGRESS", "MODEL", "AGE", "case", "Running", "3", "57"],
    Kind.TUNE_JOB: ["NAME", "STATE", "WORKERS", "PROGRESS", "BEST", "MODEL", "AGE", "case", "Running", "0", "20", "0.875"],
    Kind.INFERENCE_ENDPOINT: ["NAME", "STATE", "STABLE", "CANDIDATE", "WEIGHT", "AGE", "case", "Waiting"],
}  # fmt: skip
AGE = 1


@pytest.fixture(scope="module")
def one_of_each(defined: Cluster) -> Iterator[str]:
    """A namespace with one object of each kind, with a status."""
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    defined.kubectl("create", "namespace", namespace)

    async def fill() -> None:
        async with connection(defined) as api:
            for kind, resource in RESOURCES.items():
                path = resource.path(namespace)
                made = await api.create(path, manifest(kind, MINIMAL.get(spec_model(kind), {})))
                await api.update(f"{path}/case/status", made | {"status": STATUS[kind]})

    asyncio.run(fill())
    yield namespace
    defined.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.mark.parametrize("kind", list(Kind))
def test_kubectl_shows_how_far_an_object_is(kind: Kind, defined: Cluster, one_of_each: str) -> None:
    """`kubectl get` by the short name prints the columns and what the status says."""
    words = defined.kubectl("get", SHORT_NAMES[kind], "--namespace", one_of_each).split()
    heads = [word for word in SHOWN[kind] if word.isupper()]
    assert words[: len(heads)] == heads
    assert words[len(heads) : -AGE] == SHOWN[kind][len(heads) :]


def test_wide_columns(defined: Cluster, one_of_each: str) -> None:
    """`kubectl get --output=wide` adds what the plain table has no room for."""
    jobs = defined.kubectl("get", "tj", "--namespace", one_of_each, "--output=wide").split()
    assert {"STAGE", "RESTARTS", "Training", "2"} <= set(jobs)
    assert "http://digits" in defined.kubectl("get", "ie", "--namespace", one_of_each, "--output=wide")


def test_the_category_lists_all_kinds(defined: Cluster, one_of_each: str) -> None:
    """`kubectl get headrace` lists the objects of all four kinds."""
    found = set(defined.kubectl("get", "headrace", "--namespace", one_of_each, "--output=name").split())
    assert found == {f"{str(kind).lower()}.{GROUP}/case" for kind in Kind}


@pytest.mark.parametrize("kind", list(Kind))
def test_kubectl_explains_every_field(kind: Kind, defined: Cluster) -> None:
    """`kubectl explain` knows every field of the spec, with a sentence that says what an edit does."""
    told = " ".join(defined.kubectl("explain", f"{PLURALS[kind]}.spec", f"--api-version={API_VERSION}").split())
    model = spec_model(kind)
    for name, field in model.model_fields.items():
        assert f" {field.alias or name} <" in told
        assert field.description is not None and " ".join(field.description.split()) in told


def test_kubectl_explains_inner_fields(defined: Cluster) -> None:
    """A field deep inside has its type, its sentence and its bounds' words."""
    told = " ".join(defined.kubectl("explain", "trainjobs.spec.workers.desired").split())
    assert "FIELD: desired <integer>" in told
    assert "`kubectl scale` sets it" in told
    assert "ENUM: Preserve Relaxed" in " ".join(defined.kubectl("explain", "tj.spec.compression.auto.loss").split())


SCALED = [Kind.DATA_PIPELINE, Kind.TRAIN_JOB]


@pytest.mark.parametrize("kind", SCALED)
async def test_kubectl_scales_within_the_bounds(kind: Kind, defined: Cluster, namespace: str) -> None:
    """`kubectl scale` sets workers.desired, also while the job runs; outside of min and max it is refused in words."""
    path = RESOURCES[kind].path(namespace)
    async with connection(defined) as api:
        raw = manifest(kind, MINIMAL[spec_model(kind)] | {"workers": {"min": 2, "max": 4}})
        made = await api.create(path, raw)
        await api.update(f"{path}/case/status", made | {"status": {"phase": "Running"}})
    name = f"{PLURALS[kind]}/case"
    for wanted in (4, 3):
        defined.kubectl("scale", name, f"--replicas={wanted}", "--namespace", namespace)
        assert defined.get(name, "--namespace", namespace)["spec"]["workers"]["desired"] == wanted
    for wanted, words in ((5, "workers.desired must lie between workers.min and workers.max"), (0, "spec.workers.desired")):  # fmt: skip
        with pytest.raises(AssertionError, match=words):
            defined.kubectl("scale", name, f"--replicas={wanted}", "--namespace", namespace)
    assert defined.get(name, "--namespace", namespace)["spec"]["workers"]["desired"] == 3


async def test_scale_tells_the_workers_that_run(defined: Cluster, namespace: str) -> None:
    """The scale subresource shows the ready workers and their selector, as an autoscaler reads them."""
    path = RESOURCES[Kind.TRAIN_JOB].path(namespace)
    async with connection(defined) as api:
        made = await api.create(path, manifest(Kind.TRAIN_JOB, TRAIN | {"workers": {"max": 4, "desired": 2}}))
        status = {"phase": "Running", "workers": {"desired": 2, "ready": 1, "selector": "a=b"}}
        await api.update(f"{path}/case/status", made | {"status": status})
        scale = await api.get(f"{path}/case/scale")
    assert (scale["spec"], scale["status"]) == ({"replicas": 2}, {"replicas": 1, "selector": "a=b"})


NEW_RULE = "batchSize must be at least workers.max, so that every worker has a record"
NEW_FIELD = "stallSeconds"
TINY_BATCH = TRAIN | {"batchSize": 1, "workers": {"max": 4}}


@dataclass(frozen=True)
class Copies:
    """The definitions under a group of their own, so that no other test meets the older ones."""

    api: Api
    group: str

    async def exist(self) -> bool:
        """Whether the definitions are there."""
        try:
            await self.api.get(f"{CRDS}/{PLURALS[Kind.TRAIN_JOB]}.{self.group}")
        except NotFound:
            return False
        return True

    async def put_all(self) -> None:
        """Puts the definitions of all kinds, and waits until they are served."""
        for kind in Kind:
            await self._put(self.definition(kind))
        for kind in Kind:
            await self._until(partial(self._is_served, kind))

    async def _is_served(self, kind: Kind) -> bool:
        return bool(await self.api.get(self.path(kind)))

    def path(self, kind: Kind) -> str:
        """Where the objects of a kind are."""
        return f"/apis/{self.group}/{VERSION}/namespaces/default/{PLURALS[kind]}"

    def manifest(self, kind: Kind, name: str, spec: Wire) -> Wire:
        """A manifest of the group."""
        return manifest(kind, spec, name=name) | {"apiVersion": f"{self.group}/{VERSION}"}

    def definition(self, kind: Kind) -> Wire:
        """The present definition of a kind."""
        present = crd(kind)
        names = {**present["spec"]["names"], "shortNames": [], "categories": []}
        return {**present, "metadata": {"name": f"{PLURALS[kind]}.{self.group}"},
                "spec": {**present["spec"], "group": self.group, "names": names}}  # fmt: skip

    async def use_older(self) -> None:
        """Puts the definitions as they were before a field and a rule came into TrainJob, and waits until they count."""
        await self._put(_older(self.definition(Kind.TRAIN_JOB)))
        await self._until(lambda: self._takes(TINY_BATCH))
        await self._until(lambda: self._refuses(TRAIN | {NEW_FIELD: 1}))

    async def use_present(self) -> None:
        """Puts the present definitions, and waits until they count."""
        await self._put(self.definition(Kind.TRAIN_JOB))
        await self._until(lambda: self._refuses(TINY_BATCH))
        await self._until(lambda: self._takes(TRAIN | {NEW_FIELD: 1}))

    async def _put(self, definition: Wire) -> None:
        await self.api.apply(f"{CRDS}/{definition['metadata']['name']}", definition)

    async def _takes(self, spec: Wire) -> bool:
        return (await self._probe(spec)).object is not None

    async def _refuses(self, spec: Wire) -> bool:
        return (await self._probe(spec)).object is None

    async def _probe(self, spec: Wire) -> Verdict:
        return await judge(self.api, "POST", self.path(Kind.TRAIN_JOB), self.manifest(Kind.TRAIN_JOB, "probe", spec))

    async def _until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + APPLY_SECONDS
        while True:
            # What serves the older definition says for a moment that it shuts down.
            with suppress(ApiError):
                if await holds():
                    return
            assert time.monotonic() < deadline, f"the definitions do not count after {APPLY_SECONDS} s"
            await asyncio.sleep(LOOK_SECONDS)


def _older(definition: Wire) -> Wire:
    older = copy.deepcopy(definition)
    version = older["spec"]["versions"][0]
    root = version["schema"]["openAPIV3Schema"]
    spec = root["properties"]["spec"]
    del spec["properties"][NEW_FIELD]
    spec["x-kubernetes-validations"] = [
        rule for rule in spec["x-kubernetes-validations"] if rule["message"] != NEW_RULE
    ]
    version["additionalPrinterColumns"] = version["additionalPrinterColumns"][:2]
    return older


@pytest.fixture(scope="module")
def group(cluster: Cluster) -> Iterator[str]:
    """A group for the copies; they go, with their objects, when the tests end."""
    name = f"copy-{uuid.uuid4().hex[:8]}.{GROUP}"
    yield name
    names = [f"crd/{PLURALS[kind]}.{name}" for kind in Kind]
    cluster.kubectl("delete", *names, "--wait=false", "--ignore-not-found")


@pytest.fixture
async def copies(cluster: Cluster, group: str) -> AsyncIterator[Copies]:
    """The copies, the older ones in effect."""
    async with connection(cluster) as api:
        copies = Copies(api, group)
        if not await copies.exist():
            await copies.put_all()
        await copies.use_older()
        yield copies


def _holds(stored: Any, found: Any) -> bool:
    """Whether everything stored is found again; what was added by defaults is no matter."""
    if isinstance(stored, dict):
        return isinstance(found, dict) and all(
            name in found and _holds(value, found[name]) for name, value in stored.items()
        )
    return bool(stored == found)


async def test_objects_outlive_an_upgrade_and_the_way_back(copies: Copies) -> None:
    """Every object of the older definitions is whole under the present ones, which add defaults, and whole again later."""
    api, stored = copies.api, {}
    for kind in Kind:
        made = await api.create(copies.path(kind), copies.manifest(kind, "kept", MINIMAL.get(spec_model(kind), {})))
        stored[kind] = await api.update(f"{copies.path(kind)}/kept/status", made | {"status": STATUS[kind]})

    async def found() -> dict[Kind, Wire]:
        return {kind: await api.get(f"{copies.path(kind)}/kept") for kind in Kind}

    await copies.use_present()
    upgraded = await found()
    for kind in Kind:
        assert (
            _holds(stored[kind]["spec"], upgraded[kind]["spec"]) and upgraded[kind]["status"] == stored[kind]["status"]
        )
        assert upgraded[kind]["metadata"]["uid"] == stored[kind]["metadata"]["uid"]
    assert upgraded[Kind.TRAIN_JOB]["spec"][NEW_FIELD] == 900
    await copies.use_older()
    for kind, back in (await found()).items():
        assert (back["spec"], back["status"]) == (stored[kind]["spec"], stored[kind]["status"])


async def test_a_new_field_outlives_the_older_definitions(copies: Copies) -> None:
    """A value that the older definitions do not know is hidden by them, not lost, as long as nobody writes the object."""
    path = copies.path(Kind.TRAIN_JOB)
    await copies.use_present()
    await copies.api.create(path, copies.manifest(Kind.TRAIN_JOB, "newer", TRAIN | {NEW_FIELD: 77}))
    await copies.use_older()
    assert NEW_FIELD not in (await copies.api.get(f"{path}/newer"))["spec"]
    await copies.use_present()
    assert (await copies.api.get(f"{path}/newer"))["spec"][NEW_FIELD] == 77


async def test_what_a_newer_rule_refuses_can_still_be_run_mended_and_deleted(copies: Copies) -> None:
    """Rules judge what changes: a status, a label and a deletion pass, an edit of the spec must mend it."""
    api, path = copies.api, f"{copies.path(Kind.TRAIN_JOB)}/tiny"
    await api.create(copies.path(Kind.TRAIN_JOB), copies.manifest(Kind.TRAIN_JOB, "tiny", TINY_BATCH))
    await copies.use_present()
    tiny = await api.get(path)
    for percent in (10, 20):
        tiny = await api.update(f"{path}/status", tiny | {"status": {"phase": "Starting", "percent": percent}})
    assert tiny["status"]["percent"] == 20
    tiny["metadata"]["labels"] = {"a": "b"}
    tiny["metadata"]["finalizers"] = ["headrace.dev/test"]
    tiny = await api.update(path, tiny)
    with pytest.raises(Refused, match=NEW_RULE):
        await api.update(path, tiny | {"spec": tiny["spec"] | {"suspend": True}})
    mended = tiny["spec"] | {"workers": tiny["spec"]["workers"] | {"max": 1}}
    await api._request("dry-run", "PUT", path, DRY, tiny | {"spec": mended})
    await api.delete(path, tiny["metadata"]["uid"])
    leaving = await api.get(path)
    await api.update(path, leaving | {"metadata": leaving["metadata"] | {"finalizers": []}})
    with pytest.raises(NotFound):
        await api.get(path)


def test_the_repository_holds_the_definitions_that_the_models_make(defined: Cluster) -> None:
    """What the API server stores is what the models say, schema for schema."""
    for kind in Kind:
        stored = json.loads(defined.kubectl("get", "crd", f"{PLURALS[kind]}.{GROUP}", "--output=json"))
        assert stored["spec"]["versions"][0]["schema"] == crd(kind)["spec"]["versions"][0]["schema"]
        assert [
            condition["status"]
            for condition in stored["status"]["conditions"]
            if condition["type"] == "NonStructuralSchema"
        ] == []
