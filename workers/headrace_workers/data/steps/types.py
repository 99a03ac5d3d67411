"""The types of columns that several files must agree on: no step of the API, but what stands before the first one.

Numbers in CSV are text until all files were seen: one file's `7` and another's `unknown` make a text column, in which
`007` must not have become 7. JSON and Parquet bring types of their own, which are only widened.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from headrace.api.data_pipeline import FileFormat
from headrace_workers.data.steps.step import Context, Decision, Outcome
from headrace_workers.faults import RunFault

ALONE = Context("source")
"""Where the step stands when it is called by itself."""

WHOLE = r"^-?(0|[1-9]\d{0,17})$"
FRACTION = r"^-?((0|[1-9]\d{0,17})(\.\d*)?|\.\d+)([eE][-+]?([12]?\d)?\d)?$"
TRUTH = r"^(true|false|True|False|TRUE|FALSE)$"


def measure(table: pa.Table, settings: FileFormat, context: Context = ALONE) -> pa.Table:
    """One row: the narrowest schema that holds the batch."""
    narrow = table.schema
    if settings is FileFormat.CSV:
        narrow = pa.schema(
            [
                field if field.name == "id" else pa.field(field.name, narrowest(table[field.name]))
                for field in table.schema
            ]
        )
    return pa.table({"schema": pa.array([narrow.serialize().to_pybytes()], pa.binary())})


def narrowest(text: pa.ChunkedArray) -> pa.DataType:
    """The narrowest type that holds all the texts without changing what they say."""
    if text.null_count == len(text):
        return pa.null()

    def all_match(pattern: str) -> bool:
        return bool(pc.all(pc.match_substring_regex(text, pattern)).as_py())

    if all_match(WHOLE):
        return pa.int64()
    if all_match(FRACTION):
        return pa.float64()
    return pa.bool_() if all_match(TRUTH) else pa.string()


def decide(measured: Sequence[pa.Table], settings: FileFormat, context: Context = ALONE) -> Decision:
    """One schema for all: every column that any file has, of the narrowest type that holds all its values."""
    schemas = [pa.ipc.read_schema(pa.py_buffer(value)) for shard in measured for value in shard["schema"].to_pylist()]
    fields: dict[str, pa.Field] = {}
    for schema in schemas:
        for field in schema:
            fields[field.name] = _joined(fields.get(field.name), field)
    known = [
        pa.field(f.name, pa.string() if pa.types.is_null(f.type) else f.type, metadata=f.metadata)
        for f in fields.values()
    ]
    return Decision(tuple(pa.schema(known) for _ in measured))


def _joined(one: pa.Field | None, other: pa.Field) -> pa.Field:
    if one is None or pa.types.is_null(one.type):
        return other.with_nullable(True)
    if pa.types.is_null(other.type) or one.type == other.type:
        return one
    # Numbers and truth are both numbers to Arrow, but true must not become 1.
    if pa.types.is_boolean(one.type) == pa.types.is_boolean(other.type):
        try:
            return pa.unify_schemas([pa.schema([one]), pa.schema([other])], promote_options="permissive").field(0)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            pass
    if pa.types.is_nested(one.type) or pa.types.is_nested(other.type):
        raise RunFault(
            "MixedTypes",
            f"the column {one.name} holds {one.type} in one place of the source and {other.type} in another; make them one",
        )
    return pa.field(one.name, pa.string(), metadata=one.metadata)


def apply(
    table: pa.Table, settings: FileFormat, decision: pa.Schema, rows_before: int = 0, context: Context = ALONE
) -> Outcome:
    """The batch in the common schema; columns that its file lacks are missing values."""
    if table.schema.equals(decision, check_metadata=True):
        return Outcome(table)
    columns = []
    for field in decision:
        if field.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, field.type))
        elif pa.types.is_boolean(field.type) and pa.types.is_string(table[field.name].type):
            columns.append(pc.utf8_lower(table[field.name]).cast(pa.bool_()))
        else:
            columns.append(table[field.name].cast(field.type))
    return Outcome(pa.Table.from_arrays(columns, schema=decision))
