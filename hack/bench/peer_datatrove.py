#!/usr/bin/env python3
"""datatrove's four steps of deduplication by MinHash on a file of JSON lines: prints its CPU seconds and what it kept. In its own environment."""

import itertools
import json
import sys
from pathlib import Path

from cpu_seconds import cpu_seconds
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.hashing import HashConfig

BANDS, ROWS = 25, 5
"""As ours for a threshold of 0.8 and 128 permutations."""


def main(source: str, target: str) -> None:
    numbers = itertools.count()

    def run(*steps: object, tasks: int = 1) -> None:
        # A folder for each: it skips what the logs say is done.
        logs = f"{target}/logs{next(numbers)}"
        LocalPipelineExecutor(pipeline=list(steps), tasks=tasks, workers=1, logging_dir=logs).run()

    began = cpu_seconds()
    config = MinhashConfig(hash_config=HashConfig(precision=64), num_buckets=BANDS, hashes_per_bucket=ROWS, n_grams=3)
    reader = JsonlReader(str(Path(source).parent), glob_pattern=Path(source).name)
    run(reader, MinhashDedupSignature(output_folder=f"{target}/signatures", config=config))
    buckets = MinhashDedupBuckets(f"{target}/signatures", f"{target}/buckets", config=config)
    run(buckets, tasks=BANDS)
    run(MinhashDedupCluster(f"{target}/buckets", f"{target}/remove", config=config))
    run(reader, MinhashDedupFilter(f"{target}/remove"), JsonlWriter(f"{target}/kept", compression=None))
    kept = sum(len(path.read_text().splitlines()) for path in Path(target, "kept").iterdir())
    print(json.dumps({"seconds": cpu_seconds() - began, "kept": kept}))


if __name__ == "__main__":
    main(*sys.argv[1:])
