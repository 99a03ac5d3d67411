"""Training that starts with weights which were learnt before."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from headrace.api.artifacts import StartingWeights
from headrace.api.run_spec import RunSpec
from headrace.api.train_job import TrainJobSpec
from headrace_workers.faults import Interrupted, RunFault
from headrace_workers.model_version import ModelFolder
from headrace_workers.models import build_network
from headrace_workers.storage import Folder
from headrace_workers.train.checkpoints import MERGED, WEIGHTS, Checkpoint, Checkpoints
from headrace_workers.train.dataset import LoadedDataset, load_dataset
from headrace_workers.train.learner import Learner
from headrace_workers.train.loop import FitResult, Group, Training, fit
from headrace_workers.train.losses import criterion_of
from headrace_workers.train.publish import publish_model
from headrace_workers.train.starting_weights import completed, find_start, load_weights
from headrace_workers.train.supported import require_supported
from tests.workers.train.builders import train_spec
from tests.workers.train.digits import digits_version
from tests.workers.train.pods import run_spec
from tests.workers.train.threads import wires_of_threads

HEAD = "5"
"""The last layer of the Perceptron: Flatten, Linear, ReLU, Linear, ReLU, Linear."""


@pytest.fixture(scope="session")
def peft() -> None:
    """The package that makes adapters, which images and environments may lack."""
    pytest.importorskip("peft")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunSpec, StartingWeights]:
    """A published version that recognises digits, and the run that made it."""
    folder = tmp_path_factory.mktemp("base")
    run = run_spec(folder, digits_version(folder), epochs=6)
    train(run, folder, None)
    assert run.train and run.dataset
    made = publish_model(
        run.identity, run.train, run.dataset, models=Folder(run.publish),
        checkpoints=Folder(f"file://{folder}/checkpoints"), metrics={},
    )  # fmt: skip
    return run, StartingWeights(name=made.name, uri=made.uri, digest=made.digest)


def train(run: RunSpec, folder: Path, start: StartingWeights | None, **options: Any) -> FitResult:
    """Trains the run's spec in a folder, from its checkpoints if it has some."""
    assert run.train and run.dataset
    options = {"on_progress": lambda _: None, "should_stop": lambda: False} | options
    data = options.pop("data", None) or load_dataset(run.dataset, run.train.dataset)
    return fit(run.train, data, Folder(f"file://{folder}"), group=Group(), start=start, **options)


def tuned(run: RunSpec, start: StartingWeights | None, model: dict[str, Any], **changes: Any) -> RunSpec:
    """The run with a model that starts from a version, two short steps long."""
    assert run.train
    wire = run.train.wire() | {"steps": 2, "model": model, "optimizer": {"learningRate": 0.0005}, **changes}
    wire.pop("epochs")
    spec = TrainJobSpec.model_validate(wire)
    if start:
        found = find_start(start, Folder(f"{run.storage}/{start.name}"))
        spec = spec.model_copy(update={"model": completed(spec.model, found)})
    return run.model_copy(update={"train": spec})


def last(folder: Path) -> Checkpoint:
    found = Checkpoints(Folder(f"file://{folder}/checkpoints")).newest()
    assert found
    return found


def fewer_classes(data: LoadedDataset) -> LoadedDataset:
    """The digits below five alone."""
    splits = {
        name: replace(split, inputs=split.inputs[split.targets < 5], targets=split.targets[split.targets < 5])
        for name, split in data.splits.items()
    }
    return replace(data, splits=splits, classes=tuple(range(5)))


def test_a_version_is_a_better_start_than_chance(base: Any, tmp_path: Path) -> None:
    """After two steps from a version that knows digits the accuracy is high; from new weights it is not."""
    run, start = base
    from_version = train(tuned(run, start, {"from": {"job": "digits"}}), tmp_path / "tuned", start)
    anew = train(tuned(run, None, run.train.model.wire()), tmp_path / "anew", None)
    assert from_version.metrics["accuracy"] > 0.9 > 0.6 > anew.metrics["accuracy"]
    assert from_version.metrics["loss"] < anew.metrics["loss"] / 2


def test_a_version_says_what_it_is(base: Any) -> None:
    """builtin and parameters are those of the version; parameters of the spec are laid over them."""
    run, start = base
    model = tuned(run, start, {"from": {"uri": start.uri}, "parameters": {"dropout": 0.1}}).train.model
    assert (model.builtin, model.parameters) == ("Perceptron", {"hidden": 128, "dropout": 0.1})


def test_the_version_that_is_made_says_where_it_came_from(base: Any, tmp_path: Path) -> None:
    """Its lineage names the first version, and its model.json rebuilds the network without it."""
    run, start = base
    second = tuned(run, start, {"from": {"uri": start.uri}, "freeze": ["1"]})
    train(second, tmp_path, start)
    made = publish_model(
        run.identity.model_copy(update={"run": 2}), second.train, run.dataset, models=Folder(f"file://{tmp_path}/models"),
        checkpoints=Folder(f"file://{tmp_path}/checkpoints"), metrics={}, started_from=start,
    )  # fmt: skip
    assert made.started_from == start
    assert ModelFolder.open(made).document.source == run.train.model.source


def test_other_classes_need_a_new_head(base: Any, tmp_path: Path) -> None:
    """A dataset with five classes is refused with what to write; with that, all but the head is the version's."""
    run, start = base
    data = fewer_classes(load_dataset(run.dataset, run.train.dataset))
    with pytest.raises(RunFault, match=rf"5.bias has shape \(10,\), the network's has \(5,\).*except: \['{HEAD}'\]"):
        train(tuned(run, start, {"from": {"job": "digits"}}), tmp_path / "refused", start, data=data)
    spec = tuned(run, start, {"from": {"job": "digits", "except": [HEAD]}, "freeze": ["1", "3"]})
    train(spec, tmp_path / "tuned", start, data=data)
    given, learnt = load_weights(start), last(tmp_path / "tuned").tensors(WEIGHTS)
    assert learnt[f"{HEAD}.weight"].shape == (5, 128)
    assert all(torch.equal(given[name], learnt[name]) for name in given if not name.startswith(f"{HEAD}."))


def test_what_is_frozen_is_not_trained(base: Any, tmp_path: Path) -> None:
    """Frozen parameters keep their bits and have no moments; the others change."""
    run, start = base
    train(tuned(run, start, {"from": {"job": "digits"}, "freeze": ["1", "3.bias"]}), tmp_path, start)
    given, learnt = load_weights(start), last(tmp_path).tensors(WEIGHTS)
    same = {name for name in given if torch.equal(given[name], learnt[name])}
    assert same == {"1.weight", "1.bias", "3.bias"}
    moments = last(tmp_path).tensors("optimizer.safetensors")
    assert {name.partition("/")[2] for name in moments} == given.keys() - same


def test_freezing_what_is_not_there_is_refused(base: Any, tmp_path: Path) -> None:
    """A slip would train what should stay."""
    run, start = base
    with pytest.raises(RunFault, match=r"model\.freeze names encoder, which no parameter is called"):
        train(tuned(run, start, {"from": {"job": "digits"}, "freeze": ["encoder"]}), tmp_path, start)


def test_a_run_that_resumes_reads_its_checkpoint_alone(base: Any, tmp_path: Path) -> None:
    """Stopped and resumed, without the first version's folder, it ends with the same bits as one that was not stopped."""
    run, start = base
    spec = tuned(run, start, {"from": {"job": "digits"}}, steps=20, checkpoints={"everySteps": 5})
    train(spec, tmp_path / "whole", start)
    seen: list[int] = []

    def stop() -> bool:
        seen.append(1)
        return len(seen) > 1

    with pytest.raises(Interrupted):
        train(spec, tmp_path / "parts", start, should_stop=stop)
    gone = start.model_copy(update={"uri": f"file://{tmp_path}/gone"})
    assert train(spec, tmp_path / "parts", gone).resumed_from
    one, other = (last(tmp_path / name).tensors(WEIGHTS) for name in ("whole", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(RunFault, match=r"has no model\.json"):
        train(spec, tmp_path / "anew", gone)


def test_rounds_of_local_steps_begin_at_the_given_weights(base: Any, tmp_path: Path) -> None:
    """What a round's end moves is where it began, which is the version."""
    run, start = base
    spec = tuned(run, start, {"from": {"job": "digits"}}, compression={"diLoCo": {"localSteps": 2}})
    group = Group(wire=wires_of_threads(1)[0])
    group.changes = True
    result = fit(
        spec.train, load_dataset(run.dataset, run.train.dataset), Folder(f"file://{tmp_path}"), group=group,
        on_progress=lambda _: None, should_stop=lambda: False, start=start,
    )  # fmt: skip
    assert result.metrics["accuracy"] > 0.9


def digits_tuned(base: Any, lora: dict[str, Any] | None = None, **source: Any) -> Learner:
    """A rank alone, with adapters, at the weights of the version."""
    run, start = base
    spec = tuned(run, start, {"from": {"job": "digits", **source}, "lora": lora or {"rank": 4}}).train
    data = load_dataset(run.dataset, spec.dataset)
    learner = Learner(spec, data, criterion_of(spec.loss, data), Group())
    learner.start_from(load_weights(start), "the version")
    return learner


@pytest.mark.usefixtures("peft")
class TestAdapters:
    """LoRA, by the package peft."""

    def test_adapters_alone_are_trained_and_travel(self, base: Any) -> None:
        """The bucket that ranks exchange has the adapters' gradients and no others."""
        learner = digits_tuned(base)
        sizes = {name: each.numel() for name, each in learner.network.network.named_parameters() if each.requires_grad}
        assert all(".lora_" in name for name in sizes)
        layers = [(64, 128), (128, 128), (128, 10)]
        assert len(learner._bucket.flat) == sum(sizes.values()) == sum(4 * (ins + outs) for ins, outs in layers)

    def test_untrained_adapters_change_nothing(self, base: Any) -> None:
        """A run starts where the version ended, to the bit."""
        _, start = base
        given, merged = load_weights(start), digits_tuned(base).merged
        assert (
            merged and given.keys() == merged.keys() and all(torch.equal(given[name], merged[name]) for name in given)
        )

    def test_what_starts_anew_is_trained_whole(self, base: Any) -> None:
        """A new head has nothing for an adapter to stand beside."""
        learner = digits_tuned(base, **{"except": [HEAD]})
        trained = {name for name, each in learner.network.network.named_parameters() if each.requires_grad}
        assert {name for name in trained if ".lora_" not in name} == {f"{HEAD}.weight", f"{HEAD}.bias"}
        assert {name.partition(".")[0] for name in trained} == {"1", "3", HEAD}

    def test_targets_are_the_modules_that_are_named(self, base: Any) -> None:
        """One that is not there is told with those that are."""
        learner = digits_tuned(base, {"targets": ["3"]})
        trained = {name for name, each in learner.network.network.named_parameters() if each.requires_grad}
        assert {name.partition(".")[0] for name in trained} == {"3"}
        with pytest.raises(RunFault, match="targets names query, which no module is called; linear layers are 1, 3, 5"):
            digits_tuned(base, {"targets": ["query"]})

    def test_the_published_version_answers_as_the_adapters_did(self, base: Any, tmp_path: Path) -> None:
        """The version has plain weights by the builtin's names, and its accuracy is the one that was measured."""
        run, start = base
        spec = tuned(
            run, start, {"from": {"job": "digits"}, "lora": {"rank": 4}}, steps=12, checkpoints={"everySteps": 5}
        )
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

    def test_a_run_with_adapters_resumes_with_the_same_bits(self, base: Any, tmp_path: Path) -> None:
        """A checkpoint holds the adapters and what they stand beside: the version is not read again."""
        run, start = base
        spec = tuned(
            run, start, {"from": {"job": "digits"}, "lora": {"rank": 4}}, steps=20, checkpoints={"everySteps": 5}
        )
        train(spec, tmp_path / "whole", start)
        seen: list[int] = []

        def stop() -> bool:
            seen.append(1)
            return len(seen) > 1

        with pytest.raises(Interrupted):
            train(spec, tmp_path / "parts", start, should_stop=stop)
        assert train(spec, tmp_path / "parts", start.model_copy(update={"uri": "file:///gone"})).resumed_from
        for file in (WEIGHTS, MERGED):
            one, other = (last(tmp_path / name).tensors(file) for name in ("whole", "parts"))
            assert one and one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)

    def test_a_rank_that_joins_has_the_same_weights(self, base: Any) -> None:
        """It takes over from a peer the adapters and what they stand beside, without reading the version."""
        run, start = base
        here = digits_tuned(base)
        here.learn(1, torch.arange(64))
        spec = tuned(run, start, {"from": {"job": "digits"}, "lora": {"rank": 4}}, seed=8).train
        data = load_dataset(run.dataset, spec.dataset)
        joined = Learner(spec, data, criterion_of(spec.loss, data), Group())
        joined.take_over(here.common, here.traffic)
        assert all(torch.equal(each, joined.weights[name]) for name, each in here.weights.items())


def test_a_rank_that_joins_takes_the_weights_from_a_peer(base: Any, tmp_path: Path) -> None:
    """A rank that comes after the first step has what the others have, though it never reads the version."""
    run, start = base
    spec = tuned(run, start, {"from": {"job": "digits"}}).train
    data, store = load_dataset(run.dataset, spec.dataset), Checkpoints(Folder(f"file://{tmp_path}"))
    here = Training(spec, data, store, Group(), lambda: False, start)
    for _ in range(2):
        here.move()
    gone = start.model_copy(update={"uri": f"file://{tmp_path}/gone"})
    joined = Training(spec, data, store, Group(), lambda: False, gone)
    joined.take_over(here.hand_over())
    assert (joined.step, joined.hand_over() == here.hand_over()) == (1, True)


def test_without_peft_adapters_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image without it says what to build, before any worker is waited for."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    spec = train_spec(model={"module": "package:build", "lora": {}})
    with pytest.raises(RunFault, match=r"model\.lora needs the package peft.*headrace\[workers,peft\]"):
        require_supported(spec)
