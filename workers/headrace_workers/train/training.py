"""What one rank does, move by move: resume, a step, talk, evaluate, save, commit, roll back.

Which move is next is a function of the state that all ranks have in common, so that they agree on it without a word; a
move that fails for want of a peer has changed nothing, and is made again by the ranks that are left. Everything random is
a function of (seed, epoch) or (seed, step, rank), so a run that resumes from a checkpoint at the same world size ends with
the same bits.
"""

import math
from collections.abc import Callable
from enum import StrEnum

import torch

from headrace.api.artifacts import StartingWeights
from headrace.api.run_report import CheckpointReference, CurvePoint, RolledBack, Traffic
from headrace.api.train_job import TrainJobSpec
from headrace_workers.faults import RunFault
from headrace_workers.train.checkpoints import (
    MERGED,
    OPTIMIZER,
    WEIGHTS,
    Checkpoint,
    Checkpoints,
    CheckpointState,
    DataSchema,
    compression_file,
)
from headrace_workers.train.dataset import TRAIN, LoadedDataset
from headrace_workers.train.divergence import Diverged, LossHistory, LossWatch, are_finite, hopeless
from headrace_workers.train.group import Group
from headrace_workers.train.handover import Common, packed, unpacked
from headrace_workers.train.learner import Learner, Share
from headrace_workers.train.losses import criterion_of
from headrace_workers.train.metrics import CHUNK_RECORDS, evaluate, require_defined
from headrace_workers.train.order import Order, share
from headrace_workers.train.progress import Snapshot
from headrace_workers.train.roll_back import good_checkpoint
from headrace_workers.train.schedule import part_of_rate
from headrace_workers.train.starting_weights import described, load_weights
from headrace_workers.train.window import Window
from headrace_workers.train.writing import Writing

CURVE_POINTS = 100
MOST_CURVE_POINTS = 1000
"""Points kept of a curve whose every step is evaluated: then every second is dropped."""


class Move(StrEnum):
    """What the ranks do together."""

    RESUME = "Resume"
    STEP = "Step"
    ROUND = "Round"
    PART = "Part"
    TALK = "Talk"
    EVALUATE = "Evaluate"
    MARK = "Mark"
    SAVE = "Save"
    COMMIT = "Commit"
    ROLL_BACK = "RollBack"


class Training:
    """The state of one rank's training between two moves, and the moves."""

    def __init__(
        self, spec: TrainJobSpec, data: LoadedDataset, store: Checkpoints, group: Group, should_stop: Callable[[], bool],
        start: StartingWeights | None = None,
    ) -> None:  # fmt: skip
        """Builds what learns; RunFault says what of the spec or the data does not fit."""
        for split in (TRAIN, spec.evaluation.split):
            if not len(data.splits.get(split, ())):
                raise RunFault(
                    "SplitMissing",
                    f"the dataset has no records in split {split}, only in {', '.join(sorted(data.splits)) or 'none'}; add a split step",
                )
        self._spec, self._data, self._store, self._group, self._should_stop = spec, data, store, group, should_stop
        self._start = start
        on_divergence = spec.recovery.on_divergence
        self._roll_back_policy, self._spike_factor = on_divergence.roll_back, on_divergence.value.spike_factor
        self._order = Order(spec.seed, len(data.splits[TRAIN]), spec.batch_size)
        self._criterion = criterion_of(spec.loss, data)
        require_defined(spec.evaluation.metrics, self._criterion, data)
        self.roll_backs: tuple[RolledBack, ...] = ()
        self._diverged: Diverged | None = None
        self._learner = self._new_learner()
        self._agreed_step = 0
        """The last step before this one after which all ranks had the same parameters."""
        self._window = Window()
        self._watch = LossWatch(self._spike_factor, LossHistory())
        self._curve: tuple[CurvePoint, ...] = ()
        self._next_talk = 1
        self._point, self._tells = False, False
        self._pending: tuple[Move, ...] = (Move.RESUME,)
        self._leaving: tuple[int, ...] = ()
        """The ranks that go after the next step, at which everybody pays what it owes."""
        self._saving: int | None = None
        """The step of the checkpoint that the ranks are writing."""
        self._writing: Writing | None = None
        """This rank's part of it, or of the last one."""
        self._owes_save = False
        """Whether a checkpoint was given up, as the group changed while it was written."""
        self._waits = False
        """Whether nothing is done before what is saved now exists."""
        self._saved: CheckpointReference | None = None
        self._busy: dict[str, float] = {}
        self.moves = 0
        """How many were made: who made fewer than others is behind."""
        self.stopping = self.regroups = False
        self.resumed_from: int | None = None
        self.step = 0
        self.total = spec.steps if spec.steps is not None else self._order.steps_per_epoch * (spec.epochs or 1)
        self.metrics: dict[str, float] | None = None

    @property
    def is_done(self) -> bool:
        """Whether no move is left."""
        return self.step >= self.total and not self._pending

    @property
    def is_told(self) -> bool:
        """Whether the last move ended all that follows a step at which ranks talk."""
        return self._tells and not self._pending

    @property
    def next_move(self) -> Move:
        """What comes next, unless training is done."""
        return self._pending[0] if self._pending else Move.STEP

    @property
    def learner(self) -> Learner:
        """What learns; another one after a roll-back."""
        return self._learner

    @property
    def rolls_back(self) -> bool:
        """Whether a divergence has all ranks go back."""
        return self._roll_back_policy is not None

    def begin_step(self) -> Share:
        """Starts the step that is the next move where its gradient is made elsewhere, by the learner's `backward`; returns this rank's share."""
        step = self.step + 1
        return self._learner.begin(step, self._order.batch(step))

    def move(self) -> Move:
        """Makes the next move, together with all ranks, and returns which; PeerLost if it has to be made again."""
        move = self.next_move
        made = {
            Move.RESUME: self._resume, Move.STEP: self._advance, Move.ROUND: self._finish_round, Move.PART: self._part, Move.TALK: self._talk,
            Move.EVALUATE: self._evaluate, Move.MARK: self._mark, Move.SAVE: self._save,
            Move.COMMIT: self._commit, Move.ROLL_BACK: self._roll_back,
        }[move]()  # fmt: skip
        # What would have followed a step that is undone does not.
        follow = () if Move.ROLL_BACK in made else self._pending[1:]
        self._pending = (*follow, *(each for each in made if each not in follow))
        self.moves += 1
        return move

    def regroup(self) -> None:
        """Goes on among other ranks; those that wanted to go will say so again, and what the old ones were writing is given up."""
        self._leaving = ()
        commits = Move.COMMIT in self._pending
        self._pending = tuple(move for move in self._pending if move not in (Move.PART, Move.COMMIT))
        if commits and self._waits and not {Move.SAVE, Move.ROLL_BACK} & {*self._pending}:
            self._pending = (*self._pending, Move.SAVE)
        # In this order: a rank that joins may be reading both.
        self._owes_save = self._owes_save or self._saving is not None
        self._saving = None
        self._learner.regroup()

    def hand_over(self) -> bytes:
        """What a rank that joins needs in order to make the next move."""
        common = Common(
            saving=self._saving, owes_save=self._owes_save, waits=self._waits,
            moves=self.moves, pending=self._pending, step=self.step, agreed_step=self._agreed_step,
            next_talk=self._next_talk, tells=self._tells, stopping=self.stopping, regroups=self.regroups,
            resumed_from=self.resumed_from, metrics=self.metrics, curve=self._curve, point=self._point,
            saved=self._saved, window_loss=self._window.loss, window_steps=self._window.steps, rate=self._window.rate,
            traffic=self.traffic, roll_backs=self.roll_backs, diverged=self._diverged, history=self._watch.history,
        )  # fmt: skip
        return packed(common, self._learner.common)

    def take_over(self, data: bytes) -> None:
        """Goes on where the rank is that handed this over; ValueError if it cannot be read."""
        common, tensors = unpacked(data)
        if common.roll_backs != self.roll_backs:
            # What this rank alone knows was learnt in steps that are undone.
            self.roll_backs = common.roll_backs
            self._learner = self._new_learner()
        self._diverged, self._watch = common.diverged, LossWatch(self._spike_factor, common.history)
        self._learner.take_over(tensors, common.traffic)
        self._window = Window(common.window_loss, common.window_steps, common.rate)
        self._busy = {}
        self._saving, self._owes_save, self._waits = common.saving, common.owes_save, common.waits
        self._pending = tuple(Move(each) for each in common.pending)
        self._agreed_step, self._next_talk, self._tells = common.agreed_step, common.next_talk, common.tells
        self._curve, self._point, self._saved = common.curve, common.point, common.saved
        self.step, self.moves, self.metrics = common.step, common.moves, common.metrics
        self.stopping, self.regroups, self.resumed_from = common.stopping, common.regroups, common.resumed_from

    def _resume(self) -> tuple[Move, ...]:
        """Goes back to the newest whole checkpoint, which all ranks agree on, or to the start; with what was rolled back before."""
        group, store = self._group, self._store
        if group.leads:
            # A crash may have come between a roll-back's note and its deed.
            store.delete_undone(store.roll_backs())
        newest = store.newest() if group.leads else None
        step = group.from_leader(newest.state.step if newest else -1)
        count = group.from_leader(len(store.roll_backs()) if group.leads else 0)
        checkpoint = newest or (self._read(step) if step >= 0 else None)
        self.roll_backs = store.roll_backs()[:count]
        if len(self.roll_backs) < count:
            raise self._unshared("the list of roll-backs")
        self._learner.learning_rate = self._learning_rate
        if checkpoint:
            self._restore(checkpoint)
            self.resumed_from = checkpoint.state.step
        else:
            self._begin()
        return ()

    def _read(self, step: int) -> Checkpoint:
        """The checkpoint that rank 0 chose."""
        if checkpoint := self._store.read(step):
            return checkpoint
        raise self._unshared(f"checkpoint {step}")

    def _unshared(self, what: str) -> OSError:
        return OSError(
            f"rank {self._group.rank} cannot read {what} of {self._store.folder.uri}, which rank 0 can; use storage that all pods share"
        )

    def _restore(self, checkpoint: Checkpoint) -> None:
        state = checkpoint.state
        self._learner.restore(checkpoint)
        if self.roll_backs and self.roll_backs[-1].to_step == state.step:
            self._learner.restart_scale()
        self._window = Window(state.window_loss, state.window_steps)
        known = state.history if state.history.step == state.step else LossHistory(step=state.step)
        self._watch = LossWatch(self._spike_factor, known)
        self._curve, self.metrics = state.curve, state.metrics
        self.step = self._agreed_step = state.step
        self._next_talk = state.step + 1

    def _begin(self) -> None:
        """Takes the weights that training starts with, if any are given."""
        if self._start:
            self._learner.start_from(load_weights(self._start), described(self._start))

    def _new_learner(self) -> Learner:
        learner = Learner(self._spec, self._data, self._criterion, self._group)
        learner.learning_rate = self._learning_rate
        return learner

    @property
    def _learning_rate(self) -> float:
        """The spec's, or what roll-backs left of it."""
        return self.roll_backs[-1].learning_rate if self.roll_backs else self._spec.optimizer.learning_rate

    def _advance(self) -> tuple[Move, ...]:
        """One step on the next global batch."""
        step = self.step + 1
        batch = self._order.batch(step)
        self._learner.learning_rate = self._learning_rate * part_of_rate(
            self._spec.optimizer.schedule, step, self.total
        )
        with self._learner.own_time.counting():
            learned = self._learner.learn(step, batch, pays=bool(self._leaving))
        if self._agrees:
            self._agreed_step = self.step
        self.step = step
        self._point, self.metrics, self._saved = False, None, None
        part = len(share(batch, self._group.rank, self._group.world_size)) / len(batch)
        self._window.add(learned.loss, part, skipped=learned.skipped and not learned.hopeless)
        if learned.hopeless and not self._learner.has_rounds:
            message = f"gradients are not finite at step {step} whatever the loss is scaled by; BFloat16 has the range that Float16 lacks"
            return self._diverge(Diverged(reason="GradientsNotFinite", message=message, good_until=step - 1))
        if not learned.skipped:
            self._watch.add(step, learned.loss, part)
        # In a step that is skipped nobody pays what it owes; a round ends whatever its steps were.
        parts = self._agrees and bool(self._leaving) and (self._learner.has_rounds or not learned.skipped)
        # Those that go have written their part, and one checkpoint is written at a time.
        saving = self._saving is not None
        due = (
            (Move.EVALUATE, self._evaluates), (Move.MARK, self._marks),
            (Move.COMMIT, saving and self._saves and not parts), (Move.SAVE, self._saves),
        )  # fmt: skip
        moves = tuple(move for move, is_due in due if is_due)
        self._tells = bool(moves) or (saving and parts) or (self._agrees and self.step >= self._next_talk)
        first = (
            (Move.ROUND, self._agrees and self._learner.has_rounds), (Move.COMMIT, saving and parts), (Move.PART, parts),
            (Move.TALK, self._tells),
        )  # fmt: skip
        return (*(move for move, is_due in first if is_due), *moves)

    def _finish_round(self) -> tuple[Move, ...]:
        """Exchanges how far the ranks went since they last had the same parameters."""
        with self._learner.own_time.counting():
            self._learner.finish_round(self.step - self._agreed_step, pays=bool(self._leaving))
        return ()

    @property
    def unshared_steps(self) -> int:
        """The local steps that a rank which is lost now takes along."""
        return self.step - self._agreed_step if Move.ROUND in self._pending else 0

    @property
    def _agrees(self) -> bool:
        """Whether all ranks have the same parameters after this step: the same answer on all of them."""
        return self.step == self.total or self._learner.ends_round(self.step)

    def _is_due(self, every: int) -> bool:
        """Whether something that is done every so many steps is done after this one: what falls within a round waits for its end."""
        return self._agrees and self.step // every > self._agreed_step // every

    @property
    def _evaluates(self) -> bool:
        return self.step == self.total or self._is_due(self._spec.evaluation.every_steps)

    @property
    def _marks(self) -> bool:
        first = self.step == 1 and self._agrees
        return self._evaluates or first or self._is_due(max(1, self.total // CURVE_POINTS))

    @property
    def _saves(self) -> bool:
        owed = self._owes_save and self._agrees
        return self.step == self.total or owed or self._is_due(self._spec.checkpoints.every_steps)

    def _part(self) -> tuple[Move, ...]:
        """Goes on without the ranks that wanted to go; Left on them."""
        leaving, self._leaving = self._leaving, ()
        self._group.part(leaving)
        self._learner.regroup()
        return ()

    def _talk(self) -> tuple[Move, ...]:
        """Adds up the losses over the ranks, and hears how long each was busy, what it wants, and whether it has written its part of a checkpoint; RunFault if the loss is lost."""
        group, window, own_time = self._group, self._window, self._learner.own_time
        # First: on CUDA it waits for all steps to be done, which the times of their ends need.
        losses = window.share
        goes, busy = torch.zeros(2, group.world_size, dtype=torch.float64)
        goes[group.rank] = float(group.wants_to_leave)
        busy[group.rank] = own_time.seconds / max(window.own_steps, 1)
        written = self._writing is None or self._writing.is_done
        wishes = torch.tensor([self._should_stop(), group.wants_others, written], dtype=torch.float64)
        heard = group.add_up(torch.cat([losses, wishes, goes, busy, self._watch.share(self.step)]))
        loss, steps, seconds, stops, others, parts_written = (float(value) for value in heard[:6])
        ranks = 2 * group.world_size
        (goes, busy), stretches = heard[6 : 6 + ranks].view(2, -1), heard[6 + ranks :]
        own_time.forget()
        self._busy = dict(zip(group.pods, busy.tolist(), strict=False))
        self._leaving = tuple(int(rank) for rank in goes.nonzero().flatten())
        left = group.world_size - len(self._leaving)
        self.stopping, self.regroups = stops > 0 or left == 0, others > 0
        if not math.isfinite(loss):
            message = f"the training loss is {loss} at step {self.step}"
            return self._diverge(Diverged(reason="LossNotFinite", message=message, good_until=self.step - 1))
        if spike := self._watch.take(self.step, stretches):
            return self._diverge(spike)
        self._next_talk = self.step + window.take(loss, steps, seconds / group.world_size)
        saves = self.stopping or left < group.fewest
        self._waits = saves or self.step == self.total
        commits = self._saving is not None and (saves or parts_written == group.world_size)
        return (*((Move.COMMIT,) if commits else ()), *((Move.SAVE,) if saves else ()))

    def _diverge(self, diverged: Diverged) -> tuple[Move, ...]:
        """Has all ranks go back, or RunFault on all of them where they may not, or not again."""
        policy = self._roll_back_policy
        if policy is None or len(self.roll_backs) >= policy.times:
            raise hopeless(diverged, self.roll_backs if policy else None)
        self._diverged = diverged
        return (Move.ROLL_BACK,) if self._saving is None else (Move.COMMIT, Move.ROLL_BACK)

    def _roll_back(self) -> tuple[Move, ...]:
        """Goes back to where training was well, all ranks together, and has it learn more slowly from there.

        Rank 0 notes it before anything else is done: whatever happens then, it is neither forgotten nor counted twice.
        """
        leads = self._group.leads
        diverged, policy = self._diverged, self._roll_back_policy
        assert diverged is not None and policy is not None
        every = self._spec.checkpoints.every_steps
        target = good_checkpoint(self._store, diverged, self.roll_backs, every) if leads else None
        step = target.state.step if target else 0
        rate = self._learning_rate * policy.learning_rate_factor
        if leads:
            self._store.roll_back((*self.roll_backs, diverged.undone(self.step, step, rate)))
        step = self._group.from_leader(step)
        checkpoint = target or (self._read(step) if step else None)
        self.roll_backs = (*self.roll_backs, diverged.undone(self.step, step, rate))
        self._diverged, self._owes_save = None, False
        traffic = self.traffic
        # As in a new process: nothing that is not finite stays behind. The old one goes first, for its memory.
        del self._learner
        self._learner = self._new_learner()
        if checkpoint:
            self._restore(checkpoint)
        else:
            self._window, self._watch = Window(), LossWatch(self._spike_factor, LossHistory())
            self._curve, self.metrics = (), None
            self.step, self._agreed_step, self._next_talk = 0, 0, 1
            self._begin()
        self._learner.count_from(traffic)
        self._point, self._saved = False, checkpoint.reference if checkpoint else None
        return ()

    def _evaluate(self) -> tuple[Move, ...]:
        """Measures the evaluation split, all ranks together."""
        self.metrics = evaluate(
            self._learner.network,
            self._data.splits[self._spec.evaluation.split],
            self._criterion,
            self._spec.evaluation.metrics,
            rank=self._group.rank,
            world_size=self._group.world_size,
            add_up=self._group.add_up,
            at_once=min(CHUNK_RECORDS, self._spec.micro_batch_size or CHUNK_RECORDS),
        )
        return ()

    def _mark(self) -> tuple[Move, ...]:
        """Adds a point to the curve."""
        self._point = True
        self._learner.look_at_residual()
        values = {"trainLoss": self._window.mean, **(self.metrics or {})}
        curve = (*self._curve, CurvePoint(step=self.step, values=values))
        self._curve = curve if len(curve) <= MOST_CURVE_POINTS else (*curve[:-1:2], curve[-1])
        self._window.close_point()
        return ()

    def _save(self) -> tuple[Move, ...]:
        """Has a checkpoint written while training goes on, each rank its part. What is not finite is not saved."""
        learner, group = self._learner, self._group
        kept, moments = learner.kept, learner.moments
        finite = are_finite((*learner.trained, *moments.values(), *kept.values()))
        if not all(each[0] for each in group.gather_bytes(bytes([finite]))):
            message = f"the parameters or the optimizer's state are not finite after step {self.step}"
            return self._diverge(Diverged(reason="WeightsNotFinite", message=message, good_until=self.step - 1))
        files = {compression_file(group.rank): kept} if kept else {}
        if group.leads:
            files |= {WEIGHTS: learner.weights, OPTIMIZER: moments}
            if self.step == self.total and (merged := learner.merged):
                files[MERGED] = merged
        state = self._checkpoint_state() if group.leads else None
        self._writing = Writing(self._store, self.step, files, state, self._writing)
        self._saving, self._owes_save = self.step, False
        self._next_talk = min(self._next_talk, self.step + self._window.soon)
        return (Move.COMMIT,) if self._waits else ()

    def _checkpoint_state(self) -> CheckpointState:
        """What is not a tensor of a checkpoint of this step."""
        schema = DataSchema(
            features=self._data.features, target=self._data.target, shape=self._data.shape, classes=self._data.classes
        )
        return CheckpointState(
            step=self.step, epoch=self._order.epoch(self.step), seed=self._spec.seed, world_size=self._group.world_size, data=schema,
            metrics=self.metrics, curve=self._curve, window_loss=self._window.loss, window_steps=self._window.steps,
            traffic=self.traffic, roll_backs=len(self.roll_backs), history=self._watch.history,
        )  # fmt: skip

    def _commit(self) -> tuple[Move, ...]:
        """Has the checkpoint exist, once all ranks have written their parts."""
        assert self._writing is not None
        files = dict(self._writing.digests)
        own = files.get(compression_file(self._group.rank), "00" * 32)
        digests = self._group.gather_bytes(bytes.fromhex(own))
        if state := self._writing.state:
            files |= {compression_file(rank): digest.hex() for rank, digest in enumerate(digests) if any(digest)}
            self._saved = self._store.commit(state.model_copy(update={"files": files}))
        self._saving = None
        return ()

    @property
    def last_point(self) -> CurvePoint | None:
        """The last point of the curve."""
        return self._curve[-1] if self._curve else None

    @property
    def traffic(self) -> Traffic:
        """What gradients cost a rank, earlier attempts included."""
        return self._learner.traffic

    def snapshot(self) -> Snapshot:
        """What rank 0 says about this step."""
        told = self._curve and (self._point or not self._window.steps)
        loss = self._curve[-1].values["trainLoss"] if told else self._window.mean
        epoch = self._order.epoch(self.step)
        return Snapshot(
            self.step, self.total, epoch, loss, self._window.rate, self.metrics, self._point, self._saved, self.traffic,
            self._learner.skipped_steps, self._busy, self.roll_backs,
        )  # fmt: skip
