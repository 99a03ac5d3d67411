"""What a person has repaired of a quarantine, held against it: which lines are new, and what is wrong with the others. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headrace.api.quarantine_line import NotALine, QuarantineLine, hidden_words, numbered, parsed


@dataclass(frozen=True)
class Repairing:
    """The lines to replay; how many were not changed, and how many were given before; a sentence for each that is wrong."""

    lines: tuple[QuarantineLine, ...] = ()
    unchanged: int = 0
    earlier: int = 0
    problems: tuple[str, ...] = ()


def lines_of(texts: Iterable[bytes]) -> list[QuarantineLine]:
    """Lines that a run has written."""
    return [parsed(text) for _, text in numbered(texts)]


def left_of(quarantine: Sequence[QuarantineLine], given: Iterable[QuarantineLine]) -> list[QuarantineLine]:
    """What of a quarantine was not repaired: each repair that was given takes the oldest line of its place."""
    times = Counter(line.place for line in given)
    left = []
    for line in quarantine:
        if times[line.place]:
            times[line.place] -= 1
        else:
            left.append(line)
    return left


def compared(
    name: str, texts: Iterable[bytes], left: Sequence[QuarantineLine], given: Iterable[QuarantineLine]
) -> Repairing:
    """The lines of the file `name`, held against what is left of the quarantine and what was given before."""
    there: dict[str, list[QuarantineLine]] = {}
    for line in left:
        for key in {line.place, line.source}:
            there.setdefault(key, []).append(line)
    before = {(line.place, line.digest) for line in given}
    chosen: dict[str, tuple[QuarantineLine, int]] = {}
    unchanged, earlier, problems = 0, 0, []
    for number, text in numbered(texts):
        place = f"{name} line {number}"
        try:
            line = parsed(text)
        except NotALine as why:
            problems.append(f"{place} {why}")
            continue
        found = there.get(line.place) or there.get(line.source) or []
        if (line.place, line.digest) in before:
            earlier += 1
        elif not found:
            problems.append(f"{place}: {line.source} is not in the quarantine of the last run, or was replayed already")
        elif len({each.place for each in found}) > 1:
            problems.append(
                f"{place}: {line.source} is in the quarantine {len(found)} times; keep the field at of its line"
            )
        elif any(each.digest == line.digest for each in found):
            unchanged += 1
        elif line.still_hidden or _held_against(line, found[0]).still_hidden:
            problems.append(f"{place}: {hidden_words(_held_against(line, found[0]))}")
        else:
            line = line.model_copy(update={"at": found[0].at, "version": found[0].version})
            first, at = chosen.setdefault(line.place, (line, number))
            if first.digest != line.digest:
                problems.append(f"{place} and line {at} repair {line.source} in different ways; keep one of them")
    return Repairing(tuple(line for line, _ in chosen.values()), unchanged, earlier, tuple(problems))


def _held_against(line: QuarantineLine, there: QuarantineLine) -> QuarantineLine:
    """The line with what the quarantine says is hidden, whatever was left of that in the file."""
    return line.model_copy(update={"hidden": there.hidden})
