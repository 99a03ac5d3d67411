"""Metrics against scikit-learn's."""

import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from headrace.api.train_job import Loss, Metric
from headrace_workers.train.dataset import LoadedDataset, Split
from headrace_workers.train.losses import criterion_of
from headrace_workers.train.metrics import evaluate


class Answers(torch.nn.Module):
    """A network whose answers are its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs + self.nothing


def dataset(records: int = 5000) -> LoadedDataset:
    random = torch.Generator().manual_seed(4)
    # Class 4 never occurs and class 3 hardly: macro averages must neither hide nor invent them.
    targets = torch.multinomial(torch.tensor([0.5, 0.3, 0.19, 0.01]), records, replacement=True, generator=random)
    split = Split(torch.randn(records, 5, generator=random) + torch.nn.functional.one_hot(targets, 5), targets)
    return LoadedDataset({"train": split}, (5,), tuple(range(5)), "features", "label")


@pytest.mark.parametrize("weights", ["None", "Balanced"])
def test_metrics_are_those_of_scikit_learn(weights: str) -> None:
    """Accuracy, macro F1 and the (weighted) loss over several chunks, summed over three ranks' shares."""
    data = dataset()
    split = data.splits["train"]
    criterion = criterion_of(Loss.model_validate({"crossEntropy": {"classWeights": weights}}), data)
    shares: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        shares.append(tensor)
        return sum(shares[1:], shares[0])

    for rank in range(3):
        found = evaluate(
            Answers(), split, criterion, [Metric.ACCURACY, Metric.F1], rank=rank, world_size=3, add_up=keep
        )
    predictions = split.inputs.argmax(1)
    assert found["accuracy"] == pytest.approx(accuracy_score(split.targets, predictions))
    assert found["f1"] == pytest.approx(f1_score(split.targets, predictions, average="macro"))
    expected = torch.nn.functional.cross_entropy(split.inputs, split.targets, getattr(criterion, "weights"))  # noqa: B009
    assert found["loss"] == pytest.approx(float(expected), rel=1e-5)


def test_balanced_weights_give_each_class_the_same_say() -> None:
    """The weights of the records of each class that occurs add up to the same."""
    data = dataset()
    criterion = criterion_of(Loss.model_validate({"crossEntropy": {"classWeights": "Balanced"}}), data)
    targets = data.splits["train"].targets
    sums = [float(criterion.weight(targets[targets == label])) for label in range(4)]
    assert sums == pytest.approx([sums[0]] * 4, rel=1e-4)
