"""The loss of models that write text."""

import math

import pytest
import torch

from headrace_workers.train.next_token import NextTokenLoss

LOSS = NextTokenLoss(outputs=5, positions=(4,))
IDS = torch.tensor([[2, 4, 4, 0], [2, 0, 0, 0], [2, 4, 3, 3]])


def test_each_token_after_another_counts_once_and_padding_never() -> None:
    """Five tokens of three texts; one who knows nothing of five tokens loses log 5 at each."""
    assert LOSS.weight(IDS) == 5
    assert LOSS.sum(torch.zeros(3, 4, 5), IDS) == pytest.approx(5 * math.log(5))


def test_a_place_speaks_of_the_next() -> None:
    """Scores at the place before a token decide; those at its own and at the last place do not."""
    scores = torch.zeros(1, 4, 5)
    scores[0, 0, 4] = scores[0, 1, 4] = 30.0
    scores[0, 2, 1] = scores[0, 3, 1] = 30.0
    assert LOSS.sum(scores, IDS[:1]) == pytest.approx(0.0, abs=1e-6)


def test_parts_add_up_to_the_whole() -> None:
    """Sums and weights of parts, of unequal numbers of tokens, are those of all."""
    scores = torch.randn(3, 4, 5)
    parts = [LOSS.sum(scores[part], IDS[part]) for part in (slice(0, 1), slice(1, 3))]
    torch.testing.assert_close(sum(parts), LOSS.sum(scores, IDS))
    assert LOSS.weight(IDS[:1]) + LOSS.weight(IDS[1:]) == LOSS.weight(IDS)


def test_texts_without_a_second_token_lose_nothing() -> None:
    """A batch of them has the loss 0, which is a number."""
    assert LOSS.sum(torch.zeros(1, 4, 5), IDS[1:2]) / LOSS.weight(IDS[1:2]) == 0.0


def test_guesses_are_of_real_tokens() -> None:
    """The likeliest token before each, beside it."""
    scores = torch.zeros(3, 4, 5)
    scores[..., 4] = 1.0
    guessed, true = LOSS.guesses(scores, IDS)
    assert guessed.tolist() == [4] * 5
    assert true.tolist() == [4, 4, 4, 3, 3]
