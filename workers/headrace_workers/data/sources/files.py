"""Files of one format behind a URI: a file, a folder, or a pattern with *. One shard a file, of sound and images one many."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO

import fsspec
from fsspec.core import url_to_fs

from headrace.api.data_pipeline import MEDIA, FileFormat, Source
from headrace_workers.data.sources import csv_file, json_lines_file, media_file, parquet_file, text_file
from headrace_workers.data.sources.shard import Batch, Shard
from headrace_workers.faults import RunFault

FORMATS: Mapping[FileFormat, Callable[[BinaryIO, str], Iterator[Batch]]] = {
    FileFormat.CSV: csv_file.read,
    FileFormat.JSON_LINES: json_lines_file.read,
    FileFormat.PARQUET: parquet_file.read,
    FileFormat.TEXT: text_file.read,
}

STATE_KEYS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "modificationTime")
"""Where fsspec's file systems say that a file changed."""


def shards(source: Source) -> Sequence[Shard]:
    """In the order of their names; hidden files and those whose names start with _ are not data."""
    media_file.naming_pattern(source.value.naming)
    file_system, path = url_to_fs(source.value.uri)
    if "*" in path:
        found, base = file_system.glob(path, detail=True), path.partition("*")[0].rpartition("/")[0]
    elif file_system.isdir(path):
        found, base = file_system.find(path, detail=True), path.rstrip("/")
    else:
        found, base = ({path: file_system.info(path)} if file_system.exists(path) else {}), path.rpartition("/")[0]
    listed = []
    for name in sorted(found):
        relative = name.removeprefix(base).lstrip("/")
        hidden = any(part.startswith((".", "_")) for part in relative.split("/"))
        if found[name]["type"] == "file" and not hidden:
            state = next((str(found[name][key]) for key in STATE_KEYS if key in found[name]), "")
            listed.append(Shard(relative, file_system.unstrip_protocol(name), int(found[name]["size"]), state))
    if not listed:
        raise RunFault(
            "SourceNotFound",
            f"source.files.uri {source.value.uri} has no files; check the address and that the run may read it",
        )
    return media_file.grouped(listed) if source.value.format in MEDIA else tuple(listed)


def read(source: Source, shard: Shard) -> Iterator[Batch]:
    """The file's records; a name that ends in .gz, .bz2, .xz or .zst is decompressed, but for sound and images."""
    if source.value.format in MEDIA:
        yield from media_file.read(source.value, shard)
        return
    compression = None if source.value.format is FileFormat.PARQUET else "infer"
    with fsspec.open(shard.uri, "rb", compression=compression) as opened:
        yield from FORMATS[source.value.format](opened, shard.name)


def have_one_schema(source: Source, listed: Sequence[Shard]) -> bool:
    """Whether all files say themselves, and the same, of which types their columns are."""
    if source.value.format is not FileFormat.PARQUET:
        return False
    first = parquet_file.schema_of(listed[0].uri)
    return first is not None and all(parquet_file.schema_of(shard.uri) == first for shard in listed[1:])


def digest(source: Source, shard: Shard) -> str:
    """The SHA-256 of the file's name and bytes."""
    if source.value.format in MEDIA:
        return media_file.digest(shard)
    hashed = hashlib.sha256(shard.name.encode() + b"\0")
    with fsspec.open(shard.uri, "rb") as opened:
        while block := opened.read(1 << 20):
            hashed.update(block)
    return hashed.hexdigest()
