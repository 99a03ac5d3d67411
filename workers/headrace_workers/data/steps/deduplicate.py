"""deduplicate: keeps the first of equal or similar records, over all shards, in the order of the source."""

from collections.abc import Iterator, Sequence
from types import ModuleType

import numpy as np
import pyarrow as pa

from headrace.api.steps import Deduplicate
from headrace_workers.data.steps import equal_records, similar_texts
from headrace_workers.data.steps.step import Context, Decision, Outcome

ALONE = Context("deduplicate")
"""Where the step stands when it is called by itself."""


def _way(settings: Deduplicate) -> ModuleType:
    return equal_records if settings.exact else similar_texts


def measure(table: pa.Table, settings: Deduplicate, context: Context = ALONE) -> pa.Table:
    """One signature a record."""
    return pa.table({"signature": _way(settings).signatures(table, settings.value, context.place)})


def decide(measured: Sequence[pa.Table], settings: Deduplicate, context: Context = ALONE) -> Decision:
    """For each shard, which of its records are the first of their kind."""
    counts: list[int] = []

    def signatures() -> Iterator[pa.Array]:
        for shard in measured:
            counts.append(shard.num_rows)
            yield shard["signature"].combine_chunks()

    kept = _way(settings).first_of_each(signatures(), settings.value)
    return Decision(tuple(np.split(kept, np.cumsum(counts)[:-1])))


def apply(
    table: pa.Table, settings: Deduplicate, decision: np.ndarray, rows_before: int = 0, context: Context = ALONE
) -> Outcome:
    """The records that are the first of their kind."""
    kept = decision[rows_before : rows_before + table.num_rows]
    left = table if kept.all() else table.filter(pa.array(kept))
    return Outcome(left, duplicates=table.num_rows - left.num_rows)
