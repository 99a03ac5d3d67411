"""Codes of blocks: what comes back, what is lost, and that numba's loops and torch's operations agree."""

import pytest
import torch

from headrace_workers.train.compression import blockwise
from headrace_workers.train.compression.blockwise import Blockwise


def encoded(code: Blockwise, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes, scales and the error that is left."""
    error, lost = torch.zeros_like(values), torch.zeros_like(values)
    codes = torch.zeros(code.code_bytes(len(values)), dtype=torch.uint8)
    scales = torch.zeros(code.scales(len(values)))
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


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("block", [32, 512])
def test_a_value_comes_back_within_half_a_level(bits: int, block: int) -> None:
    """The nearest level of its block; values and error together are what went in."""
    values = torch.randn(block * 5, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 3, block * 5)
    values[:block] = 0.0
    code = Blockwise(bits, block)
    codes, scales, error = encoded(code, values)
    back = torch.zeros_like(values)
    code.add(codes, scales, back)
    torch.testing.assert_close(back, by_definition(values, bits, block))
    torch.testing.assert_close(back + error, values)


@pytest.mark.parametrize("bits", [4, 8])
def test_an_error_is_added_before_the_next_encoding(bits: int) -> None:
    """What was lost is handed back: over many rounds the mean of what came out is what went in."""
    values = torch.randn(512, generator=torch.Generator().manual_seed(1))
    code = Blockwise(bits, 128)
    error, total = torch.zeros(512), torch.zeros(512)
    codes, scales = torch.zeros(code.code_bytes(512), dtype=torch.uint8), torch.zeros(4)
    for _ in range(50):
        code.encode(values, error, error, codes, scales)
        code.add(codes, scales, total)
    torch.testing.assert_close(total + error, 50 * values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_block_that_is_not_finite_is_not_a_number(bits: int, bad: float) -> None:
    """A diverged gradient must not come out as a tame one; other blocks are untouched."""
    values = torch.ones(64)
    values[3] = bad
    code = Blockwise(bits, 32)
    codes, scales, _ = encoded(code, values)
    back = torch.zeros(64)
    code.add(codes, scales, back)
    assert back[:32].isnan().all()
    assert torch.equal(back[32:], torch.ones(32))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("size", [1e-30, 1e-38, 1e-44])
def test_a_block_of_almost_nothing_stays_a_number(bits: int, size: float) -> None:
    """What errors of a dead unit's gradients shrink to: its scale has no inverse."""
    values = torch.full((64,), size)
    values[0] = -size
    code = Blockwise(bits, 32)
    codes, scales, error = encoded(code, values)
    back = torch.zeros(64)
    code.add(codes, scales, back)
    torch.testing.assert_close(back + error, values)


@pytest.mark.parametrize("bits", [4, 8])
def test_torch_and_numba_agree(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way that accelerators take gives the same codes, scales and errors, but for ties that rounding decides."""
    values = torch.randn(4096, generator=torch.Generator().manual_seed(2))
    values[:64] *= 1e-40
    code = Blockwise(bits, 64)
    compiled = encoded(code, values)
    back = torch.zeros(4096)
    code.add(compiled[0], compiled[1], back)
    monkeypatch.delattr(blockwise, "_kernels")
    elsewhere = values.as_subclass(Elsewhere)
    error, scales = torch.zeros(4096).as_subclass(Elsewhere), torch.zeros(64).as_subclass(Elsewhere)
    codes = torch.zeros_like(compiled[0]).as_subclass(Elsewhere)
    code.encode(elsewhere, error, error, codes, scales)
    out = torch.zeros(4096).as_subclass(Elsewhere)
    code.add(codes, scales, out)
    assert torch.equal(scales.as_subclass(torch.Tensor), compiled[1])
    assert (codes.as_subclass(torch.Tensor) != compiled[0]).float().mean() < 0.001
    torch.testing.assert_close(error.as_subclass(torch.Tensor), compiled[2], atol=float(scales.max()), rtol=0)
    torch.testing.assert_close(out.as_subclass(torch.Tensor), back, atol=float(scales.max()), rtol=0)


class Elsewhere(torch.Tensor):
    """A tensor that says it is on no CPU, whose operations run all the same."""

    @property
    def device(self) -> torch.device:
        """Torch's device without storage."""
        return torch.device("meta")
