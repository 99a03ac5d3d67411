#!/usr/bin/env python3
"""Steps of data against floors and peers that are measured in the same run: redaction, near duplicates (near_duplicates.py), plain cleaning (cleaning.py), and memory (memory_bound.py).

10,000 rows by Faker in 23 locales, with cards, accounts, addresses and telephone numbers in known places among dates,
prices and numbers. The floors are one pass of Python's `re` for each kind, without any check, and, where a Python with it
is named by --presidio, Presidio's recognisers of patterns on a tenth of the rows. Exits with 1 when less than 0.99 of a kind is found, or
when redaction is slower than 5 MB a CPU second by more than a fifth.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent))
from cleaning import measure as cleaning_of_texts
from interval import Judge
from memory_bound import LIMIT_MEGABYTES
from memory_bound import measure as memory_bound
from near_duplicates import MEGABYTES, measure
from private_rows import KINDS, Row, rows
from verdict import Verdict

from headrace.api.steps import Redact
from headrace_workers.data.steps import redact

ROWS, SEED, TURNS = 10_000, 7, 5
LEAST_RECALL = 0.99
LEAST_SPEED = 5e6
PARTS = re.compile(r"\w{3,}")
KIND = re.compile(r"\[(?:" + "|".join((*KINDS, "private")) + r")\]")
FLOOR = [re.compile(pattern) for pattern in (
    r"[\w.+-]+@[\w-]+\.[\w.-]+", r"\b[A-Z]{2}\d{2}[A-Z0-9 ]{11,30}\b", r"\b\d(?:[ -]?\d){12,18}\b",
    r"\b(?:\d{1,3}\.){3}\d{1,3}\b|\b(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}\b", r"\+?\(?\d[\d ().-]{6,}\d",
)]  # fmt: skip

Redaction = Callable[[Sequence[str]], list[str]]


def step(*, bare_numbers: bool = False) -> Redaction:
    """The step, as a function of texts."""
    settings = Redact(entities=KINDS, bare_numbers=bare_numbers)
    return lambda texts: redact.apply(pa.table({"text": texts}), settings).table["text"].to_pylist()


def floor(texts: Sequence[str]) -> list[str]:
    """One pass of `re` for each kind, unchecked."""
    done = list(texts)
    for pattern in FLOOR:
        done = [pattern.sub("[private]", text) for text in done]
    return done


def speeds(ways: dict[str, Redaction], texts: Sequence[str]) -> dict[str, float]:
    """Bytes a CPU second of each way, the best of some turns that take turns."""
    size = sum(len(text.encode()) for text in texts)
    best = dict.fromkeys(ways, 0.0)
    for _ in range(TURNS):
        for name, way in ways.items():
            started = time.process_time()
            way(texts)
            best[name] = max(best[name], size / (time.process_time() - started))
    return best


def is_hidden(value: str, row: Row, text: str) -> bool:
    """Whether nothing of a value is left that the row does not have elsewhere: no three letters or digits in a row."""
    rest, text = row.text, KIND.sub("", text)
    for _, planted in row.planted:
        rest = rest.replace(planted, " ", 1)
    return not any(part in text and part not in rest for part in [value, *PARTS.findall(value)])


def judge_recall(what: str, given: Sequence[Row], texts: Sequence[str], *, least: float) -> bool:
    """Prints recall and precision of each kind; whether one recall is below the least."""
    planted, hidden, named = Counter(), Counter(), Counter()
    for row, text in zip(given, texts, strict=True):
        for kind, value in row.planted:
            planted[kind] += 1
            hidden[kind] += is_hidden(value, row, text)
        counts = Counter(kind for kind, _ in row.planted)
        named.update({kind: max(0, text.count(f"[{kind}]") - counts[kind]) for kind in KINDS})
    missed = False
    for kind in KINDS:
        recall = hidden[kind] / planted[kind]
        too_low = recall < least
        missed |= too_low
        precision = hidden[kind] / (hidden[kind] + named[kind])
        print(
            f"{'MISSED ' if too_low else ''}{what}, {kind}: recall {recall:.4f} of {planted[kind]}, at least {least:g}; precision {precision:.4f}",
            flush=True,
        )
    return missed


def presidio(python: str, given: Sequence[Row]) -> float:
    """Bytes a CPU second of Presidio's recognisers; prints their recall."""
    lines = "".join(json.dumps(row.text) + "\n" for row in given)
    script = Path(__file__).parent / "peer_presidio.py"
    ended = subprocess.run([python, script], input=lines, capture_output=True, text=True, check=True)
    told = json.loads(ended.stdout.splitlines()[-1])
    judge_recall("Presidio", given, told["texts"], least=0.0)
    return float(told["bytes_a_second"])


def main() -> int:
    """Measures, prints, and answers with the exit code."""
    parts: dict[str, Callable[[argparse.Namespace], bool]] = {
        "redaction": redaction,
        "near-duplicates": near_duplicates,
        "cleaning": cleaning,
        "memory": memory,
    }
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--presidio", metavar="PYTHON", help="a Python that has presidio-analyzer")
    arguments.add_argument(
        "--megabytes", type=int, default=MEGABYTES, help="of documents among which near duplicates are"
    )
    arguments.add_argument(
        "--limit-megabytes", type=int, default=LIMIT_MEGABYTES, help="of the pods that get five times as much input"
    )
    arguments.add_argument("--only", nargs="*", choices=parts, default=list(parts))
    given = arguments.parse_args()
    # A list: what is missed in one part keeps no other from being measured.
    missed = [part(given) for name, part in parts.items() if name in given.only]
    return int(any(missed))


def near_duplicates(given: argparse.Namespace) -> bool:
    """Whether a bound is missed."""
    judge = Judge()
    measure(judge, given.megabytes)
    return judge.missed


def cleaning(given: argparse.Namespace) -> bool:
    """Whether a bound is missed."""
    judge = Judge()
    cleaning_of_texts(judge)
    return judge.missed


def memory(given: argparse.Namespace) -> bool:
    """Whether a bound is missed."""
    judge = Judge()
    memory_bound(judge, given.limit_megabytes)
    return judge.missed


def redaction(given: argparse.Namespace) -> bool:
    """Whether a bound is missed."""
    called, bare = (rows(ROWS, SEED, called=each) for each in (True, False))
    plain = [re.sub(r"[\d@]", "x", row.text) for row in called]
    verdict = Verdict()
    verdict.missed |= judge_recall(
        "numbers called so", called, step()([row.text for row in called]), least=LEAST_RECALL
    )
    verdict.missed |= judge_recall(
        "bareNumbers", bare, step(bare_numbers=True)([row.text for row in bare]), least=LEAST_RECALL
    )
    judge_recall("not called so, without bareNumbers", bare, step()([row.text for row in bare]), least=0.0)
    found = speeds({"redact": step(), "floor": floor}, [row.text for row in called])
    for what, speed in {**found, "redact, of texts without any": speeds({"": step()}, plain)[""]}.items():
        print(f"{what}: {speed / 1e6:.2f} MB a CPU second", flush=True)
    verdict.judge("5 MB a CPU second beside redact", LEAST_SPEED / found["redact"], 1)
    verdict.judge("floor beside redact", found["floor"] / found["redact"], 1)
    if given.presidio:
        speed = presidio(given.presidio, called[: ROWS // 10])
        print(
            f"Presidio: {speed / 1e6:.3f} MB a CPU second; redact is {found['redact'] / speed:.1f} times as fast",
            flush=True,
        )
    return verdict.missed


if __name__ == "__main__":
    sys.exit(main())
