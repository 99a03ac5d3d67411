"""Parquet to Parquet through normalizeText (lower case) and a filter by words: MB a second, beside pyarrow alone and Ray Data.

All use as many processes as there are cores, on the same files, one after the other in turns. Ours runs the tasks that
Ray's workers run, in a pool of processes: Ray is started once a run, which is told apart. pyarrow alone calls the same
kernels in a loop and keeps no account; Ray Data does stage by stage what a user of it would write.
"""

import importlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).parent))
from interval import Interval, Judge

from headrace.api.data_pipeline import DataPipelineSpec
from headrace.api.meta import Kind
from headrace.api.run_spec import RunIdentity
from headrace_workers.data import engine, sinks
from headrace_workers.storage import Folder

MEGABYTES, FILES, TURNS = 500, 16, 3
OF_RAY_DATA, OF_PYARROW = 3.0, 0.8
MIN_WORDS, VOCABULARY = 100, 50_000


def texts(folder: Path, megabytes: int, seed: int = 11) -> float:
    """Writes texts of 20 to 400 words, some of them in capitals; returns how many MB of text they are."""
    random = np.random.default_rng(seed)
    letters = [bytes(random.integers(97, 123, random.integers(2, 11)).tolist()).decode() for _ in range(VOCABULARY)]
    words = np.array([word.capitalize() if number % 7 == 0 else word for number, word in enumerate(letters)])
    folder.mkdir()
    size = 0
    for file in range(FILES):
        rows: list[str] = []
        held = 0
        while held < (megabytes << 20) / FILES:
            text = " ".join(words[random.integers(0, VOCABULARY, random.integers(20, 400))])
            rows.append(text)
            held += len(text)
        size += held
        pq.write_table(
            pa.table({"id": [f"{file}-{row}" for row in range(len(rows))], "text": rows}),
            folder / f"{file:02d}.parquet",
        )
    return size / 2**20


class Pool:
    """A spread over processes of this machine."""

    def __init__(self, processes: int) -> None:
        self._pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("forkserver"))
        list(self._pool.map(_warm, range(processes)))

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def __call__(self, function: Callable[[Any], Any], arguments: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        asked = {self._pool.submit(function, argument): index for index, argument in enumerate(arguments)}
        for done in as_completed(asked):
            yield asked[done], done.result()

    def alone(self, files: Sequence[Path], out: Path) -> int:
        """The floor: each file by one call."""
        out.mkdir()
        return sum(self._pool.map(clean, files, [out / file.name for file in files]))


def _warm(_: int) -> None:
    """Has each process import what its first task would."""
    importlib.import_module("headrace_workers.data.task")
    time.sleep(0.5)


def clean(source: Path, target: Path) -> int:
    """One file through pyarrow's kernels; returns how many rows are left."""
    rows, writer = 0, None
    for batch in pq.ParquetFile(source).iter_batches(65_536):
        text = pc.utf8_lower(pc.utf8_normalize(batch["text"], form="NFKC"))
        text = pc.utf8_trim(pc.replace_substring_regex(text, r"[\s\p{Z}]+", " "), " ")
        kept = pc.greater_equal(pc.list_value_length(pc.utf8_split_whitespace(text)), MIN_WORDS)
        table = pa.table({"id": batch["id"], "text": text}).filter(kept)
        writer = writer or pq.ParquetWriter(target, table.schema)
        writer.write_table(table)
        rows += table.num_rows
    if writer:
        writer.close()
    return rows


def ours(pool: Pool, folder: Path, scratch: Path) -> int:
    """Through the engine, to a committed version; returns how many rows are left."""
    spec = DataPipelineSpec.model_validate(
        {
            "source": {"files": {"uri": f"file:{folder}", "format": "Parquet"}},
            "steps": [{"normalizeText": {"lowercase": True}}, {"filter": {"minWords": MIN_WORDS}}],
            "sink": {"parquet": {}},
        }
    )
    identity = RunIdentity(
        kind=Kind.DATA_PIPELINE, namespace="default", name="texts", uid="uid", run=1, attempt=1, digest="d"
    )
    plan, uri = engine.planned(spec), f"file:{scratch}/table"
    table = sinks.table_folder(spec.sink, uri, identity, plan.key)
    prepared = engine.prepare(plan, Folder(f"file:{scratch}/store"), pool, lambda *_: None, table=table)
    return sinks.commit(spec.sink, uri, identity, plan.key, prepared).records.written


def ray_data(folder: Path, out: Path) -> tuple[float, float, int]:
    """Seconds that Ray Data took, those that Ray took to start, and how many rows are left."""
    script = Path(__file__).parent / "peer_ray_data.py"
    given = [sys.executable, str(script), str(folder), str(out), str(MIN_WORDS)]
    ended = subprocess.run(given, capture_output=True, text=True, check=True)
    told = json.loads(ended.stdout.strip().splitlines()[-1])
    return told["seconds"], told["start"], told["rows"]


def measure(judge: Judge, megabytes: int = MEGABYTES) -> None:
    """Prints the figures, and says which bound is missed."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder, Pool(os.cpu_count() or 1) as pool:
        scratch = Path(folder)
        size = texts(scratch / "texts", megabytes)
        files = sorted((scratch / "texts").iterdir())
        to_pyarrow, to_ray, rates = [], [], []
        # The first turn finds nothing of the files in memory, and is not counted.
        for turn in range(TURNS + 1):
            place = scratch / str(turn)
            place.mkdir()
            began = time.perf_counter()
            rows = ours(pool, scratch / "texts", place)
            mine = time.perf_counter() - began
            began = time.perf_counter()
            assert pool.alone(files, place / "floor") == rows
            floor = time.perf_counter() - began
            peer, start, theirs = ray_data(scratch / "texts", place / "ray")
            assert theirs == rows
            print(
                f"{size:.0f} MB of text: {size / mine:.0f} MB/s, pyarrow alone {size / floor:.0f}, Ray Data {size / peer:.0f} and {start:.1f} s to start Ray",
                flush=True,
            )
            if turn:
                rates.append(size / mine)
                to_pyarrow.append(floor / mine)
                to_ray.append(peer / mine)
        print(f"cleaning: {Interval.of(rates)} MB/s on {os.cpu_count()} cores", flush=True)
        judge.at_least("cleaning: of Ray Data's rate", Interval.of(to_ray), OF_RAY_DATA)
        judge.at_least("cleaning: of pyarrow's rate, one process a core", Interval.of(to_pyarrow), OF_PYARROW)
