"""Training that starts with weights which were learnt before."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from headrace.api.artifacts import StartingWeights
from headrace.api.run_spec import RunSpec
from headrace_workers.faults import RunFault
from headrace_workers.model_version import ModelFolder
from headrace_workers.storage import Folder
from headrace_workers.train.checkpoints import WEIGHTS, Checkpoints
from headrace_workers.train.dataset import LoadedDataset, load_dataset
from headrace_workers.train.group import Group
from headrace_workers.train.loop import fit
from headrace_workers.train.publish import publish_model
from headrace_workers.train.starting_weights import load_weights
from headrace_workers.train.supported import require_supported
from headrace_workers.train.training import Training
from tests.workers.train.builders import train_spec
from tests.workers.train.threads import wires_of_threads
from tests.workers.train.versions import HEAD, interrupted, last, published, train, tuned


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunSpec, StartingWeights]:
    """A published version that recognises digits, and the run that made it."""
    return published(tmp_path_factory.mktemp("base"))


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
    interrupted(spec, tmp_path / "parts", start)
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
