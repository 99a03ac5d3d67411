"""Records of the quarantine that somebody has repaired, as a pipeline declares them, checked before anything is read.

A line that cannot be right, or that names the same place as another with another record, fails the run with its place:
which of two a person meant is not for us to guess. What is said of them has the form of no private data: lines that people
write may name records as no quarantine would.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import fsspec

from headrace.api.data_pipeline import DataPipelineSpec, FileFormat, Files, Source
from headrace.api.quarantine_line import NotALine, QuarantineLine, digest, hidden_words, numbered, parsed
from headrace.api.run_report import Replay
from headrace_workers.data.privacy import quiet
from headrace_workers.data.sources import files
from headrace_workers.data.sources.shard import Shard
from headrace_workers.faults import RunFault

FIELD = "quarantine.repaired"
MOST_NAMED = 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Repairs:
    """Repaired records by where they came from."""

    lines: Mapping[str, QuarantineLine] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Equal for the same records of the same places; empty for none."""
        return (
            digest(sorted((name, line.digest, line.version) for name, line in self.lines.items())) if self.lines else ""
        )

    def to_bytes(self) -> bytes:
        """All of them, as JSON lines."""
        return b"".join(line.model_dump_json(exclude_defaults=True).encode() + b"\n" for line in self.lines.values())

    @classmethod
    def from_bytes(cls, data: bytes) -> "Repairs":
        """What `to_bytes` wrote."""
        found = (QuarantineLine.model_validate(json.loads(line)) for line in data.splitlines())
        return cls({line.source: line for line in found})


def declared(spec: DataPipelineSpec) -> Repairs:
    """What the spec declares; RunFault if a line is none, hides a value still, or contradicts another."""
    if spec.quarantine.repaired is None:
        return Repairs()
    uri = spec.quarantine.repaired.uri
    found: dict[str, QuarantineLine] = {}
    places: dict[str, str] = {}
    shards = listed(uri)
    if not shards:
        raise RunFault(
            "RepairsNotFound", f"{FIELD}.uri {uri} has no files; put repaired records there, or remove the field"
        )
    for shard in shards:
        for number, text in texts(shard):
            place = f"{FIELD} file {shard.name} line {number}"
            line = _parsed(text, place)
            earlier = found.setdefault(line.source, line)
            if earlier.digest != line.digest:
                raise RunFault(
                    "RepairsContradict",
                    quiet(
                        f"{place} and {places[line.source]} repair {line.source} in different ways; keep one of them"
                    ),
                )
            places.setdefault(line.source, place.removeprefix(f"{FIELD} "))
    return Repairs(found)


def replayed(repairs: Repairs, taken: Sequence[str]) -> Replay | None:
    """What became of them, once all is read, of the places that they took; RunFault if one took several. None for none."""
    if not repairs.lines:
        return None
    counted = Counter(taken)
    twice = next((name for name in sorted(counted) if counted[name] > 1), None)
    if twice:
        raise RunFault(
            "RepairsAmbiguous",
            f"{FIELD}: the source has {counted[twice]} records that are called {quiet(twice)}, so that nobody can tell which one is repaired; "
            f"take it out of the repaired records, or give the source's records ids of their own",
        )
    left = [name for name in repairs.lines if name not in counted]
    for name in left[:MOST_NAMED]:
        logger.warning("the repaired record of %s took no place", quiet(name))
    problem = (
        f"{quiet(left[0])} is not in the source, or its file has changed since it was quarantined; repair what is in the quarantine now"
        if left
        else ""
    )
    return Replay(given=len(repairs.lines), refused=len(left), problem=problem[:512])


def listed(uri: str) -> tuple[Shard, ...]:
    """The files behind the address, in the order of their names; none if there are none."""
    try:
        return tuple(files.shards(Source(files=Files(uri=uri, format=FileFormat.JSON_LINES))))
    except RunFault as fault:
        if fault.reason == "SourceNotFound":
            return ()
        raise


def texts(shard: Shard) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not empty, with their numbers."""
    with fsspec.open(shard.uri, "rb", compression="infer") as opened:
        yield from numbered(opened)


def _parsed(text: bytes, place: str) -> QuarantineLine:
    try:
        line = parsed(text)
    except NotALine as why:
        raise RunFault("RepairsMalformed", quiet(f"{place} {why}")) from None
    if line.still_hidden:
        raise RunFault("RepairsHidden", quiet(f"{place}: {hidden_words(line)}"))
    return line
