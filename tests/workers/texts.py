"""Texts for tests: a tokenizer of three words, and pieces of Python's own sources as a dataset version that a pipeline made."""

import json
from pathlib import Path
from typing import Any

from headrace.api.artifacts import DatasetVersion
from headrace.api.steps import Tokenize
from headrace_workers.data.sources import python_source
from headrace_workers.data.steps.vocabulary import Pieces, tokenizer_of
from headrace_workers.tokenizing import Tokenizing
from tests.workers.data.builders import pipeline, version_of

THREE_WORDS = "one two three"
PACKAGES = ("email", "multiprocessing", "xml")


def tokenizing(*, boundaries: bool = False, max_tokens: int = 3) -> Tokenizing:
    """Byte pairs of three words, each of which is one token."""
    settings = Tokenize(vocabulary=300, min_count=1)
    pieces = Pieces(settings)
    pieces.add(f"{THREE_WORDS} {THREE_WORDS}")
    tokenizer = tokenizer_of(pieces.counts(), settings)
    return Tokenizing(
        column="text", into="tokens", max_tokens=max_tokens, boundaries=boundaries,
        vocabulary=tokenizer.get_vocab_size(), tokenizer=tokenizer.to_str(),
    )  # fmt: skip


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
    return version_of(pipeline({"files": {"uri": f"file:{source}", "format": "JsonLines"}}, *steps), folder)
