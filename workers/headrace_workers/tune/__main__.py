"""The head of a TuneJob's run: a Ray head, a search on it, and the best trial published as the model version.

After a crash the same command finishes what is missing: the journal says which trials ended, their checkpoints where the
others go on, and a version that is there is not published again.
"""

import os
import sys
from typing import Any

from headrace.api.artifacts import DatasetVersion, ModelVersion
from headrace.api.train_job import TrainJobSpec
from headrace_workers.head import Head, run_head
from headrace_workers.ray_cluster import HeadSettings, start_head
from headrace_workers.storage import Folder
from headrace_workers.train.publish import publish_model, published_version, version_name
from headrace_workers.tune.journal import TrialRecord
from headrace_workers.tune.trial_events import Runner, trial_folder
from headrace_workers.tune.whole_search import HISTORY, Means, check_spec, dataset_of, spec_of, whole_search


def body(head: Head) -> dict[str, Any]:
    """Searches on the workers of this run and returns the report's final fields."""
    check_spec(spec_of(head))
    start_head(HeadSettings.from_environment(os.environ))
    return whole_search(head, Means(_ray_runner, lambda *best: _publish(head, *best)))


def _ray_runner(dataset: DatasetVersion, storage: Folder, most: int) -> Runner:
    # Ray reads its switches when it is first imported, so not before start_head has set them.
    from headrace_workers.tune.ray_trials import RayTrials

    return RayTrials(dataset, storage, most)


def _publish(head: Head, best: TrialRecord, train: TrainJobSpec, image: bytes) -> ModelVersion:
    run, models = head.spec.identity, Folder(head.spec.publish)
    if published_version(run, models) is None:
        # Before model.json, which lists what is there and makes the folder immutable.
        models.sub(version_name(run)).write(HISTORY, image)
    checkpoints = trial_folder(head.storage, best.number).sub("checkpoints")
    return publish_model(
        run, train, dataset_of(head), models=models, checkpoints=checkpoints, metrics=best.metrics, trial=best.number
    )


if __name__ == "__main__":
    sys.exit(run_head(body))
