"""The operator's own key, from which the runs' tokens are derived: a Secret in its own namespace, made once."""

import base64
import binascii
import contextlib
import secrets

from headrace.kube.client import Api, Exists, NotFound
from headrace.kube.resources import SECRET
from headrace.kube.tokens import KEY_BYTES

NAME = "headrace-operator-key"
FIELD = "key"


async def operator_key(api: Api, namespace: str) -> bytes:
    """The key; made if there is none yet. ValueError if what is there is no key."""
    try:
        found = await api.get(SECRET.path(namespace, NAME))
    except NotFound:
        made = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
        manifest = {
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": True, "data": {FIELD: made},
            "metadata": {"name": NAME, "namespace": namespace, "labels": {"app.kubernetes.io/part-of": "headrace"}},
        }  # fmt: skip
        with contextlib.suppress(Exists):
            await api.create(SECRET.path(namespace), manifest)
        found = await api.get(SECRET.path(namespace, NAME))
    key = b""
    with contextlib.suppress(KeyError, binascii.Error):
        key = base64.b64decode(found["data"][FIELD], validate=True)
    if len(key) < KEY_BYTES:
        raise ValueError(
            f"Secret {namespace}/{NAME} has no {FIELD} of {KEY_BYTES} bytes; delete it, and it is made anew with the next start"
        )
    return key
