#!/usr/bin/env python3
"""Data-Juicer's deduplicator by MinHash on a file of JSON lines: prints its CPU seconds and what it kept. In its own environment."""

import json
import sys
from pathlib import Path

from cpu_seconds import cpu_seconds
from data_juicer.core.data import NestedDataset
from data_juicer.ops.deduplicator.document_minhash_deduplicator import DocumentMinhashDeduplicator


def main(source: str, target: str) -> None:
    began = cpu_seconds()
    with Path(source).open() as lines:
        dataset = NestedDataset.from_list([json.loads(line) for line in lines])
    deduplicator = DocumentMinhashDeduplicator(
        tokenization="space", window_size=3, lowercase=False, num_permutations=128, jaccard_threshold=0.8
    )
    kept, _ = deduplicator.process(dataset.map(deduplicator.compute_hash))
    kept.to_parquet(target)
    print(json.dumps({"seconds": cpu_seconds() - began, "kept": len(kept)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
