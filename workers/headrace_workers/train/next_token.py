"""The loss of models that write text: how surprised they are by each token after those before it."""

from dataclasses import dataclass

import torch

from headrace_workers.tokenizing import PADDING

LEAST_WEIGHT = 1e-12
"""Of records that have not two tokens: their loss is nothing, and not nothing divided by nothing."""


@dataclass(frozen=True)
class NextTokenLoss:
    """Cross-entropy over a vocabulary of `outputs` tokens. A record's targets are its inputs; padding counts for nothing."""

    outputs: int
    positions: tuple[int, ...]

    def sum(self, answers: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The sum over tokens; answers (n, length, outputs), of which each place speaks of the next, targets (n, length)."""
        return torch.nn.functional.cross_entropy(
            answers[:, :-1].flatten(0, 1), targets[:, 1:].flatten(), ignore_index=PADDING, reduction="sum"
        )

    def weight(self, targets: torch.Tensor) -> torch.Tensor:
        """How many tokens follow another."""
        return (targets[:, 1:] != PADDING).sum().float().cpu().clamp(min=LEAST_WEIGHT)

    def guesses(self, answers: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The likeliest token of each place, and the true one."""
        real = targets[:, 1:] != PADDING
        return answers[:, :-1].argmax(2)[real], targets[:, 1:][real]
