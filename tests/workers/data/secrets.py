"""Two keys of a Secret, and its texts."""

import base64

KEYS = {"one": bytes(range(32)), "two": bytes(range(32, 64))}
SECRET = {name: base64.b64encode(key).decode() for name, key in KEYS.items()}
