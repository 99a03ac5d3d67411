"""Gradients in one flat vector, by name."""

import torch

from headrace_workers.train.compression.layout import Layout


def test_tensors_lie_by_name_and_come_back() -> None:
    """Whatever order they are given in; the padding makes the length a multiple."""
    tensors = {"b": torch.arange(6.0).view(2, 3), "a": torch.ones(2)}
    layout = Layout.of(tensors, 5)
    assert layout.size == 10
    flat = torch.zeros(layout.size)
    layout.pack(tensors, flat)
    assert flat.tolist() == [1.0, 1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 0.0]
    back = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
    layout.unpack(flat, back)
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)
    assert Layout.of(dict(reversed(tensors.items())), 5) == layout


def test_what_is_missing_stays_as_it_is() -> None:
    """Only what is given is copied."""
    layout = Layout.of({"a": torch.ones(2), "b": torch.ones(1)})
    flat = torch.full((3,), 7.0)
    layout.pack({"b": torch.zeros(1)}, flat)
    assert flat.tolist() == [7.0, 7.0, 0.0]
