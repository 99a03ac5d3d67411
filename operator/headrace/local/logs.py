"""Where pods keep their files, and how much of it stays when they are gone: bounded in attempts and in bytes."""

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from headrace.api.meta import ObjectKey
from headrace.local.launch import TERMINATION_LOG, VOLUMES
from headrace.local.processes import LOG
from headrace.plan import labels
from headrace.plan.values import Raw

KEPT_ATTEMPTS = 5
LOG_BYTES_MAX = 64 * 2**20
LOG_BYTES_KEPT = 16 * 2**20
OLDER_LOG = "log.old"
PODS = "pods"
TERMINATION_MESSAGE_BYTES = 4096


def pod_folder(key: ObjectKey, metadata: Raw, uid: str) -> str:
    """The folder of a pod of an object, relative to the state folder: its object, its attempt, its name and UID."""
    own = metadata.get("labels") or {}
    if labels.ATTEMPT in own:
        attempt = f"run-{own.get(labels.RUN, '0')}-attempt-{own[labels.ATTEMPT]}"
    else:
        attempt = str(metadata["name"]).rpartition("-")[0] or str(metadata["name"])
    return f"{_object_folder(key)}/{attempt}/{metadata['name']}.{uid[:8]}"


def _object_folder(key: ObjectKey) -> str:
    return f"{PODS}/{key.kind}/{key.namespace}/{key.name}"


def log_paths(state_dir: Path, key: ObjectKey) -> list[tuple[str, Path]]:
    """The logs of an object's pods, those of the oldest attempt first, as (pod name, path); also of pods that are gone."""
    found = []
    for attempt in _attempts(state_dir / _object_folder(key)):
        found += [(path.parent.name.rpartition(".")[0], path) for path in sorted(attempt.glob(f"*/{LOG}"))]
    return found


def _attempts(folder: Path) -> list[Path]:
    """The folders of attempts, the oldest first."""
    return sorted(
        (path for path in folder.glob("*") if path.is_dir()), key=lambda path: (path.stat().st_mtime, path.name)
    )


def prune(state_dir: Path, key: ObjectKey, live: Collection[Path]) -> None:
    """Removes the folders of all but the newest attempts; those of pods that are there stay."""
    ended = [
        path
        for path in _attempts(state_dir / _object_folder(key))
        if not any(path in folder.parents for folder in live)
    ]
    for path in ended[:-KEPT_ATTEMPTS]:
        shutil.rmtree(path, ignore_errors=True)


def drop_volumes(folder: Path) -> None:
    """Removes what a pod had mounted; its log and how it ended stay."""
    shutil.rmtree(folder / VOLUMES, ignore_errors=True)


def read_termination_message(folder: Path) -> str:
    """What the pod wrote at its end; empty if nothing."""
    try:
        with (folder / TERMINATION_LOG).open("rb") as file:
            return file.read(TERMINATION_MESSAGE_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return ""


def last_line(folder: Path) -> str:
    """The last line that the pod wrote into its log, shortened."""
    path = folder / LOG
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 4096, 0))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def trim(folder: Path) -> None:
    """Keeps a log that has grown too long within bounds: its newest part moves aside, and it starts anew."""
    path = folder / LOG
    if not path.exists() or (size := path.stat().st_size) <= LOG_BYTES_MAX:
        return
    with path.open("rb") as file, (folder / OLDER_LOG).open("wb") as older:
        file.seek(size - LOG_BYTES_KEPT)
        shutil.copyfileobj(file, older)
    # The pod appends to the open file, so cutting it is all that can be done; lines written in between are lost.
    os.truncate(path, 0)
