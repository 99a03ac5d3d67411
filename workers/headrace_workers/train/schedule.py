"""How large the learning rate is at a step: a function of the step alone, so that a run that resumes goes on where it was."""

import math

from headrace.api.optimizer import Decay, Schedule


def part_of_rate(schedule: Schedule | None, step: int, total: int) -> float:
    """The part of the learning rate with which step 1 … total is taken.

    It grows evenly up to the end of the warm-up (Goyal et al., 2017), and is then the whole, or falls to `finalFraction` at
    the last step: evenly, or as half a cosine (Loshchilov and Hutter, 2017). A warm-up of all steps has no decay.
    """
    if schedule is None:
        return 1.0
    warmup = min(schedule.warmup_steps, total)
    if step <= warmup:
        return step / warmup
    if schedule.decay == Decay.NONE:
        return 1.0
    done = (step - warmup) / (total - warmup)
    left = 1 - done if schedule.decay == Decay.LINEAR else (1 + math.cos(math.pi * done)) / 2
    return schedule.final_fraction + (1 - schedule.final_fraction) * left
