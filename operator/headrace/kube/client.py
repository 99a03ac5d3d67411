"""The Kubernetes API as raw JSON over the official client's asyncio part; the only file that imports the client.

Raw, because the client's typed models cost eighty times what JSON costs for a pod.
"""

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from headrace import __version__
from headrace.cluster import Conflict, Unavailable
from headrace.kube.resources import Resource
from headrace.plan.values import Raw

FIELD_MANAGER = "headrace"
REQUEST_SECONDS = 5.0
"""Shorter than the margin between a lease's renewal bound and its end, so that no write lands after it."""
LIST_SECONDS = 60.0
APPLY = "application/apply-patch+yaml"
JSON = "application/json"

Told = Callable[[str, str, int], None]
"""Called after each request with the verb, the plural and the code; 0 where no answer came."""


class ApiError(Unavailable):
    """The API server said no, or nothing."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        """Keeps the HTTP code, or 0 where no answer came, Kubernetes' reason, and its sentence."""
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message


class NotFound(ApiError):
    """There is no such object."""


class Exists(ApiError):
    """An object of this name is there already."""


class Stale(ApiError, Conflict):
    """The object is no longer the one that the write was meant for."""


class Refused(ApiError):
    """The API server will not take this object as it is: a policy, a quota or a rule is in the way."""


@dataclass(frozen=True)
class Listing:
    """The objects of a list, and the version at which it was taken."""

    items: list[Raw]
    version: int


class Api:
    """One connection pool to one API server."""

    def __init__(self, client: ApiClient, told: Told = lambda *_: None) -> None:
        """Takes over the client; `told` hears of every request."""
        self._client = client
        self._told = told
        client.user_agent = f"headrace/{__version__}"

    @property
    def configuration(self) -> Configuration:
        """Where the server is and who asks."""
        configuration: Configuration = self._client.configuration
        return configuration

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Raw:
        """One object."""
        return await self._request("get", "GET", path, query)

    async def list(
        self, resource: Resource, namespace: str | None, *, name: str = "", metadata_only: bool = False
    ) -> Listing:
        """What there is of a resource as the newest state has it: all that is watched, or the one object of this name."""
        query = {"fieldSelector": f"metadata.name={name}"} if name else {"labelSelector": resource.selector}
        accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1" if metadata_only else JSON
        answer = await self._request(
            "list",
            "GET",
            resource.path(namespace),
            {key: value for key, value in query.items() if value},
            headers={"Accept": accept},
            seconds=LIST_SECONDS,
        )
        # Items of a list lack their kind, and a list without items may be null.
        own = {"apiVersion": resource.api_version, "kind": resource.kind}
        return Listing([{**item, **own} for item in answer["items"] or ()], int(answer["metadata"]["resourceVersion"]))

    async def create(self, path: str, body: Raw) -> Raw:
        """POSTs an object; Exists if it is there."""
        return await self._request("create", "POST", path, {"fieldManager": FIELD_MANAGER}, body)

    async def update(self, path: str, body: Raw) -> Raw:
        """PUTs an object; Stale if it has another resourceVersion by now."""
        return await self._request("update", "PUT", path, {"fieldManager": FIELD_MANAGER}, body)

    async def apply(self, path: str, body: Raw) -> Raw:
        """Server-side applies an object; what others changed in our fields is ours again."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._request("patch", "PATCH", path, query, body, {"Content-Type": APPLY})

    async def delete(self, path: str, uid: str, grace_seconds: int | None = None) -> Raw:
        """DELETEs an object that still has this UID; Stale if it has another, NotFound if there is none."""
        options: Raw = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "preconditions": {"uid": uid}}  # fmt: skip
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        return await self._request("delete", "DELETE", path, None, options)

    async def _request(
        self,
        verb: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Raw | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = REQUEST_SECONDS,
    ) -> Raw:
        sent = {"Accept": JSON, "Content-Type": JSON, "User-Agent": self._client.user_agent, **(headers or {})}
        await self._client.update_params_for_auth(sent, [], ["BearerToken"], path, method, body)
        url = f"{self.configuration.host}{path}{'?' + urlencode(query) if query else ''}"
        code = 0
        try:
            async with asyncio.timeout(seconds):
                answer = await self._client.rest_client.request(method, url, sent, body, _request_timeout=seconds)
                code, data = answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            what = str(error) or type(error).__name__
            raise ApiError(0, "Unreachable", f"the API server does not answer {method} {path}: {what}") from error
        finally:
            self._told(verb, plural_of(path), code)
        if code >= 400:
            raise _error(code, data, method, path)
        parsed: Raw = json.loads(data)
        return parsed


async def connect(context: str | None = None, told: Told = lambda *_: None) -> Api:
    """The API server that a pod is told of, or that the kubeconfig names; ValueError says why there is none."""
    configuration = Configuration()
    try:
        if context is None and _in_cluster():
            config.load_incluster_config(client_configuration=configuration)
        else:
            await config.load_kube_config(context=context, client_configuration=configuration, persist_config=False)
    except (config.ConfigException, OSError, ssl.SSLError) as error:
        raise ValueError(f"no Kubernetes cluster to talk to: {error}; set KUBECONFIG or give --context") from error
    configuration.connection_pool_maxsize = 64
    return Api(ApiClient(configuration), told)


def plural_of(path: str) -> str:
    """The resource that a path is about, with its part: pods, trainjobs/status."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if len(rest) > 2 and rest[0] == "namespaces":
        rest = rest[2:]
    return "/".join((rest[0], *rest[2:3])) if rest else path


def _in_cluster() -> bool:
    try:
        config.load_incluster_config(client_configuration=Configuration())
    except config.ConfigException:
        return False
    return True


def _error(code: int, data: bytes, method: str, path: str) -> ApiError:
    try:
        status: dict[str, Any] = json.loads(data)
        reason, message = str(status.get("reason", "")), str(status.get("message", ""))
    except ValueError:
        reason, message = "", data[:300].decode(errors="replace")
    sentence = message or f"{method} {path} was answered with {code}"
    if code == 404:
        return NotFound(code, reason, sentence)
    if code == 409:
        return Exists(code, reason, sentence) if reason == "AlreadyExists" else Stale(code, reason, sentence)
    if code in (400, 403, 422):
        return Refused(code, reason, sentence)
    return ApiError(code, reason or "Unavailable", f"{method} {path}: {sentence}")
