"""The API server as the tests of manifests use it: one connection, dry runs as kubectl makes them."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from headrace.api.meta import Kind
from headrace.kube.client import Api, Refused
from headrace.kube.resources import CUSTOM
from tests.cluster.conftest import Cluster

RESOURCES = {Kind(resource.kind): resource for resource in CUSTOM}
DRY = {"dryRun": "All", "fieldValidation": "Strict"}
"""What `kubectl apply --dry-run=server` asks for."""
AT_ONCE = 16
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Verdict:
    """What the API server made of a manifest: the object with its defaults, or the reason why not."""

    object: Mapping[str, Any] | None
    message: str = ""


@asynccontextmanager
async def connection(cluster: Cluster) -> AsyncIterator[Api]:
    """The API server of the cluster, whatever KUBECONFIG says."""
    configuration = Configuration()
    await config.load_kube_config(str(cluster.kubeconfig), client_configuration=configuration, persist_config=False)
    api = Api(ApiClient(configuration))
    try:
        yield api
    finally:
        await api.close()


async def judge(api: Api, method: str, path: str, body: Mapping[str, Any]) -> Verdict:
    """What the API server would answer; nothing is stored."""
    try:
        return Verdict(await api._request("dry-run", method, path, DRY, dict(body), seconds=PATIENCE_SECONDS))
    except Refused as error:
        return Verdict(None, error.message)


async def judge_all(api: Api, requests: Iterable[tuple[str, str, Mapping[str, Any]]]) -> list[Verdict]:
    """The verdicts in order, some requests at once."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(method: str, path: str, body: Mapping[str, Any]) -> Verdict:
        async with turns:
            return await judge(api, method, path, body)

    return await asyncio.gather(*(one(*request) for request in requests))
