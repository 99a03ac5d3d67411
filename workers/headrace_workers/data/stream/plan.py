"""What of a Stream's steps is done where: before equal records are known, beside that, and after it.

Whether a record is equal to an earlier one is known to the head alone. Steps that keep every record may be done to equal
ones, too, for nothing; those that drop records may not, as a record is counted once.
"""

from dataclasses import dataclass

from headrace.api.data_pipeline import DataPipelineSpec
from headrace_workers.data import recipe
from headrace_workers.data.recipe import Work
from headrace_workers.faults import RunFault

DROPPING = ("validate_", "filter")
NOT_YET = ("augment", "window", "detect", "embed", "scale", "tokenize")


@dataclass(frozen=True)
class StreamPlan:
    """The works in their order: `timing`, where records say when they happened; `before` deduplicate, `beside` it on the same worker, `after` it once equal ones are gone."""

    spec: DataPipelineSpec
    timing: Work | None = None
    before: tuple[Work, ...] = ()
    deduplicate: Work | None = None
    beside: tuple[Work, ...] = ()
    after: tuple[Work, ...] = ()

    @property
    def private(self) -> tuple[Work, ...]:
        """Where some work hides values, all that do, and those that bring values into the form in which they are found."""
        works = (*self.before, *self.beside, *self.after)
        return tuple(work for work in works if work.rewrites) if any(work.hides for work in works) else ()

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that the works name: they are there even where no record has them."""
        found = [name for work in (*self.before, *self.beside, *self.after) for name in _columns(work)]
        if self.deduplicate:
            found.extend(self.deduplicate.settings.exact.columns)
        if self.timing:
            found.append(self.timing.settings.column)
        return tuple(dict.fromkeys(name for name in found if name not in ("id", "split")))


def planned(spec: DataPipelineSpec) -> StreamPlan:
    """The plan of a spec; RunFault if this version cannot do it."""
    if spec.sink.delta is None:
        raise RunFault(
            "NotSupported", f"sink.{spec.sink.chosen} is not available in a Stream of this version; use sink.delta"
        )
    works = recipe.works(spec)
    timing = next((work for work in works if work.name == recipe.EVENT_TIME), None)
    works = tuple(work for work in works if work is not timing)
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
    places = [place for place, work in enumerate(works) if work.name == "deduplicate"]
    if len(places) > 1:
        raise RunFault(
            "NotSupported",
            f"{works[places[1]].context.place} is the second deduplicate; a Stream of this version takes one: name all columns there",
        )
    if not places:
        return StreamPlan(spec, timing, before=works)
    later = works[places[0] + 1 :]
    first_dropping = next((place for place, work in enumerate(later) if work.name in DROPPING), len(later))
    return StreamPlan(
        spec, timing, works[: places[0]], works[places[0]], beside=later[:first_dropping], after=later[first_dropping:]
    )


def _columns(work: Work) -> tuple[str, ...]:
    settings = work.settings
    if work.name == "validate_":
        return tuple(rule.name for rule in settings.columns)
    if work.name in ("hash", "encrypt"):
        return tuple(settings.columns)
    return (settings.key,) if work.name == "split" else (settings.column,)
