"""Metrics against scikit-learn's."""

from itertools import pairwise

import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from headrace.api.loss import Loss
from headrace.api.train_job import Metric
from headrace_workers.faults import RunFault
from headrace_workers.train import metrics
from headrace_workers.train.dataset import LoadedDataset, Split
from headrace_workers.train.losses import criterion_of
from headrace_workers.train.metrics import evaluate, require_defined
from headrace_workers.train.next_token import NextTokenLoss
from tests.workers.train.sequences import VOCABULARY, sequences


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


class Frequencies(torch.nn.Module):
    """A network of sequences that expects the number after the one before, nine times in ten."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))
        self.records: list[int] = []

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        self.records.append(len(ids))
        expected = torch.where(ids == VOCABULARY - 1, 4, ids + 1)
        shares = torch.full((*ids.shape, VOCABULARY), 0.1 / (VOCABULARY - 1)).scatter(2, expected.unsqueeze(2), 0.9)
        return shares.log() + self.nothing


def test_each_next_token_is_a_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss, perplexity and accuracy are means over tokens, as many records at once as answers have room, over two ranks."""
    data = sequences()
    split, criterion = data.splits["train"], criterion_of(Loss.model_validate({"nextToken": {}}), data)
    monkeypatch.setattr(metrics, "CHUNK_NUMBERS", 7 * 8 * VOCABULARY)
    network, shares = Frequencies(), list[torch.Tensor]()

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        shares.append(tensor)
        return sum(shares[1:], shares[0])

    wanted = [Metric.PERPLEXITY, Metric.ACCURACY]
    for rank in range(2):
        found = evaluate(network, split, criterion, wanted, rank=rank, world_size=2, add_up=keep)
    pairs = [pair for row in split.inputs.tolist() for pair in pairwise(row) if pair[1]]
    right = sum(after == before + 1 or (before, after) == (VOCABULARY - 1, 4) for before, after in pairs) / len(pairs)
    assert found["accuracy"] == pytest.approx(right)
    loss = -right * torch.tensor(0.9).log() - (1 - right) * torch.tensor(0.1 / (VOCABULARY - 1)).log()
    assert found["loss"] == pytest.approx(float(loss), rel=1e-5)
    assert found["perplexity"] == pytest.approx(float(loss.exp()), rel=1e-5)
    assert max(network.records) == 7


def test_a_metric_without_a_meaning_is_refused() -> None:
    """Perplexity of labels, and accuracy of numbers."""
    data = dataset()
    with pytest.raises(RunFault, match="use it with loss nextToken"):
        require_defined([Metric.PERPLEXITY], criterion_of(Loss.model_validate({"crossEntropy": {}}), data), data)
    with pytest.raises(RunFault, match="metric accuracy needs classes"):
        require_defined([Metric.ACCURACY], criterion_of(Loss.model_validate({"meanSquaredError": {}}), data), data)
    require_defined(list(Metric), NextTokenLoss(5, (4,)), data)
