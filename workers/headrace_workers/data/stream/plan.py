"""What of a Stream's steps is done where: before equal records are known, beside that, and after it.

Whether a record is equal to an earlier one is known to the head alone, as what is in a window is. Steps that keep every
record may be done to equal ones, too, for nothing; those that drop records may not, as a record is counted once.
"""

from dataclasses import dataclass

from headrace.api.data_pipeline import DataPipelineSpec
from headrace_workers.data import recipe
from headrace_workers.data.recipe import Work
from headrace_workers.data.steps.open_windows import measured_columns
from headrace_workers.faults import RunFault

DROPPING = ("validate_", "filter")
NOT_YET = ("augment", "decode_image", "decode_sound", "embed", "scale", "sound_features", "tokenize")
AFTER_EQUAL, AFTER_WINDOW, AFTER_DETECT = range(3)
"""The groups of steps that wait for the head."""


@dataclass(frozen=True)
class StreamPlan:
    """The works in their order: `timing`, where records say when they happened; `before` deduplicate, and `beside` it.

    Then, each followed by a group of works, what the head does: deduplicate, window, detect.
    """

    spec: DataPipelineSpec
    timing: Work | None = None
    before: tuple[Work, ...] = ()
    deduplicate: Work | None = None
    beside: tuple[Work, ...] = ()
    window: Work | None = None
    detect: Work | None = None
    groups: tuple[tuple[Work, ...], ...] = ((), (), ())

    @property
    def works(self) -> tuple[Work, ...]:
        """All that readers do, in order."""
        return (*self.before, *self.beside, *(work for group in self.groups for work in group))

    @property
    def private(self) -> tuple[Work, ...]:
        """Where some work hides values, all that do, and those that bring values into the form in which they are found."""
        return tuple(work for work in self.works if work.rewrites) if any(work.hides for work in self.works) else ()

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns of records that the works name: they are there even where no record has them."""
        of_records = (*self.before, *self.beside, *self.groups[AFTER_EQUAL])
        found = [name for work in of_records for name in _columns(work)]
        if self.deduplicate:
            found.extend(self.deduplicate.settings.exact.columns)
        if self.timing:
            found.append(self.timing.settings.column)
        if self.window:
            found.extend((*self.window.settings.by, *measured_columns(self.window.settings)))
        return tuple(dict.fromkeys(name for name in found if name not in ("id", "split")))


def planned(spec: DataPipelineSpec) -> StreamPlan:
    """The plan of a spec; RunFault if this version cannot do it."""
    if spec.sink.delta is None:
        raise RunFault(
            "NotSupported", f"sink.{spec.sink.chosen} is not available in a Stream of this version; use sink.delta"
        )
    works = list(recipe.works(spec))
    timing = next((work for work in works if work.name == recipe.EVENT_TIME), None)
    if timing:
        works.remove(timing)
    _require_available(works)
    of_records, window, of_windows = _cut(works, "window")
    first, deduplicate, later = _cut(of_records, "deduplicate")
    unscored, detect, scored = _cut(of_windows, "detect")
    if any(work.name == "deduplicate" for work in (*later, *of_windows)):
        raise RunFault(
            "NotSupported",
            "steps has two deduplicates, or one after window, which a Stream of this version cannot do; name all columns in one, before window",
        )
    dropping = next((place for place, work in enumerate(later) if work.name in DROPPING), len(later))
    return StreamPlan(
        spec, timing, first, deduplicate, later[:dropping], window, detect, (later[dropping:], unscored, scored)
    )


def _require_available(works: list[Work]) -> None:
    for work in works:
        if work.name in NOT_YET:
            raise RunFault(
                "NotSupported", f"{work.context.place} is not available in a Stream of this version; remove the step"
            )
        if work.name == "deduplicate" and work.settings.exact is None:
            raise RunFault(
                "NotSupported",
                f"{work.context.place}.near is not available in a Stream of this version; use deduplicate.exact",
            )


def _cut(works: list[Work] | tuple[Work, ...], name: str) -> tuple[tuple[Work, ...], Work | None, tuple[Work, ...]]:
    """What comes before the first of that name, it, and what comes after it."""
    place = next((place for place, work in enumerate(works) if work.name == name), None)
    if place is None:
        return tuple(works), None, ()
    return tuple(works[:place]), works[place], tuple(works[place + 1 :])


def _columns(work: Work) -> tuple[str, ...]:
    settings = work.settings
    if work.name == "validate_":
        return tuple(rule.name for rule in settings.columns)
    if work.name in ("hash", "encrypt"):
        return tuple(settings.columns)
    return (settings.key,) if work.name == "split" else (settings.column,)
