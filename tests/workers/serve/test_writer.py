"""What follows raw beginnings."""

from datetime import UTC, datetime

import pytest
import torch

from headrace.api.artifacts import DatasetVersion, JobReference
from headrace.api.meta import Kind
from headrace.api.train_job import ModelSource
from headrace_workers.model_version import ModelDocument
from headrace_workers.preprocessing import FittedStep, Preprocessing
from headrace_workers.serve.instances import BadInstance
from headrace_workers.serve.writer import Writer
from headrace_workers.tokenizing import END, PADDING, START, Tokenizing
from tests.workers.texts import tokenizing

LENGTH = 5


class Fixed(torch.nn.Module):
    """Whatever it reads, it likes the same tokens; it notes what it read."""

    def __init__(self, vocabulary: int, likes: dict[int, float]) -> None:
        super().__init__()
        self.scores = torch.zeros(vocabulary)
        for token, score in likes.items():
            self.scores[token] = score
        self.read: list[list[int]] = []

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        self.read.append(ids[0].tolist())
        return self.scores.expand(*ids.shape, -1)


def writer(likes: dict[int, float]) -> tuple[Writer, Fixed, Tokenizing]:
    """One that likes these tokens."""
    words = tokenizing(boundaries=True, max_tokens=LENGTH)
    document = ModelDocument(
        name="w-1a2b3-r1", uri="file:///models/w", digest="sha256:0", features="tokens", target="tokens", shape=(LENGTH,),
        dataset=DatasetVersion(uri="file:///lake/t", version=0, digest="sha256:0"), created_at=datetime(2026, 1, 1, tzinfo=UTC),
        job=JobReference(kind=Kind.TRAIN_JOB, name="w", uid="1a2b3", run=1), source=ModelSource(module="m:f"),
    )  # fmt: skip
    preprocessing = Preprocessing(features="tokens", shape=(LENGTH,), steps=(FittedStep(tokenize=words),))
    network = Fixed(words.vocabulary, likes)
    return Writer(document, preprocessing, words, network), network, words


def test_the_best_token_is_written_until_there_are_enough() -> None:
    """Reserved ids that stand for no text are never written, and what is read is no longer than what was learnt from."""
    word = tokenizing(max_tokens=1).encoded([" two"])[0][0]
    one, network, words = writer({PADDING: 9.0, START: 8.0, word: 7.0})
    (answer,) = one.predict([{"text": "one", "maxTokens": 6}])
    assert answer == {"text": " two" * 6, "tokens": 6, "ended": False}
    assert network.read[0] == [START, *words.opened("one")[1:], *[PADDING] * (LENGTH - 2)]
    assert network.read[-1] == [word] * LENGTH


def test_an_end_ends_a_text() -> None:
    """It counts as written and has no letters."""
    one, _, _ = writer({END: 9.0})
    assert one.predict(["one"]) == [{"text": "", "tokens": 1, "ended": True}]


def test_a_temperature_draws_by_the_scores_and_a_seed_draws_the_same() -> None:
    """Two tokens that are liked alike both come."""
    first, second = (tokenizing(max_tokens=1).encoded([text])[0][0] for text in (" two", " three"))
    one, _, _ = writer({first: 50.0, second: 50.0})
    wish = {"text": "one", "temperature": 1.0, "seed": 4, "maxTokens": 20}
    (answer,), (again,) = one.predict([wish]), one.predict([wish])
    assert answer == again
    assert {*answer["text"].split()} == {"two", "three"}


@pytest.mark.parametrize(
    ("instance", "said"),
    [
        ([1], "instance 0 is not a text"),
        ({"texts": "a"}, "instance 0 has no field text"),
        ({"text": "a", "temperature": -1}, "instance 0: temperature: "),
        ({"text": "a", "maxTokens": 1000}, "instance 0: maxTokens: "),
        ({"text": "a", "label": "b"}, "instance 0: label: .* it may have maxTokens, temperature, seed"),
    ],
)
def test_a_wish_that_cannot_be_met_is_said(instance: object, said: str) -> None:
    """A misspelt wish is refused, not ignored."""
    with pytest.raises(BadInstance, match=said):
        writer({})[0].predict([instance])


def test_scores_that_are_no_numbers_are_a_fault_of_the_model() -> None:
    """No text is made of them."""
    with pytest.raises(ArithmeticError, match="not finite"):
        writer({9: float("nan")})[0].predict(["one"])
