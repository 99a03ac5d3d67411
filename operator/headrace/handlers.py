"""kopf feeds the custom resources into the memory of the cluster; the only file that imports kopf.

Only `on.event` is used. Its create and update handlers, timers, daemons, peering and annotations keep state that is lost
when somebody replaces an object; here an event only says that there is something to look at.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import kopf

from headrace.kube import CUSTOM, Api
from headrace.plan.values import Raw

INACTIVITY_SECONDS = 70.0
"""A watch without so much as a bookmark for this long is opened again."""

RECONNECT_SECONDS = 1.0
"""Between two attempts to open a watch."""


async def feed(
    api: Api, namespaces: Iterable[str], saw: Callable[[Raw], None], gone: Callable[[Raw], None], stop: asyncio.Event
) -> None:
    """Watches until `stop` is set; tells of every object that was seen, and of every one that is gone."""
    registry = kopf.OperatorRegistry()

    async def on_event(event: Any, **_: Any) -> None:
        raw: Raw = event["object"]
        (gone if event["type"] == "DELETED" else saw)(raw)

    async def on_login(**_: Any) -> kopf.ConnectionInfo:
        return await connection(api)

    for resource in CUSTOM:
        kopf.on.event(resource.group, resource.version, resource.plural, registry=registry)(on_event)
    kopf.on.login(registry=registry)(on_login)
    given = tuple(namespaces)
    await kopf.operator(
        registry=registry,
        settings=settings(),
        standalone=True,
        clusterwide=not given,
        namespaces=given,
        stop_flag=stop,
    )


class _NoDiff(kopf.DiffBaseStorage):
    """Nothing is compared with what was there before: that would copy every object several times an event."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        return


class _NoProgress(kopf.ProgressStorage):
    """No handler has progress that would be kept in annotations."""

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        return

    def purge(self, **_: Any) -> None:
        return

    def touch(self, **_: Any) -> None:
        return

    def clear(self, *, essence: Any) -> Any:
        return essence


def settings() -> kopf.OperatorSettings:
    """Kopf's settings: it watches, and does nothing else."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.scanning.disabled = True
    chosen.persistence.diffbase_storage = _NoDiff()
    chosen.persistence.progress_storage = _NoProgress()
    chosen.watching.inactivity_timeout = INACTIVITY_SECONDS
    chosen.watching.reconnect_backoff = RECONNECT_SECONDS
    return chosen


async def connection(api: Api) -> kopf.ConnectionInfo:
    """Who asks, and where, as kopf wants to know it; a token that has changed meanwhile is the new one."""
    configuration = api.configuration
    setting = (await configuration.auth_settings()).get("BearerToken", {})
    scheme, _, token = str(setting.get("value") or "").partition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        scheme=scheme or None,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )
