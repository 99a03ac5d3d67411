"""JSON Lines: every line that is not empty is one object. Types are those of JSON: a text is never read as a number."""

import json
import math
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa

from headrace_workers.data.quarantine import BadRecord
from headrace_workers.data.sources.columns import column_of_values
from headrace_workers.data.sources.identity import with_id
from headrace_workers.data.sources.lines import blocks, shown
from headrace_workers.data.sources.shard import Batch


class NotJson(ValueError):
    """NaN and Infinity, which Python would take for JSON."""


def _refuse(constant: str) -> Any:
    raise NotJson(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NotJson("a number is too large")
    return value


# One for all lines: json.loads with settings makes one for each.
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def read(opened: BinaryIO, name: str) -> Iterator[Batch]:
    """The file's objects; a line that is not one is bad."""
    for block in blocks(opened):
        good: list[tuple[int, dict[str, Any]]] = []
        bad: list[BadRecord] = []
        for number, line in block:
            position = f"file {name} line {number}"
            try:
                value = _DECODER.decode(line.decode())
            except UnicodeDecodeError as error:
                bad.append(
                    BadRecord("source", "BadEncoding", f"not UTF-8 at byte {error.start}", position, shown(line))
                )
            except (ValueError, RecursionError) as error:
                bad.append(BadRecord("source", "BrokenJson", f"broken JSON: {error}", position, shown(line)))
            else:
                if isinstance(value, dict):
                    good.append((number, value))
                else:
                    bad.append(BadRecord("source", "NotAnObject", "expected a JSON object", position, shown(line)))
        table = _table([value for _, value in good])
        yield Batch(with_id(table, name, [number for number, _ in good]), tuple(bad))


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        return pa.table({"_": pa.nulls(len(rows))}).select([])
    return pa.table({name: column_of_values([row.get(name) for row in rows]) for name in names})
