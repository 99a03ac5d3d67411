"""The names of children: functions of the owner's UID, the run, the attempt and the place, and of nothing else."""

import hashlib

from headrace.api.meta import ObjectMeta

KEPT = 30


def short_digest(text: str) -> str:
    """Six hexadecimal digits that tell one text from another."""
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def child_name(owner: ObjectMeta, place: str) -> str:
    """The name of a child that lives as long as its owner."""
    return f"{owner.name[:KEPT].rstrip('-')}-{short_digest(owner.uid)}-{place}"


def attempt_name(owner: ObjectMeta, run: int, attempt: int, place: str) -> str:
    """The name of a child of one attempt of one run."""
    return child_name(owner, f"r{run}a{attempt}-{place}")


def worker_place(index: int) -> str:
    """The place of a worker."""
    return f"worker-{index}"


def version_place(version: str) -> str:
    """The place of a model version's servers."""
    return f"v{short_digest(version)}"
