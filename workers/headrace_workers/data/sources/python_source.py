"""Python's own standard library as text: pieces of its source files, labelled with the package that they come from.

Real text that is wherever this runs. Which files there are, and what they say, depends on the version of Python; a shard's
state and digest are of their content.
"""

import hashlib
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from headrace_workers.data.sources.shard import Batch, Shard
from headrace_workers.faults import RunFault

PACKAGES = ("asyncio", "email", "importlib", "multiprocessing", "unittest", "xml")
"""Those that are in every distribution of Python, with files enough to keep some apart for validation."""
LINES = 16
"""Lines of a record."""


def shards() -> Sequence[Shard]:
    """One shard a package; RunFault SourceNotFound where Python came without its sources."""
    return tuple(_shard(package) for package in PACKAGES)


def read(shard: Shard) -> Iterator[Batch]:
    """The package's records: id (file:line), file, text (16 lines or what is left of a file), label (the package)."""
    columns: dict[str, list[str]] = {"id": [], "file": [], "text": [], "label": []}
    for name, content in _files(shard.name):
        # Of bytes, as editors count lines: a text has other ends of lines, too.
        lines = content.splitlines(keepends=True)
        for start in range(0, len(lines), LINES):
            text = b"".join(lines[start : start + LINES]).decode()
            if text.strip():
                for column, value in zip(columns, (f"{name}:{start + 1}", name, text, shard.name), strict=True):
                    columns[column].append(value)
    yield Batch(pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}))


def _shard(package: str) -> Shard:
    hashed, size = hashlib.sha256(), 0
    for name, content in _files(package):
        hashed.update(f"{name}\0{len(content)}\0".encode() + content)
        size += len(content)
    return Shard(name=package, size_bytes=size, state=hashed.hexdigest())


def _files(package: str) -> list[tuple[str, bytes]]:
    """The package's source files but its tests, by their path inside the library."""
    library = Path(sysconfig.get_path("stdlib"))
    paths = sorted(path.relative_to(library) for path in (library / package).rglob("*.py"))
    found = [
        (path.as_posix(), (library / path).read_bytes()) for path in paths if not {"test", "tests"} & {*path.parts}
    ]
    if not found:
        raise RunFault(
            "SourceNotFound",
            f"source.sample PythonSource reads the package {package} of Python's standard library, whose sources are not in {library}; use an image that has them",
        )
    return found
