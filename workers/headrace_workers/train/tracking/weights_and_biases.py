"""Weights & Biases by its own package, wandb, which has its own process for uploads: here it is only told, in bounded time.

The run's id is the same for all attempts. W&B knows how far an earlier attempt came, and takes nothing before that again.
"""

import importlib.util
import logging
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.api.tracking import WeightsAndBiases
from headrace_workers.faults import RunFault
from headrace_workers.train.tracking.tracker import End, Point, Subject, TrackerDown, TrackerRefuses

OPEN_SECONDS = 30.0
UPLOAD_SECONDS = 10.0
"""How long the end waits for what is not uploaded yet."""
REFUSED = re.compile(r"error 40[13]\b")
"""How wandb words a key that its server does not take: as a failure like any other."""

logger = logging.getLogger(__name__)


class WandbTracker:
    """One run of a project."""

    tool = "weightsAndBiases"

    def __init__(self, spec: WeightsAndBiases, subject: Subject, credentials: Mapping[str, str]) -> None:
        """Asks nothing yet; RunFault if the package is missing, which no waiting would bring."""
        if importlib.util.find_spec("wandb") is None:
            message = "spec.tracking.weightsAndBiases needs the package wandb, which the image does not have; build it with EXTRAS=wandb, or take it out of spec.tracking"
            raise RunFault("TrackerMissing", message, retryable=False)
        # wandb reports its own errors home, as Ray does its usage, unless it is told otherwise before it is imported.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        self._spec, self._subject, self._key = spec, subject, credentials.get("WANDB_API_KEY")
        self._run: Any = None
        self._next = 0
        """The first step that the run does not have."""

    def open(self) -> str:
        """The page of the run."""
        import wandb

        if self._run is not None:
            return str(self._run.url or "")
        settings = wandb.Settings(
            api_key=self._key, init_timeout=OPEN_SECONDS, finish_timeout=UPLOAD_SECONDS, finish_timeout_raises=True,
            # The head's logs, its machine and its files are the cluster's own business.
            console="off", disable_git=True, save_code=False, x_disable_stats=True, x_disable_meta=True,
            x_disable_machine_info=True, x_save_requirements=False, silent=True, stop_fn=self._asked_to_stop,
            **({"base_url": self._spec.uri} if self._spec.uri else {}),
        )  # fmt: skip
        try:
            self._run = wandb.init(
                project=self._spec.project, entity=self._spec.entity, id=self._subject.key, name=self._subject.name,
                resume="allow", config={**self._subject.parameters, **self._subject.facts}, allow_val_change=True,
                dir=os.environ.get("WANDB_DIR") or tempfile.mkdtemp(prefix="headrace-wandb-"), settings=settings,
            )  # fmt: skip
        except wandb.errors.Error as error:
            refusals = (wandb.errors.AuthenticationError, wandb.errors.UsageError)
            if isinstance(error, refusals) or REFUSED.search(str(error)):
                raise TrackerRefuses(
                    f"Weights & Biases refuses ({first_line(error)}); look at WANDB_API_KEY in the Secret {self._spec.secret}, and at project and entity"
                ) from error
            raise TrackerDown(
                f"Weights & Biases cannot be reached ({first_line(error)}); see whether the run's NetworkPolicy lets its address through"
            ) from error
        self._next = int(self._run.starting_step)
        return str(self._run.url or "")

    def send(self, points: Sequence[Point], facts: Mapping[str, str]) -> None:
        """Hands over what the run does not have yet; its values of one step may come in several parts."""
        for point in points:
            if point.step >= self._next:
                self._run.log(dict(point.values), step=point.step)
                self._next = point.step
        if facts:
            self._run.summary.update(dict(facts))

    def undo(self, step: int) -> None:
        """W&B takes no step twice: those that are done again keep their first values."""

    def close(self, end: End) -> None:
        """A run that was stopped is preempting, until another attempt goes on with it."""
        if end == End.STOPPED:
            self._run.mark_preempting()
        try:
            self._run.finish(exit_code=0 if end == End.FINISHED else 1)
        except TimeoutError as error:
            raise TrackerDown(
                f"Weights & Biases did not take all within {UPLOAD_SECONDS:g} s, some of the last points may be missing"
            ) from error

    def _asked_to_stop(self) -> None:
        logger.warning(
            "somebody stopped the run's page in Weights & Biases; the run goes on, set spec.suspend to stop it"
        )


def first_line(error: Exception) -> str:
    """The first line of an error's text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
