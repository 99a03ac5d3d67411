"""The operator's own key, from which the runs' tokens are derived: a Secret in its own namespace, made once."""

import base64
import binascii
import contextlib
import secrets

from headrace.kube.client import Api, Exists, NotFound, Stale
from headrace.kube.resources import SECRET
from headrace.kube.tokens import KEY_BYTES
from headrace.plan.values import Raw

FIELD = "key"


class NoKey(Exception):
    """The Secret that should hold the operator's key holds something else."""


async def operator_key(api: Api, namespace: str, name: str) -> bytes:
    """The key; made if there is none yet. NoKey if what is there is none."""
    found = await _found(api, namespace, name)
    if FIELD not in (found.get("data") or {}):
        made = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
        # Another replica may do the same now: one of them wins, and both read what it wrote.
        with contextlib.suppress(Stale):
            await api.update(SECRET.path(namespace, name), {**found, "data": {FIELD: made}})
        found = await _found(api, namespace, name)
    key = b""
    with contextlib.suppress(KeyError, binascii.Error):
        key = base64.b64decode(found["data"][FIELD], validate=True)
    if len(key) < KEY_BYTES:
        raise NoKey(
            f"Secret {namespace}/{name} has no {FIELD} of {KEY_BYTES} bytes; empty it, and it is made anew with the next start"
        )
    return key


async def _found(api: Api, namespace: str, name: str) -> Raw:
    """The Secret, as the chart makes it without data; made here where no chart did."""
    try:
        return await api.get(SECRET.path(namespace, name))
    except NotFound:
        metadata = {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/part-of": "headrace"}}
        with contextlib.suppress(Exists):
            await api.create(SECRET.path(namespace), {"apiVersion": "v1", "kind": "Secret", "metadata": metadata})
        return await api.get(SECRET.path(namespace, name))
