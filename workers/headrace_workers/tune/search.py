"""One search: Optuna asks and is told, the journal remembers, and nothing here knows what runs the trials.

The same journal and spec give the same search again: finished trials are told to Optuna as they were, those that were
running are handed out once more with the values they had.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from headrace.api.run_report import BestTrial, Trials
from headrace.api.tune_job import Goal, TuneJobSpec
from headrace_workers.faults import RunFault
from headrace_workers.tune.journal import Ended, Journal, Lost, Measured, Started, State, TrialRecord, records
from headrace_workers.tune.pruners import pruner_for
from headrace_workers.tune.samplers import sampler_for
from headrace_workers.tune.space import combinations, distribution_of, in_dependency_order, sample, to_optuna

MAX_LOSSES = 3
"""How often a trial whose worker was lost is run again before it counts as failed."""
FIRST_TRIALS = 3
"""When at least this many of the first trials all fail, the rest would too."""
STUDY = "headrace"
"""Hyperband deals trials to brackets by the study's name, so it must be the same after a restart."""
FIXED_PARAMETERS = "fixed_params"
"""Where Optuna looks for the values of an enqueued trial."""
STATES = {State.COMPLETE: TrialState.COMPLETE, State.PRUNED: TrialState.PRUNED, State.FAILED: TrialState.FAIL}


class Search:
    """Hands out trials, hears what they measure, and knows the best."""

    def __init__(self, spec: TuneJobSpec, journal: Journal, clock: Callable[[], float]) -> None:
        """Takes up what the journal has; RunFault if `search` cannot be searched."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._spec = spec
        self._journal = journal
        self._clock = clock
        self._ordered = in_dependency_order(spec.search)
        self._grid = combinations(self._ordered) if spec.algorithm.grid is not None else None
        self.budget_trials = min(spec.budget.trials, len(self._grid)) if self._grid else spec.budget.trials
        epochs_vary = any(dimension.path == "epochs" for dimension in spec.search)
        self._study = optuna.create_study(
            study_name=STUDY,
            direction=StudyDirection.MAXIMIZE if spec.objective.goal is Goal.MAXIMIZE else StudyDirection.MINIMIZE,
            sampler=sampler_for(spec.algorithm, spec.seed, 0),
            pruner=pruner_for(spec.early_stopping, None if epochs_vary else spec.template.epochs),
        )
        self._running: dict[int, Trial] = {}
        self._records: dict[int, TrialRecord] = {}
        self._again: list[int] = []
        self.ended: list[TrialRecord] = []
        self._restore()
        spent = max((trial.seconds for trial in self.ended), default=0.0)
        self._started_at = clock() - spent

    @property
    def seconds(self) -> float:
        """How long the search has been active, over all attempts as far as the journal tells."""
        return self._clock() - self._started_at

    @property
    def exhausted(self) -> bool:
        """Whether no trial is left to start."""
        limit = self._spec.budget.seconds
        used_up = len(self._records) >= self.budget_trials or (limit is not None and self.seconds >= limit)
        return used_up and not self._again

    def next_trial(self) -> TrialRecord | None:
        """The next trial to run: one that must run again, or a new one; None when the budget is used up."""
        if self._again:
            return self._records[self._again.pop(0)]
        if self.exhausted:
            return None
        number = len(self._records)
        if self._grid is not None:
            self._study.enqueue_trial(to_optuna(self._spec.search, self._grid[number]))
        self._study.sampler = sampler_for(self._spec.algorithm, self._spec.seed, number)
        trial = self._study.ask()
        chosen = sample(self._ordered, trial)
        record = TrialRecord(number, chosen, self._attributes(number))
        self._journal.write(Started(number, chosen, record.attributes))
        self._running[number], self._records[number] = trial, record
        return record

    def is_running(self, number: int) -> bool:
        """Whether the trial's end is still open: false once it was pruned, whatever its worker says later."""
        return self._records[number].state is State.RUNNING

    def measured(self, number: int, epoch: int, value: float) -> bool:
        """Notes a running trial's objective after `epoch` whole epochs and says whether to stop it here.

        An epoch that was measured before (the trial resumed from an earlier checkpoint) changes nothing.
        """
        record = self._records[number]
        if not self.is_running(number) or epoch < 1 or epoch in record.values:
            return False
        self._journal.write(Measured(number, epoch, value))
        self._records[number] = replace(record, values={**record.values, epoch: value})
        trial = self._running[number]
        trial.report(value, epoch)
        return trial.should_prune()

    def complete(self, number: int, value: float, metrics: dict[str, float]) -> None:
        """Ends a trial that ran whole; one whose objective is no number counts as failed."""
        if math.isfinite(value):
            self._end(number, State.COMPLETE, value=value, metrics=metrics)
        else:
            self.fail(number, f"{self._spec.objective.metric} ended as {value}; the values it was given do not train")

    def prune(self, number: int) -> None:
        """Ends a trial that early stopping stopped."""
        values = self._records[number].values
        self._end(number, State.PRUNED, value=values[max(values)])

    def fail(self, number: int, error: str) -> None:
        """Ends a trial that failed; RunFault once all of the first trials have."""
        self._end(number, State.FAILED, error=error[:1024])
        first = min(max(FIRST_TRIALS, self._spec.budget.parallel), self.budget_trials)
        if len(self.ended) >= first and all(trial.state is State.FAILED for trial in self.ended):
            message = f"the first {len(self.ended)} trials all failed, the first with: {self.ended[0].error}"
            raise RunFault("TrialsFailed", message[:1024])

    def lost(self, number: int) -> None:
        """Puts a trial whose worker is gone first in line, or ends it as failed when that happened too often."""
        record = replace(self._records[number], losses=self._records[number].losses + 1)
        self._journal.write(Lost(number))
        self._records[number] = record
        if record.losses > MAX_LOSSES:
            self.fail(number, f"trial {number} lost its worker {record.losses} times; look for memory it runs out of")
        else:
            self._again.append(number)

    @property
    def best(self) -> TrialRecord | None:
        """The best complete trial; of equals the one with the lowest number."""
        complete = [trial for trial in self.ended if trial.state is State.COMPLETE]
        sign = -1.0 if self._spec.objective.goal is Goal.MAXIMIZE else 1.0
        return min(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None)

    @property
    def best_report(self) -> BestTrial | None:
        """The best trial as the report shows it."""
        best = self.best
        return BestTrial(number=best.number, value=best.value or 0.0, parameters=best.chosen) if best else None

    @property
    def losses(self) -> int:
        """How often a worker was lost under a trial."""
        return sum(record.losses for record in self._records.values())

    def counts(self, running: int) -> Trials:
        """The trials by how they ended; `running` is what the caller runs now."""
        ended = [trial.state for trial in self.ended]
        complete, pruned, failed = (ended.count(state) for state in (State.COMPLETE, State.PRUNED, State.FAILED))
        return Trials(complete=complete, pruned=pruned, failed=failed, running=running)

    def _end(
        self,
        number: int,
        state: State,
        *,
        value: float | None = None,
        metrics: dict[str, float] | None = None,
        error: str = "",
    ) -> None:
        trial = self._running.pop(number)
        self._study.tell(trial, value if state is State.COMPLETE else None, state=STATES[state])
        event = Ended(number, state, value, metrics or {}, error, round(self.seconds, 3), self._attributes(number))
        self._journal.write(event)
        record = replace(
            self._records[number], state=state, value=value, metrics=event.metrics, error=error, seconds=event.seconds,
            attributes=event.attributes,
        )  # fmt: skip
        self._records[number] = record
        self.ended.append(record)

    def _attributes(self, number: int) -> dict[str, object]:
        attributes = self._study.get_trials(deepcopy=False)[number].system_attrs
        return {name: value for name, value in attributes.items() if name != FIXED_PARAMETERS}

    def _restore(self) -> None:
        trials, self.ended = records(self._journal.read())
        self._records = {trial.number: trial for trial in trials}
        for record in trials:
            self._study.add_trial(self._frozen(record))
            if record.state is State.RUNNING:
                self._take_up(record)

    def _take_up(self, record: TrialRecord) -> None:
        self._study.sampler = sampler_for(self._spec.algorithm, self._spec.seed, record.number)
        trial = self._study.ask()
        sample(self._ordered, trial)
        for epoch, value in sorted(record.values.items()):
            trial.report(value, epoch)
        self._running[record.number] = trial
        self._again.append(record.number)

    def _frozen(self, record: TrialRecord) -> FrozenTrial:
        parameters = to_optuna(self._spec.search, record.chosen)
        if record.state is State.RUNNING:
            attributes = {**record.attributes, FIXED_PARAMETERS: parameters}
            return create_trial(state=TrialState.WAITING, system_attrs=attributes)
        distributions = {d.path: distribution_of(d) for d in self._spec.search if d.path in parameters}
        return create_trial(
            state=STATES[record.state],
            value=record.value,
            params=parameters,
            distributions=distributions,
            system_attrs=record.attributes,
            intermediate_values=record.values,
        )
