"""Training that goes back when its loss diverges: by one rank, whose steps a test makes go wrong."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from headrace.api.run_report import CheckpointReference, RolledBack
from headrace.api.train_job import TrainJobSpec
from headrace_workers.faults import Interrupted, RunFault
from headrace_workers.storage import Folder
from headrace_workers.train.checkpoints import WEIGHTS, Checkpoints, CheckpointState, compression_file
from headrace_workers.train.divergence import Diverged
from headrace_workers.train.group import Group
from headrace_workers.train.learner import Learned, Learner
from headrace_workers.train.precision import FIRST_SCALE, SCALE
from headrace_workers.train.progress import Snapshot
from headrace_workers.train.training import Move, Training
from tests.workers.train.builders import blobs, train_spec
from tests.workers.train.test_loop import Stop, last_tensors, train

RATE = 0.01
NAN = float("nan")
Bad = Callable[[int, float], bool]
"""Whether a step goes wrong at a learning rate."""


def spec(times: int = 3, spike_factor: float | None = None, **changes: Any) -> TrainJobSpec:
    roll_back = {"learningRateFactor": 0.5, "times": times, **({"spikeFactor": spike_factor} if spike_factor else {})}
    return train_spec(recovery={"onDivergence": {"rollBack": roll_back}}, **changes)


@pytest.fixture
def go_wrong(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has steps answer a loss that is not finite, or multiplied, or leave parameters that are not finite."""
    learn = Learner.learn

    def patch(bad: Bad, *, loss: float = NAN, weights: bool = False) -> None:
        def learns(self: Learner, step: int, batch: torch.Tensor, **named: Any) -> Learned:
            answer = learn(self, step, batch, **named)
            if not bad(step, self.learning_rate):
                return answer
            if weights:
                next(iter(self.weights.values()))[0] = NAN
                return answer
            return replace(answer, loss=answer.loss * loss)

        monkeypatch.setattr(Learner, "learn", learns)

    return patch


def store(folder: Path) -> Checkpoints:
    return Checkpoints(Folder(f"file://{folder}/checkpoints"))


def went(folder: Path) -> list[tuple[int, int, float]]:
    """From where to where with what learning rate."""
    return [(each.from_step, each.to_step, each.learning_rate) for each in store(folder).roll_backs()]


def test_it_goes_back_and_passes_more_slowly(tmp_path: Path, go_wrong: Callable[..., None]) -> None:
    """The step that went wrong at step 10 is taken again from checkpoint 8 on with half the rate; the curve has each step once."""
    go_wrong(lambda step, rate: step == 10 and rate > RATE / 2)
    heard: list[Snapshot] = []
    result = train(tmp_path, spec(), on_progress=heard.append)
    assert result.step == 12 and result.metrics["accuracy"] > 0.5
    assert went(tmp_path) == [(10, 8, RATE / 2)]
    back = next(each for each in heard if each.roll_backs)
    assert (back.step, back.point, back.checkpoint and back.checkpoint.step) == (8, False, 8)
    assert back.roll_backs[0].sentence == "the training loss is nan at step 10; training went back from step 10 to 8 and goes on with learning rate 0.005"  # fmt: skip
    newest = store(tmp_path).newest()
    assert newest and newest.state.roll_backs == 1
    steps = [point.step for point in newest.state.curve]
    assert steps == sorted(set(steps))
    assert all(each.loss > 0 for each in heard)


def test_gradients_that_no_scale_makes_finite_are_a_divergence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From step 5 on nothing is finite in float16 at the full rate: 17 scales are tried, then it goes back, and tries them again."""
    monkeypatch.setattr(Learner, "_all_finite", lambda self: self.network.step < 5 or self.learning_rate < RATE)
    heard: list[Snapshot] = []
    train(tmp_path, spec(precision="Float16", epochs=10), on_progress=heard.append)
    assert went(tmp_path) == [(21, 20, RATE / 2)]
    assert heard[-1].skipped_steps == 16
    newest = store(tmp_path).newest()
    assert newest and newest.tensors(compression_file(0))[SCALE][0] == FIRST_SCALE
    assert store(tmp_path).roll_backs()[0].reason == "GradientsNotFinite"


def test_without_a_checkpoint_it_starts_anew(tmp_path: Path, go_wrong: Callable[..., None]) -> None:
    """With the same seed: the weights are those of a run that began with half the rate."""
    go_wrong(lambda step, rate: step == 3 and rate == RATE)
    train(tmp_path / "back", spec())
    assert went(tmp_path / "back") == [(3, 0, RATE / 2)]
    train(tmp_path / "slow", train_spec(optimizer={"learningRate": RATE / 2}))
    assert_same(tmp_path / "back", tmp_path / "slow")


def assert_same(one: Path, other: Path) -> None:
    weights, others = last_tensors(one), last_tensors(other)
    assert weights.keys() == others.keys() and all(torch.equal(weights[name], others[name]) for name in weights)


class Killed(BaseException):
    """Nobody catches it."""


@pytest.mark.parametrize(("method", "noted"), [("roll_back", 0), ("delete_undone", 1)])
def test_a_kill_within_a_roll_back_forgets_nothing(
    tmp_path: Path, go_wrong: Callable[..., None], monkeypatch: pytest.MonkeyPatch, method: str, noted: int
) -> None:
    """After its note the restart does it, before it the loss diverges again: both end as if nobody had been killed."""

    def kill(_: Checkpoints, roll_backs: tuple[RolledBack, ...]) -> None:
        if roll_backs:
            raise Killed

    go_wrong(lambda step, rate: step == 10 and rate == RATE)
    train(tmp_path / "whole", spec())
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, method, kill)
        with pytest.raises(Killed):
            train(tmp_path / "parts", spec())
    assert len(went(tmp_path / "parts")) == noted
    train(tmp_path / "parts", spec())
    assert went(tmp_path / "parts") == [(10, 8, RATE / 2)]
    assert_same(tmp_path / "whole", tmp_path / "parts")


def test_restarts_do_not_reset_the_bound(tmp_path: Path, go_wrong: Callable[..., None]) -> None:
    """Two are allowed: one before a kill, one after it; the third divergence fails with what was tried."""
    go_wrong(lambda step, _: step == 3)

    def die(snapshot: Snapshot) -> None:
        if snapshot.roll_backs:
            raise Killed

    with pytest.raises(Killed):
        train(tmp_path, spec(times=2), on_progress=die)
    with pytest.raises(RunFault, match="after 2 roll-backs, the last one to step 0") as caught:
        train(tmp_path, spec(times=2))
    assert (caught.value.reason, caught.value.retryable) == ("LossNotFinite", False)
    assert "with learning rate 0.0025: recovery.onDivergence.rollBack.times is spent" in caught.value.message


def test_a_checkpoint_that_leads_to_no_other_is_left_for_the_one_before(
    tmp_path: Path, go_wrong: Callable[..., None]
) -> None:
    """Diverging twice on the way from 8 goes to 4, which leads to another 8; where only one is kept, to the same again."""
    go_wrong(lambda step, rate: step == 11 and rate > RATE / 5)
    train(tmp_path / "three", spec())
    assert [to for _, to, _ in went(tmp_path / "three")] == [8, 4, 8]
    train(tmp_path / "one", spec(checkpoints={"everySteps": 4, "keep": 1}))
    assert [to for _, to, _ in went(tmp_path / "one")] == [8, 8, 8]


def test_what_is_not_finite_is_not_saved(tmp_path: Path, go_wrong: Callable[..., None]) -> None:
    """Step 8 leaves bad parameters, which its own loss does not show: its checkpoint is not made, and 4 is gone back to."""
    go_wrong(lambda step, rate: step == 8 and rate == RATE, weights=True)
    saved: list[int] = []
    train(tmp_path, spec(), on_progress=lambda each: saved.append(each.checkpoint.step) if each.checkpoint else None)
    assert went(tmp_path) == [(8, 4, RATE / 2)]
    # How soon one is told of depends on how long it was written.
    assert saved == sorted(saved) and {4, 12} <= {*saved} <= {4, 8, 12}
    assert store(tmp_path).folder.names() == ["00000004", "00000008", "00000012", "rollbacks.json"]
    assert all(tensor.isfinite().all() for tensor in last_tensors(tmp_path).values())


def test_by_default_such_parameters_end_the_run(tmp_path: Path, go_wrong: Callable[..., None]) -> None:
    """WeightsNotFinite, and the checkpoint before stands."""
    go_wrong(lambda step, _: step == 8, weights=True)
    with pytest.raises(RunFault, match=r"not finite after step 8.*or have recovery\.onDivergence roll back") as caught:
        train(tmp_path, train_spec())
    assert caught.value.reason == "WeightsNotFinite"
    newest = store(tmp_path).newest()
    assert newest and newest.state.step == 4


def test_a_mask_of_infinities_is_saved(tmp_path: Path) -> None:
    """Only what training moves has to be finite."""
    train(tmp_path, train_spec(model={"module": "tests.workers.train.user_models:masked"}))
    newest = store(tmp_path).newest()
    assert newest and newest.state.step == 12


def test_a_damaged_checkpoint_is_not_gone_back_to(
    tmp_path: Path, go_wrong: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest whole one is."""
    go_wrong(lambda step, rate: step == 10 and rate == RATE)
    commit = Checkpoints.commit

    def damage(self: Checkpoints, state: CheckpointState) -> CheckpointReference:
        made = commit(self, state)
        if state.step == 8:
            (tmp_path / "checkpoints" / "00000008" / WEIGHTS).write_bytes(b"")
        return made

    monkeypatch.setattr(Checkpoints, "commit", damage)
    train(tmp_path, spec())
    assert went(tmp_path) == [(10, 4, RATE / 2)]


def test_what_goes_back_owes_no_checkpoint(tmp_path: Path) -> None:
    """One of the next step would be taken for a good one, where training diverges again at once."""
    one = Training(spec(), blobs(), store(tmp_path), Group(), lambda: False)
    while one.step < 6:
        one.move()
    one._owes_save = True
    one._diverged = Diverged(reason="LossNotFinite", message="the loss is nan", good_until=5)
    one._roll_back()
    one.move()
    assert not one._owes_save and Move.SAVE not in one._pending


LONG: dict[str, Any] = {"epochs": None, "steps": 90, "checkpoints": {"everySteps": 4, "keep": 10}}


def test_a_spike_is_undone_with_its_checkpoints(tmp_path: Path, go_wrong: Callable[..., None]) -> None:
    """Steps 61 to 70 at a hundred times: 60 is the newest good one, and those saved within the spike are gone."""
    go_wrong(lambda step, rate: 61 <= step <= 75 and rate == RATE, loss=100.0)
    train(tmp_path, spec(spike_factor=5, **LONG))
    ((_, to, _),) = went(tmp_path)
    assert to == 60
    states = [store(tmp_path).read(step) for step in (60, 64, 68)]
    assert [state.state.roll_backs for state in states if state] == [0, 1, 1]


def test_without_a_factor_a_spike_is_borne(tmp_path: Path, go_wrong: Callable[..., None]) -> None:
    """Only what is not finite has diverged then."""
    go_wrong(lambda step, rate: 61 <= step <= 75 and rate == RATE, loss=100.0)
    train(tmp_path, spec(**LONG))
    assert went(tmp_path) == []


def test_a_spike_may_fail_the_run(tmp_path: Path, go_wrong: Callable[..., None]) -> None:
    """`fail` takes a factor too."""
    go_wrong(lambda step, _: step > 60, loss=100.0)
    with pytest.raises(RunFault, match="in the mean of steps 61 to 70") as caught:
        train(tmp_path, train_spec(recovery={"onDivergence": {"fail": {"spikeFactor": 5}}}, **LONG))
    assert caught.value.reason == "LossSpiked"


def test_a_stop_after_a_roll_back_resumes_from_there(tmp_path: Path, go_wrong: Callable[..., None]) -> None:
    """A stop wanted when the loss diverges saves nothing: what was gone back to is saved."""
    go_wrong(lambda step, rate: step == 2 and rate == RATE)
    with pytest.raises(Interrupted):
        train(tmp_path, spec(), should_stop=Stop())
    assert went(tmp_path) == [(2, 0, RATE / 2)]
    assert store(tmp_path).newest() is None
    assert train(tmp_path, spec()).step == 12


def test_a_list_of_roll_backs_that_cannot_be_read_is_named(tmp_path: Path, go_wrong: Callable[..., None]) -> None:
    """Going on without it would forget the bound."""
    train(tmp_path, spec(epochs=1))
    (tmp_path / "checkpoints" / "rollbacks.json").write_text("{")
    with pytest.raises(RunFault, match=r"rollbacks\.json cannot be read") as caught:
        train(tmp_path, spec(epochs=2))
    assert caught.value.reason == "CheckpointDamaged"


@pytest.mark.filterwarnings("ignore")
def test_a_rate_that_is_far_too_high_comes_down_by_itself(tmp_path: Path) -> None:
    """Really diverging: gradient descent on squares at a rate of 10 ends at one that learns."""
    recovery = {"onDivergence": {"rollBack": {"learningRateFactor": 0.1, "times": 5}}}
    squares = {"loss": {"meanSquaredError": {}}, "evaluation": {"metrics": ["loss"]}, "epochs": 20}
    found = train(tmp_path, train_spec(recovery=recovery, optimizer={"name": "SGD", "learningRate": 10.0}, **squares))
    assert went(tmp_path) and found.metrics["loss"] < 0.3
