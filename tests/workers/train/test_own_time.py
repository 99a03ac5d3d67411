"""How long a rank is busy itself."""

import time

import pytest
import torch

from headrace_workers.train.compression.base import Wire
from headrace_workers.train.own_time import OwnTime

PAUSE = 0.05


def wait(*_: torch.Tensor) -> None:
    """A collective in which others are late."""
    time.sleep(4 * PAUSE)


def test_what_others_take_does_not_count() -> None:
    """Of computing, a collective and computing again the two count, and nothing outside."""
    own = OwnTime("cpu")
    wire = own.watched(Wire(wait, wait, wait))
    for collective in (
        wire.add_up,
        lambda tensor: wire.swap(tensor, tensor),
        lambda tensor: wire.gather(tensor, tensor),
    ):
        own.forget()
        with own.counting():
            time.sleep(PAUSE)
            collective(torch.zeros(1))
            time.sleep(PAUSE)
        wait()
        assert 2 * PAUSE <= own.seconds < 5 * PAUSE


def test_what_failed_does_not_count() -> None:
    """It is done again with other ranks, and counts then."""
    own = OwnTime("cpu")

    def fail(_: torch.Tensor) -> None:
        raise ConnectionError

    wire = own.watched(Wire(add_up=fail))

    def step() -> None:
        with own.counting():
            time.sleep(PAUSE)
            wire.add_up(torch.zeros(1))

    with pytest.raises(ConnectionError):
        step()
    assert own.seconds == 0
    with own.counting():
        pass
    assert own.seconds < PAUSE


@pytest.mark.gpu
def test_on_a_gpu_it_is_the_gpus_time() -> None:
    """What the GPU computes counts where the host has only told it to, and what another stream makes it wait for does not."""
    own, others = OwnTime("cuda"), torch.cuda.Stream()
    matrix = torch.randn(8192, 8192, device="cuda")
    torch.cuda.synchronize()

    def multiply(times: int) -> None:
        for _ in range(times):
            matrix @ matrix

    def late(_: torch.Tensor) -> None:
        with torch.cuda.stream(others):
            multiply(200)
        torch.cuda.current_stream().wait_stream(others)

    multiply(1)
    wire = own.watched(Wire(add_up=late))
    seconds = []
    for times in (10, 40):
        own.forget()
        began = time.perf_counter()
        with own.counting():
            multiply(times)
            wire.add_up(matrix)
        told = time.perf_counter() - began
        seconds.append(own.seconds)
        whole = time.perf_counter() - began
        print(f"{times} products: told in {told:.4f} s, busy for {own.seconds:.4f} s, all over after {whole:.4f} s")
        assert told < own.seconds < whole / 2
    assert 3 < seconds[1] / seconds[0] < 5
