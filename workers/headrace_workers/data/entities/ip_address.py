"""Addresses of the Internet Protocol: four numbers up to 255, or what RFC 4291 has as text of an IPv6 address, with its prefix length."""

import re
from collections.abc import Iterator
from socket import AF_INET6, inet_pton
from string import hexdigits

HINT = r"\p{Nd}\.\p{Nd}{1,3}\.\p{Nd}{1,3}\.\p{Nd}|:[0-9A-Fa-f]{0,4}:"
V4 = re.compile(r"\d(?<![\w.]\d)\d{0,2}(?:\.\d{1,3}){3}(?!\w)(?!\.\w)")
V4_PREFIX = re.compile(r"/(?:3[0-2]|[12]?\d)(?!\w)")
COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
"""What every address of version 6 has, from which its beginning is looked for backwards."""
V6 = re.compile(r"(?<![\w:.])([0-9A-Fa-f:]{2,39}(?:\.\d{1,3}){0,3})(?:%\w+)?(?:/\d{1,3})?(?![\w:])")
GROUP = 4
VERSION = re.compile(r"(?i)(?:version|release|build|firmware|driver)\W{1,2}\Z")
VERSION_BEFORE = 10


def find(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each address; four numbers that are called a version are none."""
    v6 = list(_v6(text)) if COLONS.search(text) else []
    v4 = [span for span in _v4(text) if not any(start < span[1] and span[0] < end for start, end in v6)]
    yield from sorted(v6 + v4)


def _v4(text: str) -> Iterator[tuple[int, int]]:
    for found in V4.finditer(text):
        start, end = found.span()
        if _are_bytes(found.group()) and not VERSION.search(text, max(0, start - VERSION_BEFORE), start):
            prefix = V4_PREFIX.match(text, end)
            yield start, prefix.end() if prefix else end


def _v6(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    while colons := COLONS.search(text, at):
        before = text[max(0, colons.start() - GROUP) : colons.start()]
        found = V6.match(text, colons.start() - len(before) + len(before.rstrip(hexdigits)))
        at = found.end() if found else colons.end() - 1
        if found and _is_v6(found.group(1)):
            yield found.span()


def _are_bytes(text: str) -> bool:
    return all(int(part) < 256 and (part == "0" or part[0] != "0") for part in text.split("."))


def _is_v6(text: str) -> bool:
    # Names of code such as add::face are written with letters alone.
    if not any(letter.isdigit() for letter in text):
        return False
    try:
        inet_pton(AF_INET6, text)
    except OSError:
        return False
    return True
