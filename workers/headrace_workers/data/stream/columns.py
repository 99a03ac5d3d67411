"""Columns of objects that come one by one, for ever: a column keeps the type that most of its first values had.

What does not fit is bad, and says so; nothing is cut to fit. What has no type of its own, as objects and lists of several
kinds of things, is kept as JSON text.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
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
    """Some records as a table, without those that do not fit, which are told by their place; `rows` are the others' places."""

    table: pa.Table
    rows: np.ndarray
    misfits: Mapping[int, Misfit]


def columns_of(rows: Sequence[Mapping[str, Any]], known: pa.Schema) -> Columns:
    """The records in the known columns and those that they bring; a column without any value is left out, known or not."""
    names, misfits = _named(rows, known)
    arrays: dict[str, pa.Array] = {}
    for name in names:
        values = _values(rows, name)
        if misfits:
            values = [None if place in misfits else value for place, value in enumerate(values)]
        kind = known.field(name).type if name in known.names else _type_of(values)
        if kind is not None:
            arrays[name], unfit = _column(name, values, kind)
            misfits = unfit | misfits
    table = pa.table(arrays) if arrays else pa.table({"_": pa.nulls(len(rows))}).select([])
    kept = np.ones(len(rows), bool)
    kept[list(misfits)] = False
    return Columns(table if kept.all() else table.filter(pa.array(kept)), np.flatnonzero(kept), misfits)


def _values(rows: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    try:
        return list(map(itemgetter(name), rows))
    except KeyError:
        return [row.get(name) for row in rows]


def _named(rows: Sequence[Mapping[str, Any]], known: pa.Schema) -> tuple[list[str], dict[int, Misfit]]:
    """The columns of the records, and the records that bring one which the table cannot have.

    Those who read tables tell columns apart without regard to case.
    """
    taken = {name.lower(): name for name in known.names}
    misfits: dict[int, Misfit] = {}
    names: dict[str, None] = {}
    for place, row in enumerate(rows):
        if row.keys() <= names.keys():
            continue
        for name in row:
            if name in names:
                continue
            if name.startswith(RESERVED):
                misfits[place] = Misfit(name, "ReservedColumn", f"no column may be called {RESERVED}…")
            elif taken.get(name.lower(), name) != name:
                misfits[place] = Misfit(name, "ColumnTaken", "two columns differ in capital letters only")
            elif name.lower() not in taken and len(taken) >= MOST_COLUMNS:
                misfits[place] = Misfit(name, "TooManyColumns", f"the table has {MOST_COLUMNS} columns already")
            else:
                taken[name.lower()] = name
                names[name] = None
    return list(names), misfits


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
        return pa.list_(inner) if inner is not None and _made(flat, inner) is not None else pa.string()
    if most is bool:
        return pa.bool_()
    numbers = [value for value in values if type(value) in (int, float)]
    return next((kind for kind in (pa.int64(), pa.float64()) if _made(numbers, kind) is not None), pa.string())


def _made(values: Sequence[Any], kind: pa.DataType) -> pa.Array | None:
    """The values as that type; None if one of them is none of it, or cannot be told exactly in it."""
    if not _are(values, kind):
        return None
    try:
        return pa.array(values, kind)
    except (pa.ArrowInvalid, OverflowError):
        return None


def _are(values: Sequence[Any], kind: pa.DataType) -> bool:
    kinds = _kinds(values)
    if pa.types.is_list(kind):
        return kinds <= {list} and _are(_flat(values), kind.value_type)
    return kinds <= KINDS[kind]


def _column(name: str, values: Sequence[Any], kind: pa.DataType) -> tuple[pa.Array, dict[int, Misfit]]:
    """The values as a column, missing where they do not fit, and the records for which they do not."""
    if kind == pa.string():
        if not _kinds(values) <= {str}:
            values = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
        return pa.array(values, kind), {}
    made = _made(values, kind)
    if made is not None:
        return made, {}
    said = f"lists of {SAID.get(kind.value_type, 'lists')}" if pa.types.is_list(kind) else SAID[kind]
    why = Misfit(
        name, "WrongType", f"column {name} holds {said}, as most of its first records did; this record does not"
    )
    unfit = {place: why for place, value in enumerate(values) if _made([value], kind) is None}
    return pa.array([None if place in unfit else value for place, value in enumerate(values)], kind), unfit
