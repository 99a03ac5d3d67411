"""Columns of objects that come one by one, for ever: a column keeps the type that most of its first values had.

What does not fit is bad, and says so; nothing is cut to fit. What has no type of its own, as objects and lists of several
kinds of things, is kept as JSON text.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pyarrow as pa

RESERVED = "headrace."
"""What the names of columns begin with that no record may bring."""
MOST_COLUMNS = 1000
KINDS: Mapping[pa.DataType, frozenset[type]] = {
    pa.int64(): frozenset({int}),
    pa.float64(): frozenset({int, float}),
    pa.bool_(): frozenset({bool}),
    pa.string(): frozenset({str}),
}
SAID = {pa.int64(): "whole numbers", pa.float64(): "numbers", pa.bool_(): "true or false", pa.string(): "text"}
NOTHING = type(None)


@dataclass(frozen=True)
class Misfit:
    """Why a record cannot be in the table, and for which column."""

    column: str
    code: str
    message: str


@dataclass(frozen=True)
class Columns:
    """Some records as a table, without those that do not fit, which are told by their place."""

    table: pa.Table
    rows: tuple[int, ...]
    misfits: Mapping[int, Misfit]


def columns_of(rows: Sequence[Mapping[str, Any]], known: pa.Schema) -> Columns:
    """The records in the known columns and those that they bring; a column without any value is left out, known or not."""
    misfits = _misnamed(rows, known)
    names = dict.fromkeys(name for row in rows for name in row)
    columns: dict[str, list[Any]] = {}
    types: dict[str, pa.DataType] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        if misfits:
            values = [None if place in misfits else value for place, value in enumerate(values)]
        kind = known.field(name).type if name in known.names else _type_of(values)
        if kind is None:
            continue
        columns[name], types[name] = values, kind
        misfits = _unfit(name, values, kind) | misfits
    kept = [place for place in range(len(rows)) if place not in misfits]
    arrays = {
        name: _array(values if len(kept) == len(rows) else [values[place] for place in kept], types[name])
        for name, values in columns.items()
    }
    table = pa.table(arrays) if arrays else pa.table({"_": pa.nulls(len(kept))}).select([])
    return Columns(table, tuple(kept), misfits)


def _misnamed(rows: Sequence[Mapping[str, Any]], known: pa.Schema) -> dict[int, Misfit]:
    """Records that bring a column which the table cannot have: readers tell columns apart without regard to case."""
    taken = {name.lower(): name for name in known.names}
    misfits: dict[int, Misfit] = {}
    seen: set[str] = set(known.names)
    for place, row in enumerate(rows):
        if row.keys() <= seen:
            continue
        for name in row.keys() - seen:
            if name.startswith(RESERVED):
                misfits[place] = Misfit(name, "ReservedColumn", f"no column may be called {RESERVED}…")
            elif taken.setdefault(name.lower(), name) != name:
                misfits[place] = Misfit(name, "ColumnTaken", "two columns differ in capital letters only")
            elif len(taken) > MOST_COLUMNS:
                misfits[place] = Misfit(name, "TooManyColumns", f"the table has {MOST_COLUMNS} columns already")
                taken.pop(name.lower())
            else:
                seen.add(name)
    return misfits


def _kinds(values: Sequence[Any]) -> set[type]:
    return set(map(type, values)) - {NOTHING}


def _flat(values: Sequence[Any]) -> list[Any]:
    return list(chain.from_iterable(value for value in values if value is not None))


def _type_of(values: Sequence[Any]) -> pa.DataType | None:
    """The type of most values: a single odd one does not make a column of numbers one of text. None if there is no value."""
    counts = Counter(map(type, values))
    del counts[NOTHING]
    if not counts:
        return None
    groups = {list: counts[list], float: counts[int] + counts[float], bool: counts[bool]}
    most = max(groups, key=lambda kind: groups[kind])
    if 2 * groups[most] <= counts.total():
        return pa.string()
    if most is list:
        flat = _flat([value for value in values if type(value) is list])
        inner = _type_of(flat)
        return pa.list_(inner) if inner is not None and _fits(flat, inner) else pa.string()
    if most is bool:
        return pa.bool_()
    numbers = [value for value in values if type(value) in (int, float)]
    return next((kind for kind in (pa.int64(), pa.float64()) if _fits(numbers, kind)), pa.string())


def _fits(values: Sequence[Any], kind: pa.DataType) -> bool:
    kinds = _kinds(values)
    if pa.types.is_list(kind):
        return kinds <= {list} and _fits(_flat(values), kind.value_type)
    if not kinds <= KINDS[kind]:
        return False
    try:
        pa.array(values, kind)
    except (pa.ArrowInvalid, OverflowError):
        return False
    return True


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if kind == pa.string() and not _kinds(values) <= {str}:
        values = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return pa.array(values, kind)


def _unfit(name: str, values: Sequence[Any], kind: pa.DataType) -> dict[int, Misfit]:
    if kind == pa.string() or _fits(values, kind):
        return {}
    said = f"lists of {SAID.get(kind.value_type, 'lists')}" if pa.types.is_list(kind) else SAID[kind]
    why = Misfit(
        name, "WrongType", f"column {name} holds {said}, as most of its first records did; this record does not"
    )
    return {place: why for place, value in enumerate(values) if not _fits([value], kind)}
