"""Real data that ships inside packages: no network, no files. Values are as measured; scaling is a step's work.

scikit-learn's files are read where they lie: importing it takes longer than everything that a small pipeline does.
"""

import gzip
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa

from headrace.api.data_pipeline import Sample, Source
from headrace_workers.data.images import shape_metadata
from headrace_workers.data.sources import python_source
from headrace_workers.data.sources.shard import Batch, Shard
from headrace_workers.faults import RunFault


@dataclass(frozen=True)
class _File:
    """A CSV file of numbers, the label last."""

    name: str
    prefix: str
    header_lines: int = 0
    shape: tuple[int, int] | None = None


FILES = {
    Sample.DIGITS: _File("digits.csv.gz", "digits", shape=(8, 8)),
    Sample.WINE: _File("wine_data.csv", "wine", header_lines=1),
    Sample.BREAST_CANCER: _File("breast_cancer.csv", "breast-cancer", header_lines=1),
}


def shards(source: Source) -> Sequence[Shard]:
    """One piece, as these sets are small; of Python's sources one a package."""
    if source.value.name is Sample.PYTHON_SOURCE:
        return python_source.shards()
    return (Shard(name=source.value.name.value, state=hashlib.sha256(_content(source.value.name)).hexdigest()),)


def read(source: Source, shard: Shard) -> Iterator[Batch]:
    """The piece as one batch: id, image or features (list of float32), label (int64); texts as python_source has them."""
    if source.value.name is Sample.PYTHON_SOURCE:
        yield from python_source.read(shard)
    else:
        yield Batch(table(source.value.name))


def digest(source: Source, shard: Shard) -> str:
    """The digest of the set's file, or files."""
    return shard.state


def table(name: Sample) -> pa.Table:
    """A set of scikit-learn as a table."""
    file = FILES[name]
    numbers = np.loadtxt(_content(name).decode().splitlines(), delimiter=",", skiprows=file.header_lines)
    values, labels = numbers[:, :-1].astype(np.float32), numbers[:, -1].astype(np.int64)
    rows, width = values.shape
    lists = pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32) * width, values.reshape(-1))
    column = (
        pa.field("image", lists.type, metadata=shape_metadata(file.shape))
        if file.shape
        else pa.field("features", lists.type)
    )
    schema = pa.schema([pa.field("id", pa.string()), column, pa.field("label", pa.int64())])
    return pa.Table.from_arrays(
        [pa.array([f"{file.prefix}-{row}" for row in range(rows)]), lists, pa.array(labels)], schema=schema
    )


def _content(name: Sample) -> bytes:
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise RunFault(
            "SourceNotFound",
            f"source.sample {name} ships inside scikit-learn, which this image lacks; install scikit-learn in it",
        )
    path = Path(package.submodule_search_locations[0]) / "datasets" / "data" / FILES[name].name
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content
