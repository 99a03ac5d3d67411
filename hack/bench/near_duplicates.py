"""Near duplicates among documents of random words, 30 % of them copies with a few words changed: MB a CPU second, beside peers.

The whole stage in one process, from JSON lines to a committed table, without Ray, which spreads such stages over workers.
Data-Juicer and datatrove do the same with as much of it as they finish in a minute, each in a virtual environment of its own.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).parent))
from interval import Interval, Judge

from headrace.api.data_pipeline import DataPipelineSpec
from headrace.api.meta import Kind
from headrace.api.run_spec import RunIdentity
from headrace_workers.data import engine, sink
from headrace_workers.data.spread import in_process
from headrace_workers.storage import Folder

MEGABYTES = 1024
RATE, OF_DATA_JUICER, OF_DATATROVE, COUNT = 15.0, 15.0, 40.0, 0.001
COPIES = 0.3
VOCABULARY = 50_000
FILES = 16
RECENT = 20_000
PEER_SECONDS = 600
PEERS = {
    "Data-Juicer": ("peer_data_juicer.py", ["py-data-juicer", "spacy", "aiohttp"], 16),
    "datatrove": ("peer_datatrove.py", ["datatrove[processing]", "spacy", "orjson"], 8),
}
"""Its script, what is installed for it (what its own package lacks included), and the MB that it is given."""


@dataclass(frozen=True)
class Documents:
    """What was written, and how many of the documents are no copies."""

    folder: Path
    megabytes: float
    written: int
    originals: int


def documents(folder: Path, megabytes: int, seed: int = 7, files: int = FILES) -> Documents:
    """Writes documents of 150 to 700 words, whose frequencies fall as in a language."""
    random = np.random.default_rng(seed)
    letters = [random.integers(97, 123, random.integers(2, 11)) for _ in range(VOCABULARY)]
    words = [bytes(each.tolist()).decode() for each in letters]
    frequencies = np.cumsum(1 / np.arange(1, VOCABULARY + 1) ** 0.9)

    def draw(count: int) -> np.ndarray:
        return np.searchsorted(frequencies, random.random(count) * frequencies[-1])

    recent: list[np.ndarray] = []
    size, copies, number = 0, 0, 0
    folder.mkdir()
    opened = [(folder / f"{name:03d}.jsonl").open("w") for name in range(files)]
    for number in itertools.count():
        if size >= megabytes << 20:
            break
        if recent and random.random() < COPIES:
            document = recent[random.integers(len(recent))].copy()
            changed = max(1, len(document) // 200)
            document[random.integers(0, len(document), changed)] = draw(changed)
            copies += 1
        else:
            document = draw(int(random.integers(150, 700)))
            recent.append(document)
            del recent[:-RECENT]
        line = json.dumps({"text": " ".join(words[word] for word in document)}) + "\n"
        opened[number % files].write(line)
        size += len(line)
    for each in opened:
        each.close()
    return Documents(folder, size / 2**20, number, number - copies)


def ours(given: Documents, scratch: Path) -> tuple[float, int]:
    """CPU seconds and records kept, from files to the table's commit."""
    spec = DataPipelineSpec.model_validate(
        {
            "source": {"files": {"uri": f"file:{given.folder}", "format": "JsonLines"}},
            "steps": [{"deduplicate": {"near": {"threshold": 0.8}}}],
            "sink": {"delta": {}},
        }
    )
    identity = RunIdentity(
        kind=Kind.DATA_PIPELINE, namespace="default", name="documents", uid="uid", run=1, attempt=1, digest="d"
    )
    began = time.process_time()
    plan = engine.planned(spec)
    prepared = engine.prepare(plan, Folder(f"file:{scratch}/store"), in_process, lambda *_: None)
    done = sink.commit(f"file:{scratch}/table", identity, plan.key, prepared)
    return time.process_time() - began, done.records.written


def peer(name: str, scratch: Path) -> tuple[float, float] | None:
    """MB a CPU second, and what it kept of what is no copy; none if it cannot be installed or does not end."""
    script, packages, megabytes = PEERS[name]
    cache = Path(os.environ.get("HEADRACE_CACHE", Path.home() / ".cache" / "headrace")) / "peers" / name.lower()
    python = cache / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", cache], check=True)
        installed = subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=False)
        if installed.returncode:
            print(f"{name} cannot be installed: no comparison", flush=True)
            return None
    given = documents(scratch / name, megabytes, files=1)
    command = [python, Path(__file__).parent / script, given.folder / "000.jsonl", scratch / f"{name}-out"]
    try:
        answer = subprocess.run(command, check=False, timeout=PEER_SECONDS, capture_output=True, text=True)
    except subprocess.TimeoutExpired:
        print(f"{name} did not end {megabytes} MB within {PEER_SECONDS} s: no comparison", flush=True)
        return None
    if answer.returncode:
        print(f"{name} failed: no comparison; {answer.stderr.strip()[-300:]}", flush=True)
        return None
    found = json.loads(answer.stdout.strip().splitlines()[-1])
    return given.megabytes / found["seconds"], found["kept"] / given.originals


def measure(judge: Judge, megabytes: int) -> None:
    """Prints the figures beside the peers', and says which bound is missed."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        scratch = Path(folder)
        given = documents(scratch / "documents", megabytes)
        print(f"{given.written:,} documents, {given.megabytes:.0f} MB, {given.originals:,} no copies", flush=True)
        seconds, kept = ours(given, scratch)
        rate = given.megabytes / seconds
        judge.at_least("near duplicates: MB a CPU second", Interval(rate, 0.0), RATE)
        off = abs(kept - given.originals) / given.originals
        judge.at_most("near duplicates: records kept, off the truth", Interval(off, 0.0), COUNT)
        for name, bound in (("Data-Juicer", OF_DATA_JUICER), ("datatrove", OF_DATATROVE)):
            if found := peer(name, scratch):
                print(f"{name}: {found[0]:.2f} MB a CPU second, kept {found[1]:.4f} of what is no copy", flush=True)
                judge.at_least(f"near duplicates: of {name}'s rate", Interval(rate / found[0], 0.0), bound)
