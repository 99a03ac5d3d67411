"""What a pipeline's spec asks for, as a list of works, checked before anything is read; and what identifies it.

Whatever this version cannot do is refused here, with the step's place, rather than after an hour of reading.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from typing import Any

from headrace.api.data_pipeline import MEDIA, DataPipelineSpec, FileFormat
from headrace.api.steps import Entity, Step
from headrace_workers.data.sources.shard import Shard
from headrace_workers.data.steps import BARRIERS, MAPS, PRIVATE, REWRITING
from headrace_workers.data.steps.step import Context
from headrace_workers.faults import RunFault

TYPES = "types"
EVENT_TIME = "event_time"
SHARED = (
    "media/forms.py",
    "media/image.py",
    "media/sound.py",
    "media/sound_features.py",
    "media/whole.py",
    "normalizing.py",
    "preprocessing.py",
    "tokenizing.py",
)
"""Code outside of this package that the result depends on."""
CHANGES_ROWS = ("validate_", "filter", "deduplicate", "split", "decode_sound", "decode_image")


@dataclass(frozen=True)
class Work:
    """One thing to do to all records: a step of the spec, or what a source needs before them."""

    name: str
    settings: Any
    context: Context
    of_windows: bool = False
    """Whether its records are rows of windows."""

    @property
    def hides(self) -> bool:
        """Whether it hides values."""
        return self.name in PRIVATE

    @property
    def rewrites(self) -> bool:
        """Whether it hides values, or brings them into the form in which they are found."""
        return self.name in REWRITING

    @property
    def is_barrier(self) -> bool:
        """Whether all records must be seen before the first can be treated."""
        return self.name in BARRIERS


def works(spec: DataPipelineSpec, *, typed: bool = False) -> tuple[Work, ...]:
    """The spec's works in order; RunFault NotSupported or StepOrder for what cannot be done.

    Where the source's columns are `typed` already, nothing has to be read to find that out.
    """
    is_private = any(step.chosen in PRIVATE for step in spec.steps)
    steps = tuple(_work(index, step, spec, is_private) for index, step in enumerate(spec.steps))
    _require_order(steps)
    _require_sound(steps)
    _require_text(steps)
    window = next((place for place, work in enumerate(steps) if work.name == "window"), len(steps))
    steps = tuple(replace(work, of_windows=place > window) for place, work in enumerate(steps))
    typing = () if typed else _typing(spec, is_private)
    return (*typing, *_timing(spec, is_private), *steps)


def _typing(spec: DataPipelineSpec, is_private: bool) -> tuple[Work, ...]:
    files = spec.source.files
    # A database's rows are typed like JSON's: each range may know a column by missing values alone.
    kind = FileFormat.JSON_LINES if spec.source.sql else files.format if files else FileFormat.TEXT
    if kind in (FileFormat.TEXT, *MEDIA):
        return ()
    return (Work(TYPES, kind, Context("source", spec.seed, is_private)),)


def _timing(spec: DataPipelineSpec, is_private: bool) -> tuple[Work, ...]:
    if spec.event_time is None:
        return ()
    return (Work(EVENT_TIME, spec.event_time, Context("eventTime", spec.seed, is_private)),)


def _work(index: int, step: Step, spec: DataPipelineSpec, is_private: bool) -> Work:
    name = step.chosen
    spelled = type(step).model_fields[name].alias or name
    place = f"steps[{index}].{spelled}"
    missing = name not in MAPS and name not in BARRIERS
    if name == "augment" and step.value.text and step.value.text.synonyms:
        place, missing = f"{place}.text.synonyms", True
    if name == "redact" and Entity.PERSON in step.value.entities:
        place, missing = f"{place}.entities Person", True
    if missing:
        raise RunFault("NotSupported", f"{place} is not available in this version; remove it from the pipeline's steps")
    column = spec.event_time.column if spec.event_time else ""
    return Work(name, step.value, Context(place, spec.seed, is_private, column))


def _require_order(steps: Sequence[Work]) -> None:
    altered = next((work for work in steps if work.name == "augment"), None)
    late = [work for work in steps[steps.index(altered) + 1 :] if work.name in CHANGES_ROWS] if altered else []
    if altered and late:
        # Copies are no source records: dropping one would break the account, splitting one would leak its original.
        raise RunFault(
            "StepOrder",
            f"{late[0].context.place} comes after {altered.context.place}; put it before, so that it sees source records only",
        )
    window = next((index for index, work in enumerate(steps) if work.name == "window"), len(steps))
    early = next((work for work in steps[:window] if work.name in ("detect", "split", "augment")), None)
    if early and window < len(steps):
        raise RunFault(
            "StepOrder",
            f"{early.context.place} comes before {steps[window].context.place}, of whose records nothing but windows are left; put it after",
        )
    learns = next((work for work in steps if work.name == "tokenize"), None)
    hides = [work for work in steps[steps.index(learns) + 1 :] if work.hides] if learns else []
    if learns and hides:
        # A vocabulary is kept with the version and travels into models, whole words and all.
        raise RunFault(
            "StepOrder",
            f"{hides[0].context.place} comes after {learns.context.place}, which would learn the words that it hides; put it before",
        )


def _require_sound(steps: Sequence[Work]) -> None:
    """What users send is decoded and heard with nothing between, so the pipeline may do nothing else to it."""
    for index, heard in enumerate(steps):
        if heard.name != "sound_features":
            continue
        before = steps[:index]
        made = [
            place
            for place, work in enumerate(before)
            if work.name == "decode_sound" and work.settings.into == heard.settings.column
        ]
        if not made:
            raise RunFault(
                "StepOrder",
                f"{heard.context.place} needs sound in the column {heard.settings.column}, which no decodeSound before it makes; put one before it, or correct column",
            )
        scaled = [
            work
            for work in before[made[-1] :]
            if work.name == "scale" and work.settings.column == heard.settings.column
        ]
        if scaled:
            raise RunFault(
                "StepOrder",
                f"{scaled[0].context.place} comes before {heard.context.place}; put it after, on the column {heard.settings.into}",
            )


def _require_text(steps: Sequence[Work]) -> None:
    """What is made of a text is made of its copies' own texts, and what must not be seen is found before they are altered."""
    for index, altered in enumerate(steps):
        if altered.name != "augment" or not altered.settings.text:
            continue
        column = altered.settings.text.column
        made = [work for work in steps[:index] if work.name == "tokenize" and work.settings.column == column]
        if made:
            raise RunFault(
                "StepOrder",
                f"{made[0].context.place} comes before {altered.context.place}, whose copies would have their originals' tokens; put it after",
            )
        hides = [
            work for work in steps[index:] if work.hides and column in PRIVATE[work.name].columns_of(work.settings)
        ]
        if hides:
            raise RunFault(
                "StepOrder",
                f"{hides[0].context.place} comes after {altered.context.place}, whose copies misspell what it hides; put it before",
            )


def code_digest() -> str:
    """A digest of the code that the result depends on: this package, and what it shares with serving."""
    package = resources.files("headrace_workers")
    hashed = hashlib.sha256()
    for path, content in [
        *_sources(package / "data", "data"),
        *((name, (package / name).read_bytes()) for name in SHARED),
    ]:
        hashed.update(f"{path}\0{len(content)}\0".encode() + content)
    return hashed.hexdigest()


def _sources(folder: Traversable, path: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        name = f"{path}/{entry.name}"
        if entry.is_dir():
            found.extend(_sources(entry, name))
        elif entry.name.endswith(".py"):
            found.append((name, entry.read_bytes()))
    return found


def plan_key(spec: DataPipelineSpec, shards: Sequence[Shard], repairs: str = "") -> str:
    """What an interrupted run must have in common with this one for its finished pieces to be reused.

    `repairs` is the digest of repaired records, here and below.
    """
    listed = [[shard.name, shard.uri, shard.size_bytes, shard.state] for shard in shards]
    return _digest(_recipe(spec, with_addresses=True), code_digest(), listed, *_given(repairs))


def dataset_digest(spec: DataPipelineSpec, contents: Sequence[str], repairs: str = "") -> str:
    """The digest of recipe, code and inputs: equal digests mean equal records, wherever the inputs lie."""
    return _digest(_recipe(spec, with_addresses=False), code_digest(), list(contents), *_given(repairs))


def _given(repairs: str) -> list[str]:
    return [repairs] if repairs else []


def _recipe(spec: DataPipelineSpec, *, with_addresses: bool) -> dict[str, Any]:
    source = spec.source.wire()
    if not with_addresses and spec.source.files:
        source = {"files": {name: value for name, value in source["files"].items() if name != "uri"}}
    if not with_addresses and spec.source.kafka:
        source = {"kafka": {"topics": source["kafka"]["topics"]}}
    timed = {"eventTime": spec.event_time.wire()} if spec.event_time else {}
    told = any(step.filter and step.filter.languages for step in spec.steps)
    # Another release of the package may bring another model.
    models = {"languageModel": f"py3langid {metadata.version('py3langid')}"} if told else {}
    return {"source": source, "steps": [step.wire() for step in spec.steps], "seed": spec.seed, **timed, **models}


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
