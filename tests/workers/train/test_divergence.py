"""When a loss counts as diverged."""

import pytest
import torch

from headrace_workers.train.divergence import Diverged, LossHistory, LossWatch, are_finite


def watched(
    losses: list[float], talks: list[int], factor: float | None = 3.0, watch: LossWatch | None = None
) -> tuple[Diverged | None, LossWatch]:
    """What is said of these losses, of steps from 1 on, by a rank that has all of each batch and talks at these steps."""
    watch = watch or LossWatch(factor, LossHistory())
    for step, loss in enumerate(losses, start=1):
        watch.add(step, torch.tensor(loss), 1.0)
        if step in talks and (found := watch.take(step, watch.share(step))):
            return found, watch
    return None, watch


@pytest.mark.parametrize(
    ("losses", "found"),
    [
        pytest.param([1.0] * 80, False, id="an even loss"),
        pytest.param([1.0] * 60 + [4.0] * 10, True, id="ten steps at four times"),
        pytest.param([1.0] * 60 + [2.9] * 20, False, id="less than the factor"),
        pytest.param([1.0] * 60 + [15.0] + [1.0] * 9, False, id="one bad batch that the mean bears"),
        pytest.param([1.0] * 40 + [9.0] * 10, False, id="too early to know what is usual"),
        pytest.param([100.0 * 0.9**step for step in range(100)], False, id="a loss that falls"),
        pytest.param([0.0] * 60 + [1.0] * 10, False, id="nothing is a multiple of zero"),
    ],
)
def test_a_spike_is_far_above_the_median(losses: list[float], found: bool) -> None:
    """See the row; the factor is three."""
    spike, _ = watched(losses, list(range(1, 101)))
    assert bool(spike) == found


@pytest.mark.parametrize("talks", [[65, 70], [7, 33, 70], [70], [79]], ids=str)
def test_when_ranks_talk_makes_no_difference(talks: list[int]) -> None:
    """Steps 61 to 70 are found at the first talk that knows them all, and checkpoints up to 60 are good."""
    spike, _ = watched([1.0] * 60 + [5.0] * 19, talks)
    assert spike and (spike.reason, spike.good_until) == ("LossSpiked", 60)
    assert "is 5 in the mean of steps 61 to 70, 5 times what it was before" in spike.message


def test_a_history_goes_on_where_it_was_saved() -> None:
    """Half a stretch before a checkpoint and half after it are one."""
    _, before = watched([1.0] * 60 + [5.0] * 4, [64])
    after = LossWatch(3.0, LossHistory.model_validate_json(before.history.model_dump_json()))
    for step in range(65, 71):
        after.add(step, torch.tensor(5.0), 1.0)
    assert after.take(70, after.share(70))


def test_shares_of_ranks_add_up() -> None:
    """The mean is over what both ranks had of the batches, and of what one had where the other took its shares along."""
    ranks = [LossWatch(3.0, LossHistory(means=(1.0,) * 5)) for _ in range(2)]
    for step in range(1, 11):
        ranks[0].add(step, torch.tensor(0.3), 0.25)
        if step > 5:
            ranks[1].add(step, torch.tensor(0.7), 0.75)
    total = ranks[0].share(10) + ranks[1].share(10)
    assert ranks[0].take(10, total) is None
    assert ranks[0].history.means[-1] == pytest.approx((10 * 0.3 + 5 * 0.7) / (10 * 0.25 + 5 * 0.75))


def test_without_a_factor_nothing_is_watched() -> None:
    """Nor sent."""
    spike, watch = watched([1.0] * 60 + [1e9] * 10, [70], factor=None)
    assert (spike, watch.share(70).numel(), watch.history) == (None, 0, LossHistory())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_one_bad_number_is_found(bad: float) -> None:
    """Among many, in any precision; whole numbers and empty tensors are passed over."""
    good = [torch.ones(1000), torch.zeros(0), torch.ones((), dtype=torch.int64), torch.ones(3, dtype=torch.bfloat16)]
    assert are_finite(good)
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        tensor = torch.ones(1000, dtype=dtype)
        tensor[700] = bad
        assert not are_finite([*good, tensor])
