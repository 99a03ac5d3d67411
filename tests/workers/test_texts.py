"""Text the whole way: a file through a pipeline into a table, a model that learns from it, and raw texts answered."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from headrace.api.artifacts import DatasetVersion, ModelVersion
from headrace.api.run_spec import RunSpec
from headrace.api.train_job import TrainJobSpec
from headrace_workers.serve.instances import BadInstance, parse_instances
from headrace_workers.serve.predictor import load_predictor
from headrace_workers.storage import Folder
from headrace_workers.tokenizing import PADDING
from headrace_workers.train.dataset import load_dataset
from headrace_workers.train.group import Group
from headrace_workers.train.loop import fit
from headrace_workers.train.progress import FitResult
from headrace_workers.train.publish import publish_model
from tests.workers.texts import PACKAGES, records, texts_version
from tests.workers.train.pods import run_spec


def trained(run: RunSpec) -> FitResult:
    """What the run's training comes to, in this process."""
    assert run.train and run.dataset
    data = load_dataset(run.dataset, run.train.dataset, next_token=run.train.loss.next_token is not None)
    return fit(run.train, data, Folder(run.storage), group=Group(), on_progress=lambda _: None, should_stop=lambda: False)  # fmt: skip


def published(run: RunSpec) -> ModelVersion:
    """The version that the run made."""
    assert run.train and run.dataset
    return publish_model(
        run.identity, run.train, run.dataset, models=Folder(run.publish), metrics={},
        checkpoints=Folder(run.storage).sub("checkpoints"),
    )  # fmt: skip


def text_run(folder: Path, version: DatasetVersion, **changes: Any) -> RunSpec:
    """A training on texts."""
    fields = {
        "model": {"builtin": "TextClassifier"},
        "epochs": 12,
        "batchSize": 32,
        "optimizer": {"learningRate": 0.01},
    }
    return run_spec(folder, version, **{**fields, **changes})


@pytest.mark.parametrize("method", ["Words", "BytePair"])
def test_a_classifier_answers_raw_texts_with_what_it_learnt(tmp_path: Path, method: str) -> None:
    """The version tells the packages apart, and takes a text bare or under its column, as users have it."""
    run = text_run(tmp_path, texts_version(tmp_path, method=method))
    assert trained(run).metrics["accuracy"] > 0.75
    predictor = load_predictor(published(run))
    chosen = records()[::10]
    answers = predictor.predict([record["text"] for record in chosen])
    assert sum(each["label"] == record["label"] for each, record in zip(answers, chosen, strict=True)) > 40
    assert sum(answers[0]["probabilities"]) == pytest.approx(1.0)
    assert len(answers[0]["probabilities"]) == len(PACKAGES)
    assert predictor.document.example in {record["text"] for record in records()}
    bare, named = parse_instances(b'{"instances": ["import xml", {"text": "import xml"}]}', predictor.schema)
    assert predictor.predict([bare]) == predictor.predict([named])
    predictor.warm()
    with pytest.raises(BadInstance, match="instance 0 is not a text; send text as a string"):
        predictor.predict([7])


WRITES = {
    "model": {"builtin": "LanguageModel", "parameters": {"dimensions": 64, "layers": 2, "heads": 2}},
    "loss": {"nextToken": {}}, "evaluation": {"metrics": ["perplexity", "accuracy"]}, "optimizer": {"learningRate": 0.005},
}  # fmt: skip


def unigram_entropy(version: DatasetVersion) -> float:
    """The loss of one who knows how frequent each token is, and looks at nothing before it."""
    spec = TrainJobSpec.model_validate({"dataset": {"pipeline": "x"}, "epochs": 1, **WRITES})
    data = load_dataset(version, spec.dataset, next_token=True)
    train, validation = (data.splits[name].targets[:, 1:] for name in ("train", "validation"))
    counts = torch.bincount(train[train != PADDING], minlength=data.vocabulary or 0) + 1
    shares = counts / counts.sum()
    return float(-shares[validation[validation != PADDING]].log().mean())


def test_a_language_model_learns_what_comes_next_and_goes_on(tmp_path: Path) -> None:
    """Its loss falls far below what the tokens' frequencies alone tell, and a raw beginning is answered with more text."""
    version = texts_version(tmp_path, vocabulary=400, maxTokens=48, boundaries=True)
    run = text_run(tmp_path, version, epochs=10, **WRITES)
    metrics = trained(run).metrics
    assert metrics["loss"] < unigram_entropy(version) - 1.0
    assert metrics["perplexity"] == pytest.approx(math.exp(metrics["loss"]))
    assert 0.15 < metrics["accuracy"] < 1.0
    writer = load_predictor(published(run))
    writer.warm()
    best, again, drawn, other = writer.predict(
        [
            "import ",
            {"text": "import "},
            {"text": "import ", "temperature": 1.0},
            {"text": "import ", "temperature": 1.0, "seed": 1},
        ]
    )
    assert best == again
    assert drawn != other
    assert 0 < best["tokens"] <= 64
    assert writer.predict([{"text": "class A:\n" * 90, "maxTokens": 2}])[0]["tokens"] == 2
    for instance, said in (
        (7, "not a text"),
        ({"text": "a", "maxTokens": 0}, "instance 0: maxTokens: "),
        ({"text": "a", "length": 3}, "it may have maxTokens, temperature, seed"),
    ):
        with pytest.raises(BadInstance, match=said):
            writer.predict([instance])
    with pytest.raises(BadInstance, match="9 instances are more than the 8"):
        parse_instances(json.dumps({"instances": ["a"] * 9}).encode(), writer.schema)
