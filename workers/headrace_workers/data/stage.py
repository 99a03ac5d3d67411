"""How works become stages: what can be done batch by batch in one go is one stage; a barrier ends it and opens the next."""

from collections.abc import Sequence
from dataclasses import dataclass

from headrace_workers.data.recipe import Work


@dataclass(frozen=True)
class Stage:
    """One pass over all shards: apply the decision of `opens`, do `maps`, then measure for `closes`.

    Where some work hides values, `private` are all that do, and those that bring values into the form in which they are
    found; the first `hidden` of them were done in stages before.
    """

    number: int
    opens: Work | None
    maps: tuple[Work, ...]
    closes: Work | None
    private: tuple[Work, ...] = ()
    hidden: int = 0

    @property
    def title(self) -> str:
        """The stage in a few words, for the report."""
        works = [work for work in (self.opens, *self.maps) if work]
        verbs = [work.context.place.rpartition(".")[2] if work.name != "types" else "types" for work in works]
        return ", ".join(([] if self.number else ["read"]) + verbs)


def stages(works: Sequence[Work]) -> tuple[Stage, ...]:
    """The fewest stages that do the works in order."""
    made: list[Stage] = []
    opens: Work | None = None
    maps: list[Work] = []
    hides = any(work.hides for work in works)
    private = tuple(work for work in works if hides and work.rewrites)

    def stage(closes: Work | None) -> Stage:
        hidden = sum(work.rewrites for before in made for work in before.maps)
        return Stage(len(made), opens, tuple(maps), closes, private, hidden)

    for work in works:
        if work.is_barrier:
            made.append(stage(work))
            opens, maps = work, []
        else:
            maps.append(work)
    return (*made, stage(None))
