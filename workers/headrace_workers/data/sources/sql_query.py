"""A query of a database, read in ranges of a key: one shard a range, so that workers share it and a killed run goes on.

Ranges end at the greatest key there is when the run starts; what a range holds is what it held when it was read. The
database's address comes from a Secret, by the environment, and stands in no message.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from headrace.api import environment
from headrace.api.data_pipeline import Source, Sql
from headrace_workers.data.sources.columns import column_of_values
from headrace_workers.data.sources.identity import with_id
from headrace_workers.data.sources.shard import Batch, Shard
from headrace_workers.faults import RunFault

RANGE_ROWS = 50_000
"""So many rows are a shard, and more where many have the last one's key."""
BATCH_ROWS = 10_000
ROW_BYTES = 100
"""What a row is taken for where only the share that was read counts."""
MESSAGE_CHARACTERS = 300

Range = tuple[Any, Any]
"""Above the first key and up to the second; the first range has no first one."""


def shards(source: Source) -> Sequence[Shard]:
    """The ranges, in the order of the key; RunFault if there are no rows, or some have no key."""
    settings = source.sql
    assert settings
    with _connected(settings) as database:
        total, without = database.one("SELECT count(*), count(*) - count({key}) FROM {rows}")
        if without:
            raise RunFault(
                "KeyMissing",
                f"source.sql.key {settings.key} is missing in {without} of {total} rows, which would never be read; choose a key that each row has, or leave them out by the query",
            )
        last = database.one("SELECT max({key}) FROM {rows}")[0]
        if last is None:
            raise RunFault("EmptyDataset", "source.sql.query gives no rows; look at it, and at the table")
        ranges: list[Range] = []
        after: Any = None
        while after != last:
            found = database.first(
                "SELECT {key} FROM {rows} WHERE {within} ORDER BY {key} LIMIT 1 OFFSET :headrace_skipped",
                (after, last),
                headrace_skipped=RANGE_ROWS - 1,
            )
            to = last if found is None else found[0]
            ranges.append((after, to))
            after = to
    return tuple(
        Shard(f"sql-{number:06d}", size_bytes=RANGE_ROWS * ROW_BYTES, state=_written(each, settings))
        for number, each in enumerate(ranges)
    )


def read(source: Source, shard: Shard) -> Iterator[Batch]:
    """The range's rows, in the order of the key; where the query has no column id, the key is."""
    settings = source.sql
    assert settings
    with _connected(settings) as database:
        for names, rows in database.batches("SELECT * FROM {rows} WHERE {within} ORDER BY {key}", _range(shard)):
            values = dict(zip(names, zip(*rows, strict=True), strict=True))
            if settings.key not in values:
                raise RunFault(
                    "ColumnNotFound",
                    f"source.sql.key {settings.key} is no column of the query; name one of {', '.join(names)} as it is written there",
                )
            table = pa.table({name: column_of_values(list(column)) for name, column in values.items()})
            yield Batch(with_id(table, "sql", [str(key) for key in values[settings.key]]))


def digest(source: Source, shard: Shard) -> str:
    """The SHA-256 of the range's rows, which are read once more for it."""
    hashed = hashlib.sha256()
    settings = source.sql
    assert settings
    with _connected(settings) as database:
        for names, rows in database.batches("SELECT * FROM {rows} WHERE {within} ORDER BY {key}", _range(shard)):
            hashed.update(repr((names, sorted(map(repr, rows)))).encode())
    return hashed.hexdigest()


def _written(keys: Range, settings: Sql) -> str:
    return json.dumps([_encoded(key, settings) for key in keys])


def _encoded(key: Any, settings: Sql) -> Any:
    if isinstance(key, datetime | date):
        return {type(key).__name__: key.isoformat()}
    if key is None or isinstance(key, int | float | str):
        return key
    raise RunFault(
        "WrongColumnType",
        f"source.sql.key {settings.key} holds {type(key).__name__}; choose a key of whole numbers, text or times",
    )


def _range(shard: Shard) -> Range:
    low, high = (_decoded(key) for key in json.loads(shard.state))
    return low, high


def _decoded(key: Any) -> Any:
    if not isinstance(key, dict):
        return key
    ((kind, text),) = key.items()
    return {"datetime": datetime, "date": date}[kind].fromisoformat(text)


class _Database:
    """One connection, and the query as a table of rows."""

    def __init__(self, connection: Any, settings: Sql) -> None:
        quote = connection.dialect.identifier_preparer.quote
        self._connection = connection
        self._words = {"key": quote(settings.key), "rows": f"({settings.query.strip().rstrip(';')}) AS headrace_rows"}

    def one(self, statement: str) -> Any:
        return self._run(statement).one()

    def first(self, statement: str, within: Range, **values: Any) -> Any:
        return self._run(statement, within, **values).first()

    def batches(self, statement: str, within: Range) -> Iterator[tuple[list[str], list[Any]]]:
        result = self._run(statement, within)
        names = list(result.keys())
        for rows in result.partitions(BATCH_ROWS):
            yield names, [tuple(row) for row in rows]

    def _run(self, statement: str, within: Range = (None, None), **values: Any) -> Any:
        from sqlalchemy import text

        low, high = within
        words = "{key} <= :headrace_high" if low is None else "{key} > :headrace_low AND {key} <= :headrace_high"
        bounds = {name: value for name, value in (("headrace_low", low), ("headrace_high", high)) if value is not None}
        sql = statement.format(**self._words, within=words.format(**self._words))
        # A colon of the query itself is no parameter.
        return self._connection.execute(text(_with_colons(sql, (*bounds, *values))), {**bounds, **values})


def _with_colons(sql: str, names: Sequence[str]) -> str:
    escaped = sql.replace(":", "\\:")
    for name in names:
        escaped = escaped.replace(f"\\:{name}", f":{name}")
    return escaped


@contextmanager
def _connected(settings: Sql, environ: Mapping[str, str] = os.environ) -> Iterator[_Database]:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    address = environ.get(environment.SQL_URL, "").strip()
    secret = f"the key {settings.url.key} of the Secret {settings.url.name}"
    if not address:
        raise RunFault(
            "SecretMissing",
            f"source.sql.url: {secret} is not there; put the database's address into it (in local mode, into the variable {environment.SQL_URL} of the shell)",
        )
    try:
        # Rows are streamed where the driver can: a range is never in memory as a whole.
        engine = create_engine(address, execution_options={"stream_results": True, "max_row_buffer": BATCH_ROWS})
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise RunFault(
            "DriverMissing",
            f"source.sql.url: {secret} names a driver that the workers' image lacks ({getattr(error, 'name', None) or 'no such dialect'}); install it in an image of your own, pods.image",
        ) from None
    except ArgumentError:
        raise RunFault(
            "MalformedAddress",
            f"source.sql.url: {secret} holds no address such as postgresql+psycopg://user@host/database",
        ) from None
    try:
        with engine.connect() as connection:
            yield _Database(connection, settings)
            connection.rollback()
    except SQLAlchemyError as error:
        raise _fault(error, engine.url.password) from None
    finally:
        engine.dispose()


def _fault(error: Any, password: Any) -> RunFault:
    from sqlalchemy.exc import OperationalError

    cause = getattr(error, "orig", None) or error
    words = str(cause)[:MESSAGE_CHARACTERS]
    if password:
        words = words.replace(str(password), "[withheld]")
    return RunFault(
        "DatabaseFailed",
        f"source.sql: {type(cause).__name__}: {words}",
        retryable=isinstance(error, OperationalError),
    )
