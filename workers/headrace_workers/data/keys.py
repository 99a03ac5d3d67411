"""The keys of hash and encrypt, as the workers have them from a Secret. A key is never shown, not even in part.

Of one key each purpose has a key of its own, derived by HMAC-SHA-256, so that a Secret needs only one.
"""

import base64
import binascii
import hmac
import os
from collections.abc import Mapping

from headrace.api.keys import Key
from headrace_workers.faults import RunFault

KEY_BYTES = 32
HOW = "a key is 32 random bytes in base64, as `openssl rand -base64 32` makes them"


def read(key: Key, place: str, environ: Mapping[str, str] = os.environ) -> bytes:
    """The key's bytes; RunFault KeyMissing or KeyMalformed."""
    text = environ.get(key.variable, "")
    if not text:
        raise RunFault(
            "KeyMissing",
            f"{place}.key: the Secret {key.secret} has no key {key.id}, or there is no such Secret; put one into it "
            f"(in local mode, into the variable {key.variable} of the shell) and run it again: {HOW}",
        )
    return decoded(text, f"{place}.key: the key {key.id} of the Secret {key.secret}")


def decoded(text: str, what: str) -> bytes:
    """A key's bytes from its base64 text; RunFault KeyMalformed."""
    try:
        found = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != KEY_BYTES:
        raise RunFault("KeyMalformed", f"{what} is none; {HOW}")
    return found


def derived(key: bytes, purpose: str) -> bytes:
    """The key's own key for a purpose."""
    return hmac.digest(key, f"headrace.dev/{purpose}".encode(), "sha256")
