"""Card numbers are known by issuer, length and check digit."""

import pytest

from headrace_workers.data.entities import credit_card
from tests.workers.data.entities.found import found

CARDS = [
    "4111111111111111", "4012888888881881", "4222222222222", "5555555555554444", "5105105105105100", "2223003122003222",
    "378282246310005", "371449635398431", "30569309025904", "38520000023237", "6011111111111117", "3530111333300000",
    "6200000000000005", "6759649826438453",
]  # fmt: skip
"""Numbers that issuers and their processors publish for tests."""


@pytest.mark.parametrize("number", CARDS)
def test_a_card_is_found(number: str) -> None:
    """In one piece, and in groups of four with spaces or hyphens."""
    fours = [number[start : start + 4] for start in range(0, len(number), 4)]
    for written in (number, " ".join(fours), "-".join(fours)):
        assert found(credit_card, f"paid by {written}, thanks") == [written]
        assert found(credit_card, written) == [written]


@pytest.mark.parametrize("number", CARDS)
def test_a_digit_changed_is_no_card(number: str) -> None:
    """Luhn finds every single digit that is changed."""
    assert found(credit_card, number[:-1] + str((int(number[-1]) + 1) % 10)) == []


@pytest.mark.parametrize(
    "text",
    ["1111111111111111", "0000000000000000", "1700000000000", "9780306406157", "x4111111111111111", "4111111111111111.5", "41111111111111112222", "4111,111,111,111,111"],
)  # fmt: skip
def test_other_numbers_stay(text: str) -> None:
    """Times in milliseconds, ISBNs, fractions, parts of longer numbers."""
    assert found(credit_card, text) == []
