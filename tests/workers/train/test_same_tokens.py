"""Weights that were learnt on other tokens are not trained on as if they were on these."""

import pytest

from headrace.api.artifacts import DatasetVersion, StartingWeights
from headrace.api.run_spec import RunSpec
from headrace_workers.faults import RunFault
from headrace_workers.storage import Folder
from headrace_workers.train.dataset import load_dataset
from headrace_workers.train.group import Group
from headrace_workers.train.loop import fit
from headrace_workers.train.publish import publish_model
from headrace_workers.train.same_tokens import require_same_tokens
from tests.workers.texts import texts_version
from tests.workers.train.builders import train_spec
from tests.workers.train.pods import run_spec

TEXTS = {"builtin": "TextClassifier"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunSpec:
    """A finished training on words."""
    folder = tmp_path_factory.mktemp("words")
    run = run_spec(folder, texts_version(folder, each=30, method="Words"), model=TEXTS, epochs=1)
    assert run.train and run.dataset
    data = load_dataset(run.dataset, run.train.dataset)
    fit(run.train, data, Folder(run.storage), group=Group(), on_progress=lambda _: None, should_stop=lambda: False)
    return run


@pytest.fixture(scope="module")
def learnt(run: RunSpec) -> StartingWeights:
    """The version that it made."""
    assert run.train and run.dataset
    made = publish_model(
        run.identity, run.train, run.dataset, models=Folder(run.publish), metrics={},
        checkpoints=Folder(run.storage).sub("checkpoints"),
    )  # fmt: skip
    return StartingWeights(name=made.name, uri=made.uri, digest=made.digest)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> DatasetVersion:
    """The same texts as bytes."""
    return texts_version(tmp_path_factory.mktemp("bytes"), each=30)


def starts(
    learnt: StartingWeights, dataset: DatasetVersion, model: dict[str, str] = TEXTS, anew: tuple[str, ...] = ()
) -> None:
    """A run that starts with the version on a dataset."""
    spec = train_spec(model={**model, "from": {"uri": learnt.uri, "except": anew}})
    require_same_tokens(learnt, spec, dataset)


def test_other_tokens_are_refused(learnt: StartingWeights, others: DatasetVersion) -> None:
    """The fault says what would be wrong, and both ways out; a last layer that starts anew is none."""
    for anew in ((), ("output",)):
        with pytest.raises(RunFault, match=r"the same ids mean other texts; .* except: \[embedding\]"):
            starts(learnt, others, anew=anew)


def test_what_does_not_rest_on_the_tokens_passes(run: RunSpec, learnt: StartingWeights, others: DatasetVersion) -> None:
    """The same tokens, vectors that start anew, a user's own model, and weights that are no version."""
    assert run.dataset
    starts(learnt, run.dataset)
    starts(learnt, others, anew=("embedding",))
    starts(learnt, others, model={"module": "m:f"})
    starts(StartingWeights(uri=learnt.uri), others)
