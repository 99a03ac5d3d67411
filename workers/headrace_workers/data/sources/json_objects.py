"""JSON texts that should each be one object. Types are those of JSON: a text is never read as a number."""

import json
import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

import orjson

from headrace_workers.data.quarantine import BadRecord

Place = TypeVar("Place")

LARGE = 2.0**63
"""From here on a fraction may be a whole number of more than 64 bits, which the fast decoder takes for one."""


class NotJson(ValueError):
    """NaN and Infinity, which Python would take for JSON."""


def _refuse(constant: str) -> Any:
    raise NotJson(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NotJson("a number is too large")
    return value


# One for all texts: json.loads with settings makes one for each.
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def decoded(
    texts: Iterable[tuple[Place, bytes]], position: Callable[[Place], str]
) -> tuple[list[tuple[Place, dict[str, Any]]], list[BadRecord]]:
    """The objects with their places, and the texts that are none; `position` says where a place is."""
    good: list[tuple[Place, dict[str, Any]]] = []
    bad: list[BadRecord] = []
    for place, text in texts:
        try:
            value = _value(text)
        except UnicodeDecodeError as error:
            bad.append(_bad("BadEncoding", f"not UTF-8 at byte {error.start}", position(place), text))
        except UnicodeEncodeError:
            bad.append(_bad("BadEncoding", "holds half of a character", position(place), text))
        except (ValueError, RecursionError) as error:
            bad.append(_bad("BrokenJson", f"broken JSON: {error}", position(place), text))
        else:
            if isinstance(value, dict):
                good.append((place, value))
            else:
                bad.append(_bad("NotAnObject", "expected a JSON object", position(place), text))
    return good, bad


def _value(text: bytes) -> Any:
    # What it refuses, the exact decoder says why, or takes all the same.
    with suppress(orjson.JSONDecodeError):
        found = orjson.loads(text)
        if not _has_large(found):
            return found
    value = _DECODER.decode(text.decode())
    if b"\\u" in text:
        # An escape may be half of a character, which no text may hold alone.
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _has_large(value: Any) -> bool:
    kind = type(value)
    if kind is float:
        return bool(abs(value) >= LARGE)
    if kind is dict:
        return any(map(_has_large, value.values()))
    return kind is list and any(map(_has_large, value))


def _bad(code: str, message: str, position: str, text: bytes) -> BadRecord:
    return BadRecord("source", code, message, position, shown(text))


def shown(text: bytes) -> str:
    """A text for the quarantine, whatever its bytes are."""
    return text.decode("utf-8", "backslashreplace")
