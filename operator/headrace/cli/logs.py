"""`headrace logs`: what an object's pods wrote, once or as it is written, also of pods that are gone."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar

from headrace.api.meta import ObjectKey
from headrace.cli.errors import REFUSED, Sentence
from headrace.cli.references import find_key, spell
from headrace.cli.state import saved_logs, saved_objects
from headrace.plan import labels

LOOK_AGAIN_SECONDS = 0.3
CHUNK_BYTES = 64 * 1024

Log = TypeVar("Log")
Logs = Sequence[tuple[str, Log]]
"""(pod name, path or pod), the newest at the end."""


def show_logs(state_dir: Path, name: str, pod: str | None, *, follow: bool) -> None:
    """Prints the logs chosen; with `follow`, until interrupted."""
    key = find_key(name, [resource.key for resource in saved_objects(state_dir)])
    chosen = choose(saved_logs(state_dir, key), key, pod)
    if not chosen and not follow:
        raise Sentence(
            f"{spell(key)} has no log yet: no pod of it has started; `headrace status {spell(key)}` says why"
        )
    if not follow:
        for title, path in chosen.items():
            _copy(path, title, len(chosen) > 1)
        return
    follow_logs(lambda: choose(saved_logs(state_dir, key), key, pod))


def choose(logs: Logs[Log], key: ObjectKey, pod: str | None) -> Mapping[str, Log]:
    """The logs meant: of the pod named, else of the newest head, else of every pod; Sentence if there is no such pod."""
    if pod is not None:
        found = {name: path for name, path in logs if name == pod or name.endswith(f"-{pod}")}
        if not found and logs:
            raise Sentence(
                f"{spell(key)} has no pod {pod}; there are: {', '.join(dict.fromkeys(name for name, _ in logs))}",
                REFUSED,
            )
        return dict(list(found.items())[-1:])
    head = newest_head(logs)
    return {head[0]: head[1]} if head else dict(logs)


def newest_head(logs: Logs[Log]) -> tuple[str, Log] | None:
    """The log of the newest attempt's head; None where no pod is a head."""
    return next(((name, path) for name, path in reversed(logs) if name.endswith(f"-{labels.HEAD}")), None)


def main_log(logs: Logs[Path]) -> Path | None:
    """The one log to point at: the newest head's, else the newest."""
    head = newest_head(logs) or (logs[-1] if logs else None)
    return head[1] if head else None


def _copy(path: Path, title: str, prefixed: bool) -> None:
    with path.open("rb") as file:
        _pass_on(file, f"{title}: " if prefixed else "")


def _pass_on(file: BinaryIO, prefix: str) -> None:
    """Writes the whole lines from where the file stands; an unfinished last line waits, unless nothing prefixes it."""
    out = sys.stdout.buffer
    if not prefix:
        while chunk := file.read(CHUNK_BYTES):
            out.write(chunk)
    else:
        while (line := file.readline()).endswith(b"\n"):
            out.write(prefix.encode() + line)
        file.seek(-len(line), 1)
    sys.stdout.flush()


def follow_logs(
    find: Callable[[], Mapping[str, Path]], pause: Callable[[], None] = lambda: time.sleep(LOOK_AGAIN_SECONDS)
) -> None:
    """Goes on until interrupted, also when another attempt begins a new log."""
    opened: dict[Path, BinaryIO] = {}
    try:
        while True:
            chosen = find()
            for title, path in chosen.items():
                if path not in opened:
                    opened[path] = path.open("rb")
                if path.stat().st_size < opened[path].tell():
                    # The log had grown too long and was started anew.
                    opened[path].seek(0)
                _pass_on(opened[path], f"{title}: " if len(chosen) > 1 else "")
            pause()
    finally:
        for file in opened.values():
            file.close()
