"""Where a run's first weights come from, and that they are what was pinned."""

from pathlib import Path

import pytest
import safetensors.torch
import torch

from headrace.api.artifacts import StartingWeights
from headrace.api.train_job import StartingModel
from headrace_workers.faults import RunFault
from headrace_workers.storage import Folder
from headrace_workers.train.starting_weights import completed, find_start, load_weights


def save(file: Path, **tensors: float) -> None:
    file.parent.mkdir(exist_ok=True, parents=True)
    safetensors.torch.save_file({name: torch.tensor([value]) for name, value in tensors.items()}, file)


def start_of(place: Path, run: Path) -> StartingWeights:
    """The weights of a plain place as a run pins them."""
    return find_start(StartingWeights(uri=f"file://{place}"), Folder(f"file://{run}")).weights


def test_a_file_and_a_folder_of_files_are_read(tmp_path: Path) -> None:
    """A folder's files together are the weights, whatever they are called; other files are passed by."""
    save(tmp_path / "w" / "model-00001-of-00002.safetensors", a=1.0)
    save(tmp_path / "w" / "model-00002-of-00002.safetensors", b=2.0)
    (tmp_path / "w" / "pytorch_model.bin").write_bytes(b"\x80\x04never unpickled")
    assert load_weights(start_of(tmp_path / "w", tmp_path / "one")).keys() == {"a", "b"}
    assert load_weights(start_of(tmp_path / "w" / "model-00002-of-00002.safetensors", tmp_path / "two")).keys() == {"b"}


def test_a_name_in_two_files_is_refused(tmp_path: Path) -> None:
    """Which of the two counts is not for us to choose."""
    save(tmp_path / "w" / "one.safetensors", a=1.0)
    save(tmp_path / "w" / "two.safetensors", a=2.0)
    with pytest.raises(RunFault, match=r"a is in two\.safetensors of .* and in another file"):
        load_weights(start_of(tmp_path / "w", tmp_path / "run"))


def test_pickled_weights_are_never_read(tmp_path: Path) -> None:
    """Neither by another name nor under ours."""
    torch.save({"a": torch.zeros(1)}, tmp_path / "model.bin")
    with pytest.raises(RunFault, match=r"neither a model\.json nor safetensors"):
        start_of(tmp_path, tmp_path / "run")
    (tmp_path / "model.bin").rename(tmp_path / "model.safetensors")
    with pytest.raises(
        RunFault, match=r"model.safetensors of .* is not safetensors .*: pickled weights are never read"
    ):
        load_weights(start_of(tmp_path, tmp_path / "run"))


def test_weights_that_changed_since_are_refused(tmp_path: Path) -> None:
    """Every rank and every attempt starts with what the first one found."""
    save(tmp_path / "w" / "model.safetensors", a=1.0)
    pinned = start_of(tmp_path / "w", tmp_path / "run")
    save(tmp_path / "w" / "model.safetensors", a=2.0)
    assert start_of(tmp_path / "w", tmp_path / "run") == pinned
    with pytest.raises(RunFault) as caught:
        load_weights(pinned)
    assert caught.value.reason == "DigestMismatch"


def test_plain_weights_do_not_say_what_they_are_of(tmp_path: Path) -> None:
    """A network must be named with them."""
    save(tmp_path / "w" / "model.safetensors", a=1.0)
    start = find_start(StartingWeights(uri=f"file://{tmp_path}/w"), Folder(f"file://{tmp_path}/run"))
    model = StartingModel.model_validate({"from": {"uri": start.weights.uri}})
    with pytest.raises(RunFault, match=r"has no model.json .*; set model.builtin or model.module"):
        completed(model, start)
    named = model.model_copy(update={"module": "package:build"})
    assert completed(named, start) == named
