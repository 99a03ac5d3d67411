"""hash: replaces values by pseudonyms, HMAC-SHA-256 (RFC 2104). Equal values stay equal, for joins and for split.

Whoever has the key can try values; whoever has not learns which are equal, and no more.
"""

import hmac
from collections.abc import Callable

import pyarrow as pa

from headrace.api.steps import Hash
from headrace_workers.data import keys
from headrace_workers.data.steps.step import Context, Outcome, with_column
from headrace_workers.data.steps.values import values_of

ALONE = Context("hash")
"""Where the step stands when it is called by itself."""


def apply(table: pa.Table, settings: Hash, context: Context = ALONE) -> Outcome:
    """The table with each value of the columns as 64 hexadecimal digits; missing values stay missing."""
    own = keys.derived(keys.read(settings.key, context.place), "hash")
    for column in settings.columns:
        values = values_of(table, column, context.place)
        pseudonyms = [None if value is None else pseudonym(value, own) for value in values]
        table = with_column(table, column, pa.array(pseudonyms, pa.string()))
    return Outcome(table)


def columns_of(settings: Hash) -> tuple[str, ...]:
    """The columns that hold what is private."""
    return settings.columns


def concealer(settings: Hash, context: Context = ALONE) -> Callable[[str, str, str], str]:
    """What makes of one value, of a column and a record, what the step makes of it."""
    own = keys.derived(keys.read(settings.key, context.place), "hash")
    return lambda value, _column, _record: pseudonym(value, own)


def pseudonym(value: str, key: bytes) -> str:
    """The pseudonym of a value under a key derived for hashing."""
    return hmac.digest(key, value.encode(), "sha256").hex()
