"""What serving must do again to raw records, in the order of the pipeline."""

from collections.abc import Mapping, Sequence

from headrace_workers.data.recipe import Work
from headrace_workers.preprocessing import FittedStep

DECODES = ("decode_sound", "sound_features", "decode_image")


def in_order(works: Sequence[Work], fitted: Mapping[str, tuple[FittedStep, ...]]) -> tuple[FittedStep, ...]:
    """What was fitted, by the step's place, what was done to a text before it was made tokens, and what decodes."""
    steps: list[FittedStep] = []
    for number, work in enumerate(works):
        later = {each.settings.column for each in works[number + 1 :] if each.name == "tokenize"}
        if work.name == "normalize_text" and work.settings.column in later:
            steps.append(FittedStep(normalize_text=work.settings))
        if work.name in DECODES:
            steps.append(FittedStep(**{work.name: work.settings}))
        steps.extend(fitted.get(work.context.place, ()))
    return tuple(steps)


def made_of_text(steps: Sequence[FittedStep]) -> dict[str, tuple[int, ...]]:
    """The columns of token ids, with the shape of one input."""
    return {step.tokenize.into: (step.tokenize.max_tokens,) for step in steps if step.tokenize}


def decoded(steps: Sequence[FittedStep]) -> tuple[str, ...]:
    """The columns of decoded sound and images, and of what was heard in them, which takes the place of the sound."""
    columns: list[str] = []
    for step in steps:
        if step.chosen in DECODES:
            columns = [name for name in columns if step.chosen != "sound_features" or name != step.value.column]
            columns.append(step.value.into)
    return tuple(columns)
