"""What training lowers, as sums: every rank adds its share, so that uneven shares weigh exactly what they hold."""

from dataclasses import dataclass
from typing import Protocol

import torch

from headrace.api.loss import ClassWeights, Loss
from headrace_workers.faults import RunFault
from headrace_workers.train.dataset import LoadedDataset
from headrace_workers.train.next_token import NextTokenLoss


class Criterion(Protocol):
    """A loss whose mean over records is sum(...) / weight(...), both of which add up over ranks."""

    @property
    def outputs(self) -> int:
        """How many numbers the network must answer for a record, or for each of its positions."""

    @property
    def positions(self) -> tuple[int, ...]:
        """The positions of a record for which the network must answer; () where it answers for the whole."""

    def sum(self, answers: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The weighted sum of the records' losses; answers (n, *positions, outputs), targets (n, *positions)."""

    def weight(self, targets: torch.Tensor) -> torch.Tensor:
        """The sum of the records' weights."""

    def guesses(self, answers: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The classes predicted and the true ones, both (predictions,); none if no class is predicted."""


@dataclass(frozen=True)
class ClassLoss:
    """Cross-entropy; `weights` (classes,) or none for equal ones."""

    outputs: int
    weights: torch.Tensor | None
    label_smoothing: float
    positions: tuple[int, ...] = ()

    def sum(self, answers: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The weighted sum over records."""
        weights = None if self.weights is None else self.weights.to(answers.device)
        return torch.nn.functional.cross_entropy(
            answers, targets, weights, reduction="sum", label_smoothing=self.label_smoothing
        )

    def weight(self, targets: torch.Tensor) -> torch.Tensor:
        """The sum of the weights of the records' classes."""
        return torch.tensor(float(len(targets))) if self.weights is None else self.weights[targets.cpu()].sum()

    def guesses(self, answers: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The likeliest class of each record, and the true one."""
        return answers.argmax(1), targets


@dataclass(frozen=True)
class NumberLoss:
    """The squared error; where labels were read as classes, `values` are the numbers that they stand for."""

    values: torch.Tensor | None = None
    outputs: int = 1
    positions: tuple[int, ...] = ()

    def sum(self, answers: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The sum of squares over records."""
        numbers = targets if self.values is None else self.values.to(targets.device)[targets]
        return (answers.squeeze(1) - numbers).square().sum()

    def weight(self, targets: torch.Tensor) -> torch.Tensor:
        """The number of records."""
        return torch.tensor(float(len(targets)))

    def guesses(self, answers: torch.Tensor, targets: torch.Tensor) -> None:
        """None: a number is no class."""


def criterion_of(loss: Loss, data: LoadedDataset) -> Criterion:
    """The loss of a spec for the dataset's kind of target."""
    if loss.next_token:
        if data.vocabulary is None:
            message = f"loss nextToken needs token ids, column {data.features} of the dataset holds numbers; put a tokenize step into the pipeline, or correct dataset.features"
            raise RunFault("LossNotApplicable", message)
        return NextTokenLoss(data.vocabulary, data.shape)
    if loss.cross_entropy is None:
        return NumberLoss(None if data.classes is None else _numbers(data))
    if data.classes is None:
        message = f"loss crossEntropy needs classes, column {data.target} of the dataset holds fractions; use loss meanSquaredError"
        raise RunFault("LossNotApplicable", message)
    weights = None
    if loss.cross_entropy.class_weights == ClassWeights.BALANCED:
        counts = torch.bincount(data.splits["train"].targets, minlength=len(data.classes)).clamp(min=1)
        weights = counts.sum() / (len(data.classes) * counts.float())
    return ClassLoss(len(data.classes), weights, loss.cross_entropy.label_smoothing)


def _numbers(data: LoadedDataset) -> torch.Tensor:
    try:
        return torch.tensor([float(label) for label in data.classes or ()], dtype=torch.float32)
    except (TypeError, ValueError) as error:
        message = f"loss meanSquaredError needs numbers, column {data.target} of the dataset has {error}; use loss crossEntropy"
        raise RunFault("LossNotApplicable", message) from error
