"""Makes of repaired records what reading the source would have made of them; what cannot be is bad again, and says why.

Columns are given as JSON; or the record is the line of the source as it stood there, repaired. What the source types by
itself, as Parquet does, takes values of that type only.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc

from headrace.api.data_pipeline import FileFormat, Source
from headrace.api.quarantine_line import QuarantineLine
from headrace_workers.data.quarantine import BadRecord
from headrace_workers.data.sources.columns import column_of_values
from headrace_workers.data.sources.json_objects import decoded
from headrace_workers.data.sources.shard import Batch, Shard

MADE_BY_STEPS = ("split",)
"""Columns that the quarantine shows of records which no source may have; the steps make them again."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Repaired:
    """A repaired record, and the id that it has if it gives itself none."""

    id: str
    line: QuarantineLine


class _Unfit(ValueError):
    """Why a repaired record cannot be one of the source: code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def remade(source: Source, shard: Shard, schema: pa.Schema, repaired: Sequence[Repaired]) -> Batch:
    """The records as one batch; `schema` is that of what was read beside them, in whose columns typed sources are."""
    if source.files and source.files.format is FileFormat.JSON_LINES:
        return _of_json(repaired, schema.names)
    form = source.files.format if source.files else FileFormat.PARQUET
    columns: Callable[[QuarantineLine], Row] = _typed
    types = {each.name: each for each in schema}
    if form is FileFormat.CSV:
        header = _header(shard) if any(each.line.columns is None for each in repaired) else []
        columns = partial(_csv, header=header)
    elif form is FileFormat.TEXT:
        columns = _text
    good: list[tuple[Repaired, dict[str, pa.Array]]] = []
    bad: list[BadRecord] = []
    for each in repaired:
        try:
            good.append((each, _arrays(columns(each.line), types)))
        except _Unfit as why:
            bad.append(BadRecord("source", why.code, str(why), each.line.source, each.line.record))
    arrays = [
        pa.concat_arrays([row[name] for _, row in good]) if good else pa.array([], each.type)
        for name, each in types.items()
    ]
    table = pa.Table.from_arrays(arrays, schema=schema)
    return Batch(_identified(table, [each.id for each, _ in good]), tuple(bad))


def _of_json(repaired: Sequence[Repaired], known: Sequence[str]) -> Batch:
    texts = ((place, _text_of(each.line)) for place, each in enumerate(repaired))
    good, bad = decoded(texts, lambda place: repaired[place].line.source)
    rows = [without_made(row, known) for _, row in good]
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = pa.table(
        {name: column_of_values([row.get(name) for row in rows]) for name in names} or {"_": pa.nulls(len(rows))}
    )
    table = table if names else table.select([])
    return Batch(_identified(table, [repaired[place].id for place, _ in good]), tuple(bad))


def _text_of(line: QuarantineLine) -> bytes:
    text = line.record if isinstance(line.record, str) else json.dumps(line.record)
    return text.encode("utf-8", "surrogatepass")


def _identified(table: pa.Table, made: Sequence[str]) -> pa.Table:
    ids = pa.chunked_array([pa.array(made, pa.string())])
    if "id" not in table.column_names:
        return table.add_column(0, "id", ids)
    given = pc.coalesce(table["id"].cast(pa.string()), ids)
    place = table.column_names.index("id")
    return table.remove_column(place).add_column(0, "id", given)


def without_made(row: Row, known: Sequence[str]) -> Row:
    """The record without what steps add, unless the source has a column that is called so."""
    return {name: value for name, value in row.items() if name in known or name not in MADE_BY_STEPS}


def _typed(line: QuarantineLine) -> Row:
    row = line.columns
    if row is None:
        raise _Unfit("NotAnObject", "expected a JSON object with the record's columns")
    return row


def _text(line: QuarantineLine) -> Row:
    # A line of text may look like an object; what was bad as a line is repaired as one.
    if isinstance(line.record, str) and (line.stage == "source" or line.columns is None):
        return {"text": line.record}
    return _typed(line)


def _csv(line: QuarantineLine, header: Sequence[str]) -> Row:
    row = line.columns
    if row is None:
        assert isinstance(line.record, str)
        fields = next(csv.reader(io.StringIO(line.record.rstrip("\r\n"), newline="")), [])
        if len(fields) != len(header):
            raise _Unfit("WrongFieldCount", f"expected {len(header)} fields, found {len(fields)}")
        row = dict(zip(header, fields, strict=True))
    return {name: _field(value) for name, value in row.items()}


def _field(value: Any) -> str | None:
    """A value as CSV has it: text, and a missing one where that is empty."""
    text = value if isinstance(value, str) or value is None else json.dumps(value, ensure_ascii=False)
    return text or None


def _header(shard: Shard) -> list[str]:
    with fsspec.open(
        shard.uri, "rt", compression="infer", encoding="utf-8-sig", errors="replace", newline=""
    ) as opened:
        return next(csv.reader(opened), [])


def _arrays(row: Row, types: Mapping[str, pa.Field]) -> dict[str, pa.Array]:
    """A value each column, of the column's type."""
    for name in row:
        if name not in types and name not in MADE_BY_STEPS:
            raise _Unfit("UnknownColumn", f"the source has no column {name}")
    return {name: _value(name, row.get(name), each.type) for name, each in types.items()}


def _value(name: str, value: Any, kind: pa.DataType) -> pa.Array:
    if name == "id" and value is not None and not isinstance(value, str):
        value = json.dumps(value)
    try:
        return _exact(value, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        raise _Unfit("WrongType", f"column {name} holds {kind}, and not what the repaired record has") from None


def _exact(value: Any, kind: pa.DataType) -> pa.Array:
    """The value as that type, or an error where it would become another one."""
    if value is None:
        return pa.nulls(1, kind)
    if _has_bytes(kind) or _has_others(value, kind) or isinstance(value, bool) != pa.types.is_boolean(kind):
        # JSON has no bytes: what the quarantine shows of them is not what they were. Of objects Arrow drops what it does not know.
        raise ValueError
    try:
        # By way of the value's own type: made as an integer at once, 1.5 would become 1.
        return pa.array([value]).cast(kind)
    except pa.ArrowException:
        found = pa.array([value], kind)
        if found[0].as_py() != value:
            raise
        return found


def _has_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_nested(kind):
        return any(_has_bytes(kind.field(place).type) for place in range(kind.num_fields))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _has_others(value: Any, kind: pa.DataType) -> bool:
    """Whether an object in the value has a field that the type has not."""
    if isinstance(value, dict) and pa.types.is_struct(kind):
        known = {field.name: field.type for field in kind}
        return any(name not in known or _has_others(each, known[name]) for name, each in value.items())
    return (
        isinstance(value, list) and hasattr(kind, "value_type") and any(_has_others(e, kind.value_type) for e in value)
    )
