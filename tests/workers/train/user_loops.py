"""Training loops as users write them, good and bad."""

import torch
from torch.nn.functional import cross_entropy

from headrace_workers.train.own_loop import Run


def plain(run: Run, *, smoothing: float = 0.0) -> None:
    """What the documentation shows."""
    for batch in run.batches():
        loss = cross_entropy(run.network(batch.inputs), batch.targets, label_smoothing=smoothing)
        run.backward(loss)
        run.step()


def distilled(run: Run, *, teacher: int) -> None:
    """Two losses for each batch: the labels', and the distance to another network's answers."""
    torch.manual_seed(teacher)
    other = torch.nn.Linear(8, 3)
    for batch in run.batches():
        answers = run.network(batch.inputs)
        run.backward(
            cross_entropy(answers, batch.targets) + 0.1 * (answers - other(batch.inputs).detach()).square().mean()
        )
        run.step()


def in_two(run: Run) -> None:
    """The same loss as the plain one, in two halves."""
    for batch in run.batches():
        loss = cross_entropy(run.network(batch.inputs), batch.targets)
        run.backward(loss * 0.5)
        run.backward(cross_entropy(run.network(batch.inputs), batch.targets) * 0.5)
        run.step()


def not_finite_in_step_6(run: Run) -> None:
    """Its loss is no number in step 6, until it has gone back."""
    rolled_back = False
    last = 0
    for batch in run.batches():
        rolled_back = rolled_back or batch.step < last
        last = batch.step
        loss = cross_entropy(run.network(batch.inputs), batch.targets)
        run.backward(loss * float("nan") if batch.step == 6 and not rolled_back else loss)
        run.step()


def raises_in_step_3(run: Run) -> None:
    """Has a bug."""
    for batch in run.batches():
        if batch.step == 3:
            raise KeyError("teacher")
        run.backward(cross_entropy(run.network(batch.inputs), batch.targets))
        run.step()


def swallows(run: Run) -> None:
    """Goes on whatever happens."""
    try:
        plain(run)
    except Exception:  # noqa: BLE001 (as users do)
        return


def leaves_off(run: Run) -> None:
    """Ends after a step."""
    for batch in run.batches():
        run.backward(cross_entropy(run.network(batch.inputs), batch.targets))
        run.step()
        return


def never_steps(run: Run) -> None:
    """Forgets a call."""
    for batch in run.batches():
        run.backward(cross_entropy(run.network(batch.inputs), batch.targets))


def steps_without_gradient(run: Run) -> None:
    """Forgets the other."""
    for _ in run.batches():
        run.step()


def has_no_batch(run: Run) -> None:
    """Has no use for the data."""
    run.backward(next(run.network.parameters()).sum())
