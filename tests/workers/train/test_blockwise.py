"""Codes of blocks: what comes back, what is lost, and what is not finite."""

import pytest
import torch

from headrace_workers.train.compression.blockwise import Blockwise
from tests.workers.train.devices import DEVICES


def encoded(code: Blockwise, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes, scales and the error that is left."""
    error, lost = torch.zeros_like(values), torch.zeros_like(values)
    codes = torch.zeros(code.code_bytes(len(values)), dtype=torch.uint8, device=values.device)
    scales = torch.zeros(code.scales(len(values)), device=values.device)
    code.encode(values, error, lost, codes, scales)
    return codes, scales, lost


def by_definition(values: torch.Tensor, bits: int, block: int) -> torch.Tensor:
    """What a reader gets back, block by block."""
    levels = 2 ** (bits - 1) - 1
    out = []
    for part in values.split(block):
        scale = part.abs().max() / levels
        out.append(torch.round(part / scale) * scale if scale > 0 else torch.zeros_like(part))
    return torch.cat(out)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("block", [32, 96, 512])
def test_a_value_comes_back_within_half_a_level(device: str, bits: int, block: int) -> None:
    """The nearest level of its block; values and error together are what went in."""
    values = torch.randn(block * 5, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 3, block * 5)
    values[:block] = 0.0
    values = values.to(device)
    code = Blockwise(bits, block)
    codes, scales, error = encoded(code, values)
    back = torch.zeros_like(values)
    code.add(codes, scales, back)
    torch.testing.assert_close(back, by_definition(values, bits, block))
    torch.testing.assert_close(back + error, values)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("bits", [4, 8])
def test_an_error_is_added_before_the_next_encoding(device: str, bits: int) -> None:
    """What was lost is handed back: over many rounds the mean of what came out is what went in."""
    values = torch.randn(512, generator=torch.Generator().manual_seed(1)).to(device)
    code = Blockwise(bits, 128)
    error, total = torch.zeros_like(values), torch.zeros_like(values)
    codes, scales = torch.zeros(code.code_bytes(512), dtype=torch.uint8, device=device), values.new_zeros(4)
    for _ in range(50):
        code.encode(values, error, error, codes, scales)
        code.add(codes, scales, total)
    torch.testing.assert_close(total + error, 50 * values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_block_that_is_not_finite_is_not_a_number(device: str, bits: int, bad: float) -> None:
    """A diverged gradient must not come out as a tame one; other blocks are untouched."""
    values = torch.ones(64, device=device)
    values[3] = bad
    code = Blockwise(bits, 32)
    codes, scales, _ = encoded(code, values)
    back = torch.zeros_like(values)
    code.add(codes, scales, back)
    assert back[:32].isnan().all()
    assert torch.equal(back[32:].cpu(), torch.ones(32))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("size", [1e-30, 1e-38, 1e-44])
def test_a_block_of_almost_nothing_stays_a_number(device: str, bits: int, size: float) -> None:
    """What errors of a dead unit's gradients shrink to: its scale has no inverse."""
    values = torch.full((64,), size)
    values[0] = -size
    values = values.to(device)
    code = Blockwise(bits, 32)
    codes, scales, error = encoded(code, values)
    back = torch.zeros_like(values)
    code.add(codes, scales, back)
    torch.testing.assert_close(back + error, values)
