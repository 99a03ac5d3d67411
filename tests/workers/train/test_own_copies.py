"""Copies of tensors that nobody else has."""

import pytest
import torch

from headrace_workers.train.own_copies import own_copies
from tests.workers.train.devices import DEVICES


@pytest.mark.parametrize("device", DEVICES)
def test_no_copy_shares_memory_with_anything(device: str) -> None:
    """Not with what it was made of, nor with that of a tied weight; a transposed one is contiguous."""
    tied = torch.arange(6.0, device=device).view(2, 3).requires_grad_()
    copies = own_copies({"a": tied, "b": tied, "c": tied.t()})
    assert len({each.data_ptr() for each in (tied, *copies.values())}) == 4
    assert all(each.is_contiguous() and not each.requires_grad for each in copies.values())
    torch.testing.assert_close(copies["c"], tied.detach().t().cpu())
