"""Triton's loops, interpreted on the CPU and compiled on a GPU, and torch's operations give what numba's loops give."""

import importlib
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch

from headrace_workers.train.compression.blockwise import Blockwise
from tests.workers.train.devices import DEVICES

BLOCKS = 5
ENCODED = list[torch.Tensor]
"""What is lost, the codes, the scales, and ones to which what they stand for was added."""


@pytest.fixture(scope="module", params=DEVICES)
def pool(request: pytest.FixtureRequest) -> Iterator[tuple[ProcessPoolExecutor, str]]:
    """A process for a device: Triton reads whether to interpret when it is imported."""
    pytest.importorskip("triton", reason="Triton has no build for this platform")
    with pytest.MonkeyPatch.context() as patch, ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        patch.setenv("TRITON_INTERPRET", "1" if request.param == "cpu" else "0")
        yield pool, request.param


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("block", [32, 96, 512, 65536])
def test_triton_and_numba_agree(pool: tuple[ProcessPoolExecutor, str], bits: int, block: int) -> None:
    """In what every gradient goes through."""
    processes, device = pool
    require_the_same(processes.submit(encoded, "triton_kernels", device, bits, block).result(120), bits, block)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("block", [32, 96, 512])
def test_torch_and_numba_agree(device: str, bits: int, block: int) -> None:
    """Devices that nothing is compiled for go the same way."""
    require_the_same(encoded("torch_kernels", device, bits, block), bits, block)


def require_the_same(theirs: ENCODED, bits: int, block: int) -> None:
    """As by numba: codes but for ties that rounding decides, scales to the last digits."""
    _, codes, scales, out = encoded("numba_kernels", "cpu", bits, block)
    their_lost, their_codes, their_scales, their_out = theirs
    values, error = inputs(block)
    torch.testing.assert_close(their_scales, scales, rtol=1e-6, atol=0)
    assert (their_codes != codes).float().mean() < 0.001
    torch.testing.assert_close(their_lost + their_out, values + error + 1.0)
    torch.testing.assert_close(their_out, out, atol=float(scales.max()), rtol=0)


def inputs(block: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and errors; the first block is all zero, the second almost."""
    random = torch.Generator().manual_seed(2)
    values, error = (torch.randn(block * BLOCKS, generator=random) for _ in range(2))
    values[:block] = error[:block] = 0.0
    values[block : 2 * block] *= 1e-40
    error[block : 2 * block] = 0.0
    return values, error


def encoded(kernels: str, device: str, bits: int, block: int) -> ENCODED:
    """By the module of that name, on a device."""
    module = importlib.import_module(f"headrace_workers.train.compression.{kernels}")
    values, error = (each.to(device) for each in inputs(block))
    lost, out, scales = torch.zeros_like(values), torch.ones_like(values), values.new_zeros(BLOCKS)
    codes = torch.zeros(Blockwise(bits, block).code_bytes(len(values)), dtype=torch.uint8, device=device)
    module.encode(values, error, lost, codes, scales, bits, block)
    module.add(codes, scales, out, bits, block)
    return [each.cpu() for each in (lost, codes, scales, out)]
