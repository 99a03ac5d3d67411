"""Sound and images: a file is a record, of its name, what its name or its folder says, and its bytes as they are.

A task reads many of them: of a million small files, each a task of its own would take longer to start than to read.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import fsspec
import pyarrow as pa

from headrace.api.data_pipeline import FileFormat, Files
from headrace_workers.data.quarantine import BadRecord
from headrace_workers.data.sources.shard import Batch, Shard
from headrace_workers.faults import RunFault
from headrace_workers.media import forms
from headrace_workers.media.undecodable import Undecodable

SHARD_FILES = 64
SHARD_BYTES = 32 << 20
BATCH_BYTES = 8 << 20
MOST_BYTES = 256 << 20
"""A file is held whole, beside what is decoded of it."""
READ_BYTES = 1 << 20

LABEL = "label"
REQUIRED = {FileFormat.AUDIO: forms.require_sound, FileFormat.IMAGE: forms.require_image}
NAME = re.compile(r"\{(\w+)\}")


def grouped(listed: Sequence[Shard]) -> tuple[Shard, ...]:
    """The files, so many at a time that a task is worth its start, in the same order."""
    groups: list[list[Shard]] = []
    size = 0
    for file in listed:
        if not groups or len(groups[-1]) == SHARD_FILES or size + file.size_bytes > SHARD_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(file)
        size += file.size_bytes
    return tuple(_shard(group) for group in groups)


def read(files: Files, shard: Shard) -> Iterator[Batch]:
    """Batches of id, file, label (or what `naming` names) and content; a file that is none of the format is bad."""
    pattern = naming_pattern(files.naming)
    rows: list[dict[str, Any]] = []
    bad: list[BadRecord] = []
    size = 0
    for part in shard.parts:
        name = _shown(part.name)
        named = {"id": name, "file": name, **dict.fromkeys(_columns(files))}
        try:
            named |= _named(part, files, pattern)
            content = _content(part)
            REQUIRED[files.format](content)
        except Undecodable as error:
            # Said as steps say it, so that a pipeline that hides values hides those in names of files.
            bad.append(BadRecord("source", error.code, f"the file {error}", f"record {name}", named))
            continue
        rows.append({**named, "content": content})
        size += len(content)
        if size >= BATCH_BYTES:
            yield Batch(_table(rows, files), tuple(bad))
            rows, bad, size = [], [], 0
    if rows or bad:
        yield Batch(_table(rows, files), tuple(bad))


def digest(shard: Shard) -> str:
    """The SHA-256 of the files' names and bytes."""
    hashed = hashlib.sha256()
    for part in shard.parts:
        hashed.update(f"{_shown(part.name)}\0{part.size_bytes}\0".encode())
        with fsspec.open(part.uri, "rb") as opened:
            while block := opened.read(READ_BYTES):
                hashed.update(block)
    return hashed.hexdigest()


def naming_pattern(naming: str | None) -> re.Pattern[str] | None:
    """What the end of a file's address matches; RunFault if a column is named twice."""
    if naming is None:
        return None
    first, *pieces = NAME.split(naming)
    names, after = pieces[::2], [re.escape(each) for each in pieces[1::2]]
    if len(set(names)) < len(names):
        raise RunFault("WrongSettings", f"source.files.naming {naming} names a column twice; give each its own name")
    # {voice}-{take} divides at the first dash and is never divided anew, which may take years with many names.
    divided = [f"(?>(?P<{name}>[^/]+?){text})" for name, text in zip(names[:-1], after[:-1], strict=True)]
    return re.compile(f"(?:.*/)?{re.escape(first)}{''.join(divided)}(?P<{names[-1]}>[^/]+?){after[-1]}", re.DOTALL)


def _shown(name: str) -> str:
    """The name as text can have it: a file system may hold any bytes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _columns(files: Files) -> list[str]:
    return NAME.findall(files.naming) if files.naming else [LABEL]


def _named(part: Shard, files: Files, pattern: re.Pattern[str] | None) -> Mapping[str, str]:
    if _shown(part.uri) != part.uri:
        raise Undecodable("WrongName", "has a name that is not UTF-8")
    if pattern is None:
        return {LABEL: part.uri.rpartition("/")[0].rpartition("/")[2]}
    found = pattern.fullmatch(part.uri)
    if found is None:
        raise Undecodable("WrongName", f"is not named as source.files.naming {files.naming} says")
    return found.groupdict()


def _content(part: Shard) -> bytes:
    if part.size_bytes > MOST_BYTES:
        raise Undecodable("TooLarge", f"has {part.size_bytes} bytes, more than the {MOST_BYTES} that are read whole")
    with fsspec.open(part.uri, "rb") as opened:
        content: bytes = opened.read()
    return content


def _table(rows: Sequence[Mapping[str, Any]], files: Files) -> pa.Table:
    texts = [pa.field(name, pa.string()) for name in ("id", "file", *_columns(files))]
    return pa.Table.from_pylist(list(rows), schema=pa.schema([*texts, pa.field("content", pa.binary())]))


def _shard(group: Sequence[Shard]) -> Shard:
    hashed = hashlib.sha256()
    for part in group:
        hashed.update(f"{_shown(part.name)}\0{_shown(part.uri)}\0{part.size_bytes}\0{part.state}\0".encode())
    more = f" and {len(group) - 1} more" if len(group) > 1 else ""
    size = sum(part.size_bytes for part in group)
    return Shard(f"{_shown(group[0].name)}{more}", size_bytes=size, state=hashed.hexdigest(), parts=tuple(group))
