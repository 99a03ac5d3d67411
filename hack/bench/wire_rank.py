#!/usr/bin/env python3
"""One rank of the benchmark of compression, in its own network namespace; prints a line of JSON for each measurement.

Methods take turns, each with a network of its own: `none` is torch's own DDP as it comes, the others are ours.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, str(Path(__file__).parent))

from learning import TASKS, Task
from slow_network import DEVICE, LEADER

from headrace.api.compression import Compression
from headrace_workers.train.bucket import Bucket
from headrace_workers.train.compression import exchange_of, local_steps


def sent_bytes() -> int:
    """What has left by the network so far."""
    return int(Path(f"/sys/class/net/{DEVICE}/statistics/tx_bytes").read_text())


def measure(task: Task, method: Compression, rate: float, seed: int, steps: int, warm: int) -> dict[str, object]:
    """Trains for so many steps; seconds, bytes and encoding a step without the first `warm` ones, the loss, and whether ranks agree."""
    torch.manual_seed(seed)
    network = task.build()
    plain = DistributedDataParallel(network) if method.none else None
    parameters = dict(network.named_parameters())
    bucket = None if plain else Bucket(parameters)
    exchange = exchange_of(method, dist.get_world_size(), dist.get_rank(), seed)
    rounds = local_steps(method, network, parameters, exchange)
    since = 0
    optimizer, batches = task.optimizer(network, rate), task.batches(seed, dist.get_rank())
    started = sent = encoding = 0.0
    for step in range(1, steps + 1):
        if step == warm + 1:
            dist.barrier()
            started, sent, encoding = time.perf_counter(), float(sent_bytes()), exchange.encoding_seconds
        exchange.step = step
        if bucket:
            bucket.clear()
        else:
            optimizer.zero_grad()
        task.loss(plain or network, next(batches)).backward()
        if bucket and not rounds:
            exchange.exchange(bucket.flat, bucket.gradients)
        optimizer.step()
        since += 1
        if rounds:
            rounds.took_step()
        if rounds and (rounds.ends(step) or step == steps):
            rounds.finish(since)
            since = 0
    dist.barrier()
    timed = steps - warm
    seconds, wire = (time.perf_counter() - started) / timed, (sent_bytes() - sent) / timed
    own = hashlib.sha256(b"".join(each.detach().numpy().tobytes() for each in network.parameters())).digest()
    digests: list[object] = [None] * dist.get_world_size()
    dist.all_gather_object(digests, own)
    return {
        "seconds": seconds, "bytes": wire, "counted": exchange.bytes_sent / steps, "same": len(set(digests)) == 1,
        "encoding": (exchange.encoding_seconds - encoding) / timed, "loss": task.evaluate(network),
        "method": exchange.method,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rank", type=int)
    parser.add_argument("ranks", type=int)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("work", help="a JSON list of [name, compression, learning rate, seed, steps, untimed steps]")
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR=LEADER, MASTER_PORT="29500", GLOO_SOCKET_IFNAME=DEVICE)
    dist.init_process_group(
        "gloo", rank=options.rank, world_size=options.ranks, timeout=timedelta(seconds=120)
    )  # fmt: skip
    task = TASKS[options.task]()
    for name, method, rate, seed, steps, warm in json.loads(options.work):
        found = measure(task, Compression.model_validate(method), rate, seed, steps, warm)
        if options.rank == 0:
            print(json.dumps({"name": name, **found}), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
