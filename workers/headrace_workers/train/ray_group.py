"""The group of workers as Ray Train runs it: formed, formed anew after a loss, and left when the run ends.

Ray's own checkpoints are not used: each group resumes from ours. How often a run may fail is the operator's business, so
Ray retries without end, and the head judges what it reads on the board. Ray shrinks a group that lost a worker; a group
that is to change without a loss is stopped by the head, which saves first, and formed anew.
"""

import importlib
import logging
import os
import tempfile
import threading
from collections.abc import Mapping

from headrace.api.run_spec import RunSpec
from headrace_workers.ray_cluster import WORKER_RESOURCE
from headrace_workers.train.rank import RankWork, train_rank

COLLECTIVE_TIMEOUT_SECONDS = 120
NEVER_SECONDS = 1e9
"""How often Ray itself considers a larger group: it would start it from the last checkpoint instead of saving first."""
COORDINATOR = "AutoscalingCoordinator"
COORDINATOR_SECONDS = 10.0

logger = logging.getLogger(__name__)

SWITCHES: Mapping[str, str] = {
    # A raylet that is gone without a word is noticed after about 4 s, not 30 s.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "1",
    "RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S": "30",
    # After a loss an elastic group is first tried at its old size, for this long.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "30",
    # Metrics come from the report, and the operator handles drains.
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    # Our logs are the pods'; the user's relative imports need the working directory as it is.
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_ENABLE_WORKER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}


def prepare_environment(environ: "os._Environ[str]") -> None:
    """Sets the switches that the pod does not set itself; before Ray starts."""
    for name, value in SWITCHES.items():
        environ.setdefault(name, value)


def import_early() -> None:
    """Imports Ray Train in the background: the head has nothing to do while its workers come."""
    threading.Thread(
        target=importlib.import_module, args=("headrace_workers.train.lean_trainer",), name="import", daemon=True
    ).start()


class RayGroup:
    """Ray Train in a thread of its own, so that the head can answer signals and read the board."""

    def __init__(self, run: RunSpec, work: RankWork, joined: int) -> None:
        """Starts forming a group of as many workers as have joined, or of fewer if some go meanwhile."""
        self.error: Exception | None = None
        self._run = run
        self._joined = joined
        self._thread = threading.Thread(target=self._fit, args=(work,), name="ray-train", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether Ray has given up or all ranks have returned."""
        return not self._thread.is_alive()

    def _fit(self, work: RankWork) -> None:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig

        from headrace_workers.train.lean_trainer import LeanTorchTrainer

        look_at_nodes_anew()
        assert self._run.train is not None
        fewest, gpus = self._run.min_workers, self._run.train.workers.resources.gpu
        # The operator decides how many pods there are: the run's maximum may have been raised since it began.
        most = max(self._joined, self._run.max_workers)
        elastic = {"num_workers": (fewest, most), "elastic_resize_monitor_interval_s": NEVER_SECONDS}
        resources = {WORKER_RESOURCE: 1, **({"GPU": gpus} if gpus else {})}
        try:
            with tempfile.TemporaryDirectory(prefix="headrace-train-") as scratch:
                LeanTorchTrainer(
                    lambda: train_rank(work),
                    torch_config=TorchConfig(timeout_s=COLLECTIVE_TIMEOUT_SECONDS),
                    scaling_config=ScalingConfig(
                        use_gpu=gpus > 0,
                        resources_per_worker=resources,
                        **(elastic if fewest < most else {"num_workers": most}),
                    ),
                    run_config=RunConfig(
                        name=f"r{self._run.identity.run}",
                        storage_path=scratch,
                        failure_config=FailureConfig(max_failures=-1),
                    ),
                ).fit()
        except Exception as error:  # noqa: BLE001 (the head looks at it when the group has ended)
            self.error = error


def look_at_nodes_anew() -> None:
    """Has Ray Train count the nodes that there are now: a coordinator, which outlives a group, lists them every 20 s.

    A group formed for a worker that has just joined would else leave it out. Where a release renames what is asked here,
    the group is formed without, and the next one takes the worker in.
    """
    import ray

    try:
        coordinator = ray.get_actor(COORDINATOR, namespace=COORDINATOR)
    except ValueError:
        # The first group brings it along, and with it a list of now.
        return
    try:
        ray.get(coordinator.get_reserved_resources.remote("headrace", recompute=True), timeout=COORDINATOR_SECONDS)
    except (AttributeError, TypeError, ray.exceptions.RayError) as error:
        logger.warning("Ray's list of nodes may be old, and a worker that has just joined be left out: %s", error)
