"""E-mail addresses: a local part (RFC 5322's atoms, letters of any script), @, and a domain name or an address in brackets."""

import re
from collections.abc import Iterator

HINT = "@"
LOCAL = re.compile(r"""(?:"[^"\x00-\x1f]{1,64}"|[\w!#$%&'*+/=?^`{|}~-]+(?:\.+[\w!#$%&'*+/=?^`{|}~-]+)*)\Z""")
DOMAIN = re.compile(r"@(?:(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+(?:xn--[\w-]+|[^\W\d_]{2,63})|\[[0-9A-Fa-f:.]{2,45}\])")
LONGEST_LOCAL = 64


def find(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each address."""
    at = text.find("@")
    while at >= 0:
        domain = DOMAIN.match(text, at)
        local = LOCAL.search(text, max(0, at - LONGEST_LOCAL - 2), at) if domain else None
        if domain and local:
            yield local.start(), domain.end()
        at = text.find("@", domain.end() if domain else at + 1)
