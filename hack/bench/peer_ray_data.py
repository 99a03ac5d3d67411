"""The peer of cleaning.py: the same by Ray Data, stage by stage. Arguments: folder, folder to write, fewest words."""

import json
import os
import sys
import time

import pyarrow as pa
import pyarrow.compute as pc
import ray
import ray.data


def lower(batch: pa.Table) -> pa.Table:
    text = pc.utf8_lower(pc.utf8_normalize(batch["text"], form="NFKC"))
    return batch.set_column(batch.schema.get_field_index("text"), "text", text)


def collapse(batch: pa.Table) -> pa.Table:
    text = pc.utf8_trim(pc.replace_substring_regex(batch["text"], r"[\s\p{Z}]+", " "), " ")
    return batch.set_column(batch.schema.get_field_index("text"), "text", text)


def main() -> None:
    folder, out, fewest = sys.argv[1], sys.argv[2], int(sys.argv[3])
    began = time.perf_counter()
    ray.init(num_cpus=os.cpu_count(), include_dashboard=False, log_to_driver=False, configure_logging=False)
    start = time.perf_counter() - began
    ray.data.DataContext.get_current().enable_progress_bars = False

    def long_enough(batch: pa.Table) -> pa.Table:
        return batch.filter(pc.greater_equal(pc.list_value_length(pc.utf8_split_whitespace(batch["text"])), fewest))

    began = time.perf_counter()
    rows = ray.data.read_parquet(folder)
    for stage in (lower, collapse, long_enough):
        rows = rows.map_batches(stage, batch_format="pyarrow")
    rows.write_parquet(out)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "start": start, "rows": ray.data.read_parquet(out).count()}))


if __name__ == "__main__":
    main()
