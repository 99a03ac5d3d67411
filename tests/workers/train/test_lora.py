"""Adapters beside weights that stay as they are."""

from pathlib import Path
from typing import Any

import pytest
import torch

from headrace.api.artifacts import StartingWeights
from headrace.api.run_spec import RunSpec
from headrace.api.train_job import Lora
from headrace_workers.faults import RunFault
from headrace_workers.model_version import ModelFolder
from headrace_workers.models import build_network
from headrace_workers.storage import Folder
from headrace_workers.train.checkpoints import MERGED, WEIGHTS
from headrace_workers.train.dataset import load_dataset
from headrace_workers.train.group import Group
from headrace_workers.train.learner import Learner
from headrace_workers.train.lora import Adapters
from headrace_workers.train.losses import criterion_of
from headrace_workers.train.publish import publish_model
from headrace_workers.train.starting_weights import load_weights
from tests.workers.train.versions import HEAD, interrupted, last, published, train, tuned

pytest.importorskip("peft")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunSpec, StartingWeights]:
    """A published version that recognises digits, and the run that made it."""
    return published(tmp_path_factory.mktemp("base"))


def digits_tuned(base: Any, lora: dict[str, Any] | None = None, **source: Any) -> Learner:
    """A rank alone, with adapters, at the weights of the version."""
    run, start = base
    spec = tuned(run, start, {"from": {"job": "digits", **source}, "lora": lora or {"rank": 4}}).train
    data = load_dataset(run.dataset, spec.dataset)
    learner = Learner(spec, data, criterion_of(spec.loss, data), Group())
    learner.start_from(load_weights(start), "the version")
    return learner


def test_adapters_alone_are_trained_and_travel(base: Any) -> None:
    """The bucket that ranks exchange has the adapters' gradients and no others."""
    learner = digits_tuned(base)
    sizes = {name: each.numel() for name, each in learner.network.network.named_parameters() if each.requires_grad}
    assert all(".lora_" in name for name in sizes)
    layers = [(64, 128), (128, 128), (128, 10)]
    assert len(learner._bucket.flat) == sum(sizes.values()) == sum(4 * (ins + outs) for ins, outs in layers)


def test_untrained_adapters_change_nothing(base: Any) -> None:
    """A run starts where the version ended, to the bit."""
    _, start = base
    given, merged = load_weights(start), digits_tuned(base).merged
    assert merged and given.keys() == merged.keys() and all(torch.equal(given[name], merged[name]) for name in given)


def test_what_starts_anew_is_trained_whole(base: Any) -> None:
    """A new head has nothing for an adapter to stand beside."""
    learner = digits_tuned(base, **{"except": [HEAD]})
    trained = {name for name, each in learner.network.network.named_parameters() if each.requires_grad}
    assert {name for name in trained if ".lora_" not in name} == {f"{HEAD}.weight", f"{HEAD}.bias"}
    assert {name.partition(".")[0] for name in trained} == {"1", "3", HEAD}


def test_targets_are_the_modules_that_are_named(base: Any) -> None:
    """One that is not there is told with those that are."""
    learner = digits_tuned(base, {"targets": ["3"]})
    trained = {name for name, each in learner.network.network.named_parameters() if each.requires_grad}
    assert {name.partition(".")[0] for name in trained} == {"3"}
    with pytest.raises(RunFault, match="targets names query, which no module is called; linear layers are 1, 3, 5"):
        digits_tuned(base, {"targets": ["query"]})


def test_the_published_version_answers_as_the_adapters_did(base: Any, tmp_path: Path) -> None:
    """The version has plain weights by the builtin's names, and its accuracy is the one that was measured."""
    run, start = base
    spec = tuned(run, start, {"from": {"job": "digits"}, "lora": {"rank": 4}}, steps=12, checkpoints={"everySteps": 5})
    result = train(spec, tmp_path, start)
    made = publish_model(
        run.identity.model_copy(update={"run": 3}), spec.train, run.dataset, models=Folder(f"file://{tmp_path}/models"),
        checkpoints=Folder(f"file://{tmp_path}/checkpoints"), metrics={}, started_from=start,
    )  # fmt: skip
    document = ModelFolder.open(made).document
    network = build_network(document.source, document.shape or (), len(document.classes or ()))
    weights = load_weights(StartingWeights(name=made.name, uri=made.uri, digest=made.digest))
    network.load_state_dict(weights)
    data = load_dataset(run.dataset, spec.train.dataset)
    adapted = Learner(spec.train, data, criterion_of(spec.train.loss, data), Group())
    adapted.restore(last(tmp_path))
    split = data.splits["validation"]
    with torch.no_grad():
        plain, beside = network.eval()(split.inputs), adapted.network.eval()(split.inputs)
    torch.testing.assert_close(plain, beside, rtol=1e-4, atol=1e-5)
    assert (plain.argmax(1) == split.targets).float().mean().item() == pytest.approx(result.metrics["accuracy"])
    given = load_weights(start)
    assert {name for name in given if not torch.equal(given[name], weights[name])} == {
        "1.weight",
        "3.weight",
        "5.weight",
    }


def test_a_run_with_adapters_resumes_with_the_same_bits(base: Any, tmp_path: Path) -> None:
    """A checkpoint holds the adapters and what they stand beside: the version is not read again."""
    run, start = base
    spec = tuned(run, start, {"from": {"job": "digits"}, "lora": {"rank": 4}}, steps=20, checkpoints={"everySteps": 5})
    train(spec, tmp_path / "whole", start)
    interrupted(spec, tmp_path / "parts", start)
    assert train(spec, tmp_path / "parts", start.model_copy(update={"uri": "file:///gone"})).resumed_from
    for file in (WEIGHTS, MERGED):
        one, other = (last(tmp_path / name).tensors(file) for name in ("whole", "parts"))
        assert one and one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_rank_that_joins_has_the_same_weights(base: Any) -> None:
    """It takes over from a peer the adapters and what they stand beside, without reading the version."""
    run, start = base
    here = digits_tuned(base)
    here.learn(1, torch.arange(64))
    spec = tuned(run, start, {"from": {"job": "digits"}, "lora": {"rank": 4}}, seed=8).train
    data = load_dataset(run.dataset, spec.dataset)
    joined = Learner(spec, data, criterion_of(spec.loss, data), Group())
    joined.take_over(here.common, here.traffic)
    assert all(torch.equal(each, joined.weights[name]) for name, each in here.weights.items())


def test_a_transformer_answers_merged_as_with_its_adapters() -> None:
    """Its fast path and its attention take weights past their modules: neither may lose an adapter."""
    torch.manual_seed(0)
    plain, adapted = (torch.nn.Sequential(torch.nn.TransformerEncoderLayer(8, 2, 16)) for _ in range(2))
    plain.load_state_dict(adapted.state_dict())
    adapters = Adapters(adapted, Lora(rank=2), ())
    for name, parameter in adapted.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter)
    inputs = torch.randn(5, 3, 8)
    with torch.no_grad():
        before, beside = plain.eval()(inputs), adapted.eval()(inputs)
        plain.load_state_dict(adapters.merged())
        torch.testing.assert_close(plain(inputs), beside, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(before, beside, atol=1e-2)


@pytest.mark.parametrize("target", ["self_attn", "self_attn.out_proj"])
def test_an_adapter_that_would_be_passed_by_is_refused(target: str) -> None:
    """It would be trained for nothing."""
    with pytest.raises(RunFault, match=f"0.{target} is in torch's attention, which takes weights past an adapter"):
        Adapters(torch.nn.Sequential(torch.nn.TransformerEncoderLayer(8, 2, 16)), Lora(targets=(target,)), ())


def test_weights_that_two_modules_share_get_no_adapter() -> None:
    """The other module would answer without it."""
    network = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 8), torch.nn.Linear(8, 3))
    network[1].weight = network[0].weight
    with pytest.raises(
        RunFault, match=r"0 shares its weights with another module.*leave it out of model\.lora\.targets"
    ):
        Adapters(network, Lora(), ())
    assert Adapters(network, Lora(targets=("2",)), ()).plain_names["2.weight"] == "2.base_layer.weight"


def test_a_network_without_a_place_for_an_adapter_is_refused() -> None:
    """The sentence says what to name."""
    with pytest.raises(RunFault, match="finds no module for an adapter; the network has no linear layer"):
        Adapters(torch.nn.Sequential(torch.nn.Conv1d(1, 1, 1)), Lora(), ())
    with pytest.raises(RunFault, match=r"model.lora.targets: Target module ReLU\(\) is not supported"):
        Adapters(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()), Lora(targets=("1",)), ())
