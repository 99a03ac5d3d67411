"""An API server in memory, for what the port does around it: versions, conflicts, preconditions, and every request noted."""

import copy
import itertools
from typing import Any

from headrace.kube.client import Exists, Listing, NotFound, Stale
from headrace.kube.resources import Resource

UIDS = itertools.count(1)


def written(manager, fields, time="2026-01-01T12:00:00Z", **more):
    """An entry of managedFields."""
    return {"manager": manager, "operation": "Update", "time": time, "fieldsV1": {"f:spec": fields}, **more}


class FakeApi:
    """Objects by path; what is asked is in `requests`."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.failure: Exception | None = None
        self.refusals: dict[str, Exception] = {}
        """By plural, what is answered to whoever makes one."""
        self.unserved: set[str] = set()
        """The API groups that this server does not have."""
        self._versions = itertools.count(1)

    def _asked(self, verb: str, path: str) -> None:
        self.requests.append((verb, path))
        if self.failure is not None:
            raise self.failure
        if any(path.startswith(f"/apis/{group}/") for group in self.unserved):
            raise NotFound(404, "", "404 page not found")

    def _keep(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        kept = copy.deepcopy(body)
        before = self.objects.get(path)
        kept["metadata"].setdefault("uid", before["metadata"]["uid"] if before else f"uid-{next(UIDS)}")
        kept["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[path] = kept
        return copy.deepcopy(kept)

    async def get(self, path: str, query=None):
        self._asked("get", path)
        if path not in self.objects:
            raise NotFound(404, "NotFound", f"{path} is not there")
        return copy.deepcopy(self.objects[path])

    async def list(self, resource: Resource, namespace, *, name="", metadata_only=False):
        root = resource.path(namespace)
        self._asked("list", root)
        start = resource.path(None).removesuffix(resource.plural)
        found = [
            copy.deepcopy(each)
            for path, each in self.objects.items()
            if path.startswith(start) and f"/{resource.plural}/" in path
            and (namespace is None or f"/namespaces/{namespace}/" in path)
            and (not name or each["metadata"]["name"] == name)
        ]  # fmt: skip
        return Listing([{**each, "kind": resource.kind} for each in found], next(self._versions))

    async def create(self, path, body):
        self._asked("create", path)
        if refusal := self.refusals.get(path.rpartition("/")[2]):
            raise refusal
        place = f"{path}/{body['metadata']['name']}"
        if place in self.objects:
            raise Exists(409, "AlreadyExists", f"{place} already exists")
        return self._keep(place, body)

    async def update(self, path, body):
        self._asked("update", path)
        place = path.removesuffix("/status")
        if place not in self.objects:
            raise NotFound(404, "NotFound", f"{place} is not there")
        given = body["metadata"].get("resourceVersion")
        if given and given != self.objects[place]["metadata"]["resourceVersion"]:
            raise Stale(409, "Conflict", "the object has been modified")
        return self._keep(place, body)

    async def apply(self, path, body):
        self._asked("patch", path)
        kept = {**body, "metadata": {**body["metadata"], "managedFields": [written("headrace", body)]}}
        return self._keep(path, kept)

    async def delete(self, path, uid, grace_seconds=None):
        self._asked("delete", path)
        if path not in self.objects:
            raise NotFound(404, "NotFound", f"{path} is not there")
        if self.objects[path]["metadata"]["uid"] != uid:
            raise Stale(409, "Conflict", "the UID in the precondition is another")
        return {**self.objects.pop(path), "kind": "Status", "metadata": {}}

    def writes(self):
        """What was asked but reads."""
        return [asked for asked in self.requests if asked[0] not in ("get", "list")]
