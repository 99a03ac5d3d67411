"""Pieces of Python's own sources as a dataset version, made by a pipeline from a file to a table."""

import json
from pathlib import Path
from typing import Any

from headrace.api.artifacts import DatasetVersion
from headrace_workers.data import engine, sink
from headrace_workers.data.sources import python_source
from headrace_workers.data.spread import in_process
from headrace_workers.storage import Folder
from tests.workers.data.builders import identity, pipeline

PACKAGES = ("email", "multiprocessing", "xml")


def records(each: int = 150) -> list[dict[str, str]]:
    """As many records of each of three packages, with id, text and label."""
    found: list[dict[str, str]] = []
    for shard in python_source.shards():
        if shard.name in PACKAGES:
            (batch,) = python_source.read(shard)
            found += batch.table.select(["id", "text", "label"]).slice(0, each).to_pylist()
    return found


def texts_version(folder: Path, *before: dict[str, Any], each: int = 150, **tokenize: Any) -> DatasetVersion:
    """The table, its texts made tokens as `tokenize` says, after a split and the steps `before`."""
    source = folder / "texts.jsonl"
    source.write_text("".join(json.dumps(record) + "\n" for record in records(each)))
    steps = (
        {"split": {"trainFraction": 0.8}},
        *before,
        {"tokenize": {"vocabulary": 2000, "maxTokens": 64, **tokenize}},
    )
    plan = engine.planned(pipeline({"files": {"uri": f"file:{source}", "format": "JsonLines"}}, *steps))
    storage, uri = Folder(f"file:{folder}/pipeline"), f"file:{folder}/table"
    prepared = engine.prepare(plan, storage, in_process, lambda *_: None)
    prepared.preprocessing.save(storage.sub("artifacts"))
    made = sink.commit(uri, identity(), plan.key, prepared)
    return DatasetVersion(
        uri=uri, version=made.version, digest=made.digest, records=made.records.written, splits=made.splits,
        artifacts=storage.sub("artifacts").uri,
    )  # fmt: skip
