"""Where a run goes back to when its loss has diverged."""

from collections.abc import Sequence

from headrace.api.run_report import RolledBack
from headrace_workers.train.checkpoints import Checkpoint, Checkpoints
from headrace_workers.train.divergence import Diverged


def good_checkpoint(
    store: Checkpoints, diverged: Diverged, roll_backs: Sequence[RolledBack], every_steps: int
) -> Checkpoint | None:
    """The newest one; none for the start.

    One that training came from and diverged again before it saved another may be bad itself, with numbers that are
    finite and far too large: then it is the one before. The start is the one before the first.
    """
    newest = store.newest(diverged.good_until)
    if newest is None or not roll_backs or newest.state.step != roll_backs[-1].to_step:
        return newest
    before = store.newest(newest.state.step - 1)
    is_first = newest.state.step < 2 * every_steps
    return before if before or is_first else newest
