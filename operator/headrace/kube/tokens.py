"""The runs' tokens: derived from one key of the operator's own, so that it never has to read a Secret of a user's namespace."""

import hashlib
import hmac

KEY_BYTES = 32


def token_for(key: bytes, owner_uid: str, secret: str) -> str:
    """The token in the Secret of this name that belongs to the owner: HMAC-SHA256 (RFC 2104), in hexadecimal."""
    return hmac.new(key, f"{owner_uid}/{secret}".encode(), hashlib.sha256).hexdigest()
