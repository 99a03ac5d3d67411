"""Manifests accepted or refused as a whole: every problem of every file is told before anything is done."""

import sys
from collections.abc import Sequence
from pathlib import Path

from headrace.api.manifest import Manifest, Problem
from headrace.api.objects import HeadraceObject
from headrace.cli.checks import check_texts
from headrace.cli.errors import REFUSED, Sentence
from headrace.cli.sources import read_texts
from headrace.cli.state import saved_objects
from headrace.cli.words import plural


def accept(files: Sequence[str], existing: Sequence[HeadraceObject]) -> list[Manifest]:
    """The manifests of all files; Sentence once all problems have been told on standard error."""
    manifests, problems = check_texts(read_texts(files), existing)
    refuse(files, manifests, problems)
    return manifests


def refuse(files: Sequence[str], manifests: Sequence[Manifest], problems: Sequence[Problem]) -> None:
    """Sentence where there are problems, which are told first, or no objects at all."""
    if problems:
        print(told(problems), file=sys.stderr)
        raise Sentence(f"{plural(len(problems), 'problem')}; nothing was done", REFUSED)
    if not manifests:
        raise Sentence(
            f"{', '.join(files)} holds no objects; write a DataPipeline, TrainJob, TuneJob or InferenceEndpoint",
            REFUSED,
        )


def validate_files(files: Sequence[str], state_dir: Path) -> str:
    """How many objects are valid; Sentence as for accept."""
    number = len(accept(files, saved_objects(state_dir)))
    return f"{plural(number, 'object')} {'is' if number == 1 else 'are'} valid"


def told(problems: Sequence[Problem]) -> str:
    """The problems, a line each: file:line: object: field: sentence."""
    return "\n".join(map(str, problems))
