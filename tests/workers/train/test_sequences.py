"""Sequences through the loop that numbers go through: nothing of it is other for them."""

from pathlib import Path
from typing import Any

import pytest
import torch

from headrace_workers.faults import Interrupted, RunFault
from headrace_workers.storage import Folder
from headrace_workers.train.checkpoints import WEIGHTS, Checkpoints
from headrace_workers.train.dataset import LoadedDataset
from headrace_workers.train.group import Group
from headrace_workers.train.learner import Learner
from headrace_workers.train.loop import fit
from headrace_workers.train.losses import criterion_of
from headrace_workers.train.progress import FitResult
from tests.workers.train.builders import blobs, equal, learn, learners, train_spec
from tests.workers.train.sequences import NEXT, READER, WRITER, labelled, sequences

BATCH = torch.arange(33)


def trained(folder: Path, data: LoadedDataset, *, stops: bool = False, **changes: Any) -> FitResult:
    """A training of six epochs."""
    spec = train_spec(epochs=6, **changes)
    return fit(spec, data, Folder(f"file://{folder}"), group=Group(), on_progress=lambda _: None, should_stop=lambda: stops)  # fmt: skip


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Of the newest checkpoint."""
    checkpoint = Checkpoints(Folder(f"file://{folder}/checkpoints")).newest()
    assert checkpoint
    return checkpoint.tensors(WEIGHTS)


@pytest.mark.parametrize(("count", "size"), [(3, None), (1, 4), (2, 5)])
def test_tokens_weigh_the_same_on_all_ranks_and_in_all_parts(count: int, size: int | None) -> None:
    """Whatever share of the tokens a rank or a part has: the step that one rank takes at once."""
    (alone,) = learners(1, sequences(), **NEXT)
    shared = learners(count, sequences(), **NEXT, **({"microBatchSize": size} if size else {}))
    for step, batch in enumerate((BATCH, BATCH[:2], BATCH), start=1):
        (whole,), parts = learn([alone], step, batch), learn(shared, step, batch)
        torch.testing.assert_close(sum(each.loss for each in parts), whole.loss, rtol=1e-4, atol=1e-6)
    for name, each in alone.weights.items():
        torch.testing.assert_close(shared[0].weights[name], each, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "BFloat16"},
        {"precision": "Float16"},
        {"activationCheckpointing": {"modules": ["blocks"]}},
        {"gradientClipping": {"maxNorm": 1.0}, "compression": {"powerSgd": {}}},
        {"optimizer": {"name": "SGD", "learningRate": 0.3, "momentum": 0.9}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_way_to_train_is_open_to_a_language_model(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Its loss falls below that of one who knows the eight numbers alone, log 8 = 2.08."""
    assert trained(tmp_path, sequences(), **{**NEXT, **changes}).metrics["loss"] < 1.6


def test_checkpointed_activations_change_no_bit(tmp_path: Path) -> None:
    """Blocks that are computed twice, dropout and all, learn the same."""
    dropout = NEXT | {"model": {**WRITER, "parameters": {**WRITER["parameters"], "dropout": 0.1}}}
    trained(tmp_path / "kept", sequences(), **dropout)
    trained(tmp_path / "twice", sequences(), **dropout, activationCheckpointing={"modules": ["blocks"]})
    assert equal(weights(tmp_path / "kept"), weights(tmp_path / "twice"))


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    """Stopped at its first word, it goes on from its checkpoint as if nothing had been."""
    trained(tmp_path / "whole", sequences(), **NEXT)
    with pytest.raises(Interrupted):
        trained(tmp_path / "cut", sequences(), stops=True, **NEXT)
    resumed = trained(tmp_path / "cut", sequences(), **NEXT)
    assert resumed.resumed_from
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "cut"))


@pytest.mark.parametrize("model", [{"builtin": "TextClassifier"}, READER], ids=lambda model: str(model["builtin"]))
def test_classes_of_sequences_are_learnt(tmp_path: Path, model: dict[str, Any]) -> None:
    """A transformer sees where a sequence starts; the mean of its tokens tells that in part."""
    accuracy = trained(tmp_path, labelled(), model=model, optimizer={"learningRate": 0.01}).metrics["accuracy"]
    assert accuracy > (0.8 if model is READER else 0.5)


def test_adapters_find_the_layers_of_a_language_model() -> None:
    """Each linear layer of each block gets one; merged, the weights have the network's own names."""
    pytest.importorskip("peft", reason="adapters need the package peft")
    data = sequences()
    (plain,) = learners(1, data, **NEXT)
    spec = train_spec(**{**NEXT, "model": {**WRITER, "from": {"job": "base"}, "lora": {"rank": 2}}})
    adapted = Learner(spec, data, criterion_of(spec.loss, data), Group())
    before = adapted.merged
    assert before is not None and before.keys() == plain.weights.keys()
    adapted.learn(1, BATCH)
    after = adapted.merged
    assert after is not None
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    layers = ("query", "key", "value", "projection", "expand", "contract")
    assert changed == {f"blocks.{block}.{layer}.weight" for block in range(2) for layer in layers}


@pytest.mark.parametrize(
    ("data", "changes", "reason", "said"),
    [
        (blobs(), {"loss": {"nextToken": {}}, "model": WRITER}, "LossNotApplicable", "column features of the dataset holds numbers"),
        (labelled(), {}, "InvalidModelParameters", "builtin Perceptron takes numbers, .* use TextClassifier"),
        (blobs(), {"model": READER}, "InvalidModelParameters", "put a tokenize step"),
        (sequences(), {}, "LossNotApplicable", "column tokens"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_says_so(
    tmp_path: Path, data: LoadedDataset, changes: dict[str, Any], reason: str, said: str
) -> None:
    """Numbers for a model of tokens, or tokens for one of numbers, before a step is taken."""
    with pytest.raises(RunFault, match=said) as caught:
        trained(tmp_path, data, **{"evaluation": {"metrics": ["loss"]}, **changes})
    assert caught.value.reason == reason
