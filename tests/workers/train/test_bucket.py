"""Gradients in one vector."""

import torch

from headrace_workers.train.bucket import Bucket


def network() -> torch.nn.ModuleDict:
    torch.manual_seed(0)
    return torch.nn.ModuleDict({"narrow": torch.nn.Linear(3, 2), "wide": torch.nn.Linear(2, 1).double()})


def learn(layers: torch.nn.ModuleDict) -> None:
    middle = layers["narrow"](torch.ones(4, 3))
    layers["wide"](middle.double()).sum().backward()


def test_gradients_are_what_autograd_says() -> None:
    """Of float32 parameters without a copy, of others by one; twice in a row, they do not add up."""
    plain, packed = network(), network()
    bucket = Bucket(dict(packed.named_parameters()))
    for _ in range(2):
        plain.zero_grad()
        bucket.clear()
        learn(plain)
        learn(packed)
        bucket.fill()
        for name, parameter in plain.named_parameters():
            assert parameter.grad is not None
            torch.testing.assert_close(bucket.gradients[name], parameter.grad.float())


def test_the_optimizer_sees_what_is_in_the_vector() -> None:
    """After an exchange in place."""
    layers = network()
    bucket = Bucket(dict(layers.named_parameters()))
    bucket.flat.fill_(2.0)
    bucket.hand_back()
    assert all(torch.equal(each.grad, torch.full_like(each, 2.0)) for each in layers.parameters())  # type: ignore[arg-type]
