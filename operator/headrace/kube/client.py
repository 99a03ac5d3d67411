"""The Kubernetes API as raw JSON over the official client's asyncio part; the only file that imports the client.

Raw, because the client's typed models cost eighty times what JSON costs for a pod.
"""

import contextlib
import json
import os
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson
import yaml
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from headrace import __version__
from headrace.cluster import Conflict, Unavailable
from headrace.kube.resources import POD, Resource
from headrace.plan.values import Raw

FIELD_MANAGER = "headrace"
REQUEST_SECONDS = 5.0
"""Shorter than the margin between a lease's renewal bound and its end, so that no write lands after it."""
LIST_SECONDS = 60.0
CONNECTIONS = 16
"""At once. Each that is open costs 50 KB and more, and few answers take longer than some milliseconds."""
READ_BYTES = 2**20
"""Of an answer that are kept until somebody reads on."""
APPLY = "application/apply-patch+yaml"
JSON = "application/json"
METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""A pod's own namespace."""

Told = Callable[[str, str, int], None]
"""Called after each request with the verb, the plural and the code; 0 where no answer came."""


class ApiError(Unavailable):
    """The API server said no, or nothing."""

    def __init__(self, code: int, reason: str, message: str, causes: tuple[tuple[str, str], ...] = ()) -> None:
        """Keeps the HTTP code, or 0 where no answer came, Kubernetes' reason, its sentence, and (field, fact) of each cause."""
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.causes = causes


class NotFound(ApiError):
    """There is no such object."""


class Exists(ApiError):
    """An object of this name is there already."""


class NoCluster(Exception):
    """There is no cluster to talk to, or no account to talk with."""


class Stale(ApiError, Conflict):
    """The object is no longer the one that the write was meant for."""


class Refused(ApiError):
    """The API server will not take this object as it is: a policy, a quota or a rule is in the way."""


@dataclass(frozen=True)
class Listing:
    """The objects of a list, and the version at which it was taken."""

    items: list[Raw]
    version: int


@dataclass(frozen=True)
class Home:
    """What the kubeconfig, or the pod, means where nothing else is said."""

    context: str = ""
    namespace: str = "default"


class Api:
    """One connection pool to one API server."""

    def __init__(self, client: ApiClient, told: Told = lambda *_: None, home: Home | None = None) -> None:
        """Takes over the client; `told` hears of every request."""
        self._client = client
        self._connections: aiohttp.ClientSession | None = None
        self._streams: aiohttp.ClientSession | None = None
        self._told = told
        self.home = home or Home()
        client.user_agent = f"headrace/{__version__}"

    @property
    def configuration(self) -> Configuration:
        """Where the server is and who asks."""
        configuration: Configuration = self._client.configuration
        return configuration

    async def close(self) -> None:
        """Closes the connections."""
        for session in (self._connections, self._streams):
            if session is not None:
                await session.close()
        await self._client.close()

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Raw:
        """One object."""
        return await self._request("get", "GET", path, query)

    async def list(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        name: str = "",
        metadata_only: bool = False,
        selector: str = "",
    ) -> Listing:
        """What there is of a resource as the newest state has it: all that is watched, what has other labels, or one name."""
        query = {"fieldSelector": f"metadata.name={name}"} if name else {"labelSelector": selector or resource.selector}
        headers = {"Accept": METADATA if metadata_only else JSON}
        if not name:
            # TLS keeps as much memory for a connection as it ever had to hold at once, up to a third of a megabyte: were
            # the connection used again, all of them would hold that in the end.
            headers["Connection"] = "close"
        answer = await self._request(
            "list",
            "GET",
            resource.path(namespace),
            {key: value for key, value in query.items() if value},
            headers=headers,
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

    async def apply(
        self, path: str, body: Raw, *, manager: str = FIELD_MANAGER, force: bool = True, dry_run: bool = False
    ) -> Raw:
        """Server-side applies an object; what others changed in our fields is ours again, or Stale where not `force`."""
        query = {"fieldManager": manager, "force": str(force).lower(), **({"dryRun": "All"} if dry_run else {})}
        return await self._request("patch", "PATCH", path, query, body, {"Content-Type": APPLY})

    async def delete(self, path: str, uid: str, grace_seconds: int | None = None) -> Raw:
        """DELETEs an object that still has this UID; Stale if it has another, NotFound if there is none."""
        options: Raw = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "preconditions": {"uid": uid}}  # fmt: skip
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        return await self._request("delete", "DELETE", path, None, options)

    async def stream(
        self, path: str, query: Mapping[str, str] | None = None, silence_seconds: float | None = None
    ) -> AsyncIterator[bytes]:
        """What a path answers, in pieces as they come, such as a pod's log; without a bound on silence it waits for ever."""
        sent, url = await self._addressed("GET", path, query)
        bounds = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_SECONDS, sock_read=silence_seconds)
        # A stream may last for ever: it takes no connection from the requests, and there may be any number.
        self._streams = self._streams or self.session(limit=0)
        code = 0
        try:
            answer = await self._send(self._streams, "GET", url, sent, None, bounds)
            code = answer.status
            try:
                if code >= 400:
                    raise _error(code, await answer.read(), "GET", path)
                async for piece in answer.content.iter_any():
                    yield piece
            finally:
                answer.close()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable("GET", path, error) from error
        finally:
            self._told("get", plural_of(path), code)

    def session(self, limit: int = CONNECTIONS) -> aiohttp.ClientSession:
        """Connections of one's own to this API server: what pods answer through its proxy is none of its objects."""
        tls = aiohttp.TCPConnector(ssl=self._client.rest_client.ssl_context, limit=limit)
        return aiohttp.ClientSession(
            connector=tls, trust_env=False, proxy=self.configuration.proxy or None, read_bufsize=READ_BYTES
        )

    async def _send(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Raw | None,
        bounds: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        data = None if body is None else _encoded(body)
        named = self.configuration.tls_server_name or None
        return await session.request(method, url, headers=headers, data=data, timeout=bounds, server_hostname=named)

    async def proxied(self, namespace: str, pod: str, port: int) -> tuple[str, dict[str, str]]:
        """Where a pod's port is found behind this API server, and the headers that say who asks there."""
        sent, url = await self._addressed("GET", POD.path(namespace, f"{pod}:{port}", "proxy"), None)
        return url, sent

    async def _addressed(
        self, method: str, path: str, query: Mapping[str, str] | None, body: Raw | None = None
    ) -> tuple[dict[str, str], str]:
        """The headers and the address of a request."""
        sent = {"Accept": JSON, "Content-Type": JSON, "User-Agent": self._client.user_agent}
        await self._client.update_params_for_auth(sent, [], ["BearerToken"], path, method, body)
        return sent, f"{self.configuration.host}{path}{'?' + urlencode(query) if query else ''}"

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
        sent, url = await self._addressed(method, path, query, body)
        sent |= headers or {}
        # Not by the client's own session, which encodes JSON slowly and looks for retries that are the queue's to make.
        self._connections = self._connections or self.session()
        code = 0
        try:
            answer = await self._send(self._connections, method, url, sent, body, aiohttp.ClientTimeout(total=seconds))
            code, data = answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(method, path, error) from error
        finally:
            self._told(verb, plural_of(path), code)
        if code >= 400:
            refused = _error(code, data, method, path)
            with contextlib.suppress(ValueError):
                refused.retry_after_seconds = float(answer.headers.get("Retry-After") or 0.0)
            raise refused
        try:
            parsed: Raw = orjson.loads(data)
        except ValueError as error:
            # A proxy in between may answer with a page of its own, or with nothing.
            raise ApiError(code, "Unreadable", f"the answer to {method} {path} is no JSON: {data[:100]!r}") from error
        return parsed


async def connect(context: str | None = None, told: Told = lambda *_: None) -> Api:
    """The API server that the kubeconfig names, or else that a pod is told of; NoCluster says why there is none."""
    configuration = Configuration()
    try:
        home = await _load(context, configuration)
        # Asked here once, and not in a thread for each request: a profile had that among the largest costs.
        configuration.proxy = configuration.proxy or _proxy(configuration.host)
        return Api(ApiClient(configuration), told, home)
    except (config.ConfigException, OSError, ssl.SSLError, yaml.YAMLError) as error:
        raise NoCluster(f"no Kubernetes cluster to talk to: {error}; set KUBECONFIG or give --context") from error


async def _load(context: str | None, configuration: Configuration) -> Home:
    """Fills the configuration. A kubeconfig goes before the pod's own account, as it does for kubectl."""
    files = os.environ.get("KUBECONFIG") or "~/.kube/config"
    if not _any_file(files):
        if context is None and _in_cluster():
            config.load_incluster_config(client_configuration=configuration)
            return Home("", own_namespace())
        raise config.ConfigException(f"there is no file {files}")
    loader = await config.load_kube_config(files, context, configuration, persist_config=False)
    named = loader.current_context
    return Home(str(named["name"]), str(named["context"].get("namespace") or "default"))


def _proxy(host: str) -> str | None:
    """The proxy that the environment names for a server; None for one that it excepts."""
    address = urlsplit(host)
    return None if proxy_bypass(address.hostname or "") else getproxies().get(address.scheme)


def _encoded(body: Raw) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:
        # A number of more than 64 bits: the API server has a sentence for it.
        return json.dumps(body).encode()


def _any_file(names: str) -> bool:
    return any(Path(name).expanduser().is_file() for name in names.split(os.pathsep) if name)


def own_namespace() -> str:
    """The namespace of the pod that this runs in; `default` outside a pod."""
    return OWN_NAMESPACE.read_text().strip() if OWN_NAMESPACE.is_file() else "default"


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


def _unreachable(method: str, path: str, error: Exception) -> ApiError:
    what = str(error) or type(error).__name__
    return ApiError(0, "Unreachable", f"the API server does not answer {method} {path}: {what}")


def _error(code: int, data: bytes, method: str, path: str) -> ApiError:
    causes: tuple[tuple[str, str], ...] = ()
    try:
        status: dict[str, Any] = orjson.loads(data)
        reason, message = str(status.get("reason", "")), str(status.get("message", ""))
        found = (status.get("details") or {}).get("causes") or ()
        causes = tuple((str(one.get("field", "")), str(one.get("message", ""))) for one in found)
    except ValueError:
        reason, message = "", data[:300].decode(errors="replace")
    sentence = message or f"{method} {path} was answered with {code}"
    if code == 404:
        return NotFound(code, reason, sentence, causes)
    if code == 409:
        kind = Exists if reason == "AlreadyExists" else Stale
        return kind(code, reason, sentence, causes)
    if code in (400, 403, 422):
        return Refused(code, reason, sentence, causes)
    return ApiError(code, reason or "Unavailable", f"{method} {path}: {sentence}", causes)
