"""Optimizers, and their state as tensors by parameter name: what a checkpoint can carry to another process."""

from collections.abc import Mapping

import torch

from headrace.api.optimizer import Optimizer, OptimizerName


def optimizer_of(spec: Optimizer, network: torch.nn.Module) -> torch.optim.Optimizer:
    """The optimizer that a spec asks for, over the network's trainable parameters."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if spec.name == OptimizerName.SGD:
        return torch.optim.SGD(
            parameters, lr=spec.learning_rate, momentum=spec.momentum, weight_decay=spec.weight_decay
        )
    kind = torch.optim.Adam if spec.name == OptimizerName.ADAM else torch.optim.AdamW
    return kind(parameters, lr=spec.learning_rate, weight_decay=spec.weight_decay)


def optimizer_tensors(optimizer: torch.optim.Optimizer, network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The optimizer's state as <field>/<parameter name>."""
    named = {name: optimizer.state.get(parameter, {}) for name, parameter in network.named_parameters()}
    return {
        f"{field}/{name}": value
        for name, state in named.items()
        for field, value in state.items()
        if isinstance(value, torch.Tensor)
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, network: torch.nn.Module, tensors: Mapping[str, torch.Tensor]
) -> None:
    """Gives the optimizer the state that `optimizer_tensors` took."""
    parameters = dict(network.named_parameters())
    for key, value in tensors.items():
        field, _, name = key.partition("/")
        parameter = parameters[name]
        # Step counts stay on the CPU, where torch keeps them.
        optimizer.state[parameter][field] = value.clone() if field == "step" else value.to(parameter.device, copy=True)
