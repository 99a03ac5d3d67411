"""validate: sends records that break a rule to the quarantine, each with the first rule it broke.

A text column with a minimum or maximum becomes numbers: a text that is not one breaks the rule.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.api.steps import ColumnRule, Validate
from headrace_workers.data.quarantine import BadRecord
from headrace_workers.data.steps.numbers import is_list, is_number
from headrace_workers.data.steps.step import WITHHELD, Context, Outcome, column_of, records_of, with_column
from headrace_workers.faults import RunFault

ALONE = Context("validate")
"""Where the step stands when it is called by itself."""

NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"

Broken = dict[int, tuple[str, str]]
"""Code and message by row."""

Rules = dict[int, tuple[str, str, str]]
"""Column, code and message by row."""


def apply(table: pa.Table, settings: Validate, context: Context = ALONE) -> Outcome:
    """The records that obey every rule."""
    broken: Rules = {}
    checked = table
    for rule in settings.columns:
        column = column_of(table, rule.name, context.place).combine_chunks()
        found, column = _check(column, rule, context)
        broken = {row: (rule.name, *why) for row, why in found.items()} | broken
        checked = with_column(checked, rule.name, column)
    if not broken:
        return Outcome(checked)
    rows = sorted(broken)
    ids = table["id"].take(rows).to_pylist() if "id" in table.column_names else [f"row {row + 1}" for row in rows]
    records = records_of(table, rows)
    bad = tuple(
        BadRecord(context.place, code, message, f"record {key}", record, column)
        for (column, code, message), key, record in zip((broken[row] for row in rows), ids, records, strict=True)
    )
    kept = np.ones(table.num_rows, dtype=bool)
    kept[rows] = False
    return Outcome(checked.filter(pa.array(kept)), bad)


def _check(column: pa.Array, rule: ColumnRule, context: Context) -> tuple[Broken, pa.Array]:
    broken: Broken = {}
    bounded = rule.min is not None or rule.max is not None
    if bounded and (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        readable = pc.fill_null(pc.match_substring_regex(column, NUMBER), True)
        broken.update(
            _each(
                column,
                pc.invert(readable),
                "NotANumber",
                lambda value: f"column {rule.name} is {context.quoted(value)}, not a number",
            )
        )
        nothing = pa.scalar(None, column.type)
        column = pc.utf8_trim_whitespace(pc.if_else(readable, column, nothing)).cast(pa.float64())
    if rule.required:
        missing = pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))
        broken = {**_each(column, missing, "MissingValue", lambda _: f"column {rule.name} is missing"), **broken}
    for found in (
        _length(column, rule, context.place),
        _bounds(column, rule, context) if bounded else {},
        _allowed(column, rule, context),
    ):
        broken = {**found, **broken}
    return broken, column


def _each(column: pa.Array, mask: Any, code: str, message: Any) -> Broken:
    rows = np.flatnonzero(np.asarray(pc.fill_null(mask, False)))
    return {int(row): (code, message(column[int(row)].as_py())) for row in rows}


def _length(column: pa.Array, rule: ColumnRule, place: str) -> Broken:
    if rule.length is None:
        return {}
    if is_list(column.type):
        lengths = pc.list_value_length(column)
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        lengths = pc.utf8_length(column)
    else:
        raise RunFault(
            "WrongColumnType",
            f"{place} asks for a length of the column {rule.name}, which holds {column.type}; lists and texts have one",
        )
    return _each(
        column,
        pc.not_equal(lengths, rule.length),
        "WrongLength",
        lambda value: f"column {rule.name} has length {len(value)}, not {rule.length}",
    )


def _bounds(column: pa.Array, rule: ColumnRule, context: Context) -> Broken:
    lists = is_list(column.type)
    if not is_number(column.type.value_type if lists else column.type):
        raise RunFault(
            "WrongColumnType",
            f"{context.place} bounds the column {rule.name}, which holds {column.type}; numbers have bounds",
        )
    present = np.asarray(column.is_valid())
    values = (
        (pc.list_flatten(column) if lists else column.drop_null()).cast(pa.float64()).to_numpy(zero_copy_only=False)
    )
    low, high = -np.inf if rule.min is None else rule.min, np.inf if rule.max is None else rule.max
    # Said this way round, NaN is outside.
    outside = ~((values >= low) & (values <= high))
    if not outside.any():
        return {}
    rows = pc.list_parent_indices(column).to_numpy() if lists else np.flatnonzero(present)
    first = {int(row): float(value) for row, value in zip(rows[outside][::-1], values[outside][::-1], strict=True)}
    what = "an element of column" if lists else "column"
    return {
        row: (
            "OutOfRange",
            f"{what} {rule.name} is {WITHHELD if context.is_private else f'{value:g}'}, not within {low:g} to {high:g}",
        )
        for row, value in first.items()
    }


def _allowed(column: pa.Array, rule: ColumnRule, context: Context) -> Broken:
    if not rule.allowed:
        return {}
    known = pc.is_in(column.cast(pa.string()), pa.array(rule.allowed))
    outside = pc.and_(pc.invert(known), column.is_valid())
    return _each(
        column,
        outside,
        "NotAllowed",
        lambda value: f"column {rule.name} is {context.quoted(value)}, not one of {', '.join(rule.allowed[:10])}",
    )
