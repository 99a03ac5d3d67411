#!/usr/bin/env python3
"""torchft's own Manager at the same task on the same network: how long the others stand still when a rank is killed.

Plain gradients, for torchft has no compression; ranks in their namespaces, without Ray. Its state travels by pickle.
"""

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torchft.checkpointing.pg_transport import PGTransport
from torchft.coordination import LighthouseServer
from torchft.manager import Manager
from torchft.process_group import ProcessGroupGloo

sys.path.insert(0, str(Path(__file__).parent))
from learning import digits
from slow_network import DEVICE, LEADER, SUBNET, namespace

from headrace_workers.train.bucket import Bucket

START_SECONDS = 60.0
STEPS = 12
"""Before the kill, and after it."""


def train(rank: int, lighthouse: str) -> None:
    """One rank; prints a line at each step."""
    os.environ["GLOO_SOCKET_IFNAME"] = DEVICE
    torch.set_num_threads(1)
    host = f"{SUBNET}.{rank + 1}"
    store = dist.TCPStore(host, 0, is_master=True, wait_for_workers=False)
    task = digits()
    torch.manual_seed(0)
    network = task.build()
    optimizer = task.optimizer(network, 0.05)

    def load(state: dict[str, Any]) -> None:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])

    processes = ProcessGroupGloo(timeout=timedelta(seconds=30))
    # Its HTTP transport listens where the host's name leads, which is not this namespace.
    transport = PGTransport(processes, timeout=timedelta(seconds=30), device=torch.device("cpu"))
    manager = Manager(
        pg=processes, checkpoint_transport=transport, load_state_dict=load,
        state_dict=lambda: {"network": network.state_dict(), "optimizer": optimizer.state_dict()},
        min_replica_size=1, use_async_quorum=False, timeout=timedelta(seconds=30), rank=0, world_size=1, store_addr=host,
        store_port=store.port, lighthouse_addr=lighthouse, replica_id=f"rank{rank}_{rank}", hostname=host,
    )  # fmt: skip
    # Its own DDP wrapper fails an assertion in the first step that a rank is lost in.
    bucket, batches = Bucket(dict(network.named_parameters())), task.batches(0, rank)
    while True:
        manager.start_quorum()
        bucket.clear()
        task.loss(network, next(batches)).backward()
        manager.allreduce(bucket.flat).wait()
        if manager.should_commit():
            optimizer.step()
        print(json.dumps({"step": manager.current_step(), "ranks": manager.num_participants()}), flush=True)


def measure_torchft(workers: int, mbits: int) -> None:
    """Kills one of the ranks and starts another; prints the others' pause and when the new one trains."""
    server = LighthouseServer(bind=f"{SUBNET}.254:0", min_replicas=1, heartbeat_timeout_ms=2000, join_timeout_ms=1000)
    address = f"http://{SUBNET}.254:{server.address().rpartition(':')[2]}"
    ranks: dict[int, subprocess.Popen[str]] = {}
    said: list[tuple[float, int, int, int]] = []
    """Time, rank, step and ranks."""

    def start(rank: int) -> None:
        command = ["ip", "netns", "exec", namespace(rank), sys.executable, __file__, str(rank), address]
        ranks[rank] = process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        os.set_blocking(process.stdout.fileno(), False)

    def until(holds: Callable[[], bool], seconds: float) -> None:
        ends = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > ends:
                raise SystemExit(f"torchft's ranks did not get there within {seconds:g} s; the last steps: {said[-4:]}")
            for rank, process in ranks.items():
                for line in iter(process.stdout.readline, "") if process.stdout else ():
                    if line.startswith("{"):
                        found = json.loads(line)
                        said.append((time.monotonic(), rank, found["step"], found["ranks"]))
            time.sleep(0.01)

    try:
        for rank in range(1, workers + 1):
            start(rank)
        until(lambda: bool(said) and said[-1][3] == workers, START_SECONDS)
        calm = len(said)
        until(lambda: len(said) > calm + STEPS * workers, START_SECONDS)
        before = said[-1][2]
        ranks[workers].send_signal(signal.SIGKILL)
        at = time.monotonic()
        until(lambda: any(when > at and step > before + 3 and rank == 1 for when, rank, step, _ in said), START_SECONDS)
        start(workers)
        back = time.monotonic()
        until(lambda: any(when > back and rank == workers for when, rank, _, _ in said), START_SECONDS)
        joined = time.monotonic()
        until(lambda: said[-1][0] > joined + 5, START_SECONDS)
        times = [when for when, rank, _, _ in said if rank == 1]
        pauses = [(later - earlier, later) for earlier, later in itertools.pairwise(times)]
        killed = max(gap for gap, when in pauses if at - 1 < when < back)
        join = max((gap for gap, when in pauses if back <= when), default=0.0)
        print(f"torchft at {mbits} Mbit/s, plain gradients: a rank killed: {killed:.1f} s without a step; the new one trains after {joined - back:.1f} s, others without a step {join:.1f} s", flush=True)  # fmt: skip
    finally:
        for process in ranks.values():
            process.kill()
            process.wait()
        server.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rank", type=int)
    parser.add_argument("lighthouse", help=f"as in http://{LEADER}:1234")
    options = parser.parse_args()
    train(options.rank, options.lighthouse)


if __name__ == "__main__":
    main()
