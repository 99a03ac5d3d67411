"""Repaired records take the places of bad ones while a shard is read, so that all steps see them as any other record.

A place is where the quarantine says that a record came from: a line of a file, or a record's id. Lines of a file count
only as long as the file is what it was. A repaired record may itself be repaired again, by the id that it has since.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from headrace.api.data_pipeline import Source
from headrace.api.quarantine_line import RECORD, QuarantineLine
from headrace_workers.data.remaking import Repaired, remade
from headrace_workers.data.repairs import Repairs
from headrace_workers.data.sources.shard import Batch, Shard


@dataclass
class Replaced:
    """What was done: the lines that took a bad record's place, as often as each did, and how many records of the source that were."""

    sources: list[str] = field(default_factory=list)
    records: int = 0


def replaced(
    batches: Iterable[Batch], source: Source, shard: Shard, repairs: Repairs, done: Replaced
) -> Iterator[Batch]:
    """The batches with repaired records in the places of bad ones, after the others of their batch."""
    lines = {name: line for name, line in repairs.lines.items() if not _is_outdated(line, shard)}
    for batch in batches:
        left, taken = _split(batch, lines)
        done.records += len(taken)
        if not taken:
            yield batch
            continue
        yield left
        while taken:
            done.sources.extend(each.line.source for each in taken)
            # Each line is used once for one record: a chain of repairs of repaired ones ends.
            lines_left = {name: line for name, line in lines.items() if name not in done.sources}
            made = remade(source, shard, batch.table.schema, taken)
            left, taken = _split(made, lines_left)
            if left.records:
                yield left


def _is_outdated(line: QuarantineLine, shard: Shard) -> bool:
    """Whether the line names a place of this file, and the file has changed since."""
    of_file = line.source.startswith((f"file {shard.name} line ", f"{RECORD}{shard.name}:"))
    return bool(of_file and line.version and line.version != shard.version)


def _split(batch: Batch, lines: dict[str, QuarantineLine]) -> tuple[Batch, list[Repaired]]:
    """What stays of a batch, and what is to take the places of the rest."""
    taken = [Repaired(_id_of(bad.position), lines[bad.position]) for bad in batch.bad if bad.position in lines]
    bad = tuple(each for each in batch.bad if each.position not in lines)
    ids = [name.removeprefix(RECORD) for name in lines if name.startswith(RECORD)]
    hit = pc.is_in(batch.table["id"], value_set=pa.array(ids, pa.string()))
    if not pc.any(hit).as_py():
        return Batch(batch.table, bad), taken
    names = batch.table["id"].filter(hit).to_pylist()
    taken += [Repaired(name, lines[RECORD + name]) for name in names]
    return Batch(batch.table.filter(pc.invert(hit)), bad), taken


def _id_of(position: str) -> str:
    """The id that a record has which gives itself none: `file a.csv line 7` is a.csv:7."""
    if position.startswith(RECORD):
        return position.removeprefix(RECORD)
    name, _, number = position.removeprefix("file ").rpartition(" line ")
    return f"{name}:{number}"
