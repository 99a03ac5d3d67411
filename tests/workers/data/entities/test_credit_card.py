"""Card numbers are known by issuer, length and check digit."""

import pytest

from headrace_workers.data.entities import credit_card
from tests.workers.data.entities.found import found

CARDS = [
    "4111111111111111", "4012888888881881", "4222222222222", "5555555555554444", "5105105105105100", "2223003122003222",
    "378282246310005", "371449635398431", "30569309025904", "38520000023237", "6011111111111117", "3530111333300000",
    "6200000000000005", "6759649826438453", "2200000000000004", "8171999927660000",
]  # fmt: skip
"""Numbers that issuers and their processors publish for tests, and two that Faker makes."""

FULL_WIDTH = 0xFEE0
"""From a character to the same one of full width."""


@pytest.mark.parametrize("number", CARDS)
def test_a_card_is_found(number: str) -> None:
    """In one piece, and in groups of four with spaces or hyphens."""
    fours = [number[start : start + 4] for start in range(0, len(number), 4)]
    for written in (number, " ".join(fours), "-".join(fours)):
        assert found(credit_card, f"paid by {written}, thanks") == [written]
        assert found(credit_card, written) == [written]


@pytest.mark.parametrize("number", CARDS)
@pytest.mark.parametrize(
    "text",
    [
        "{} 12/29",
        "{} 123 on file",
        "in 2024 {} was used",
        "flat 5 {}",
        "0 {}",
        "{}/2",
        "1,{},7",
        "{} 1225 {}",
        "{},{}",
        "{}  {}",
    ],
)
def test_digits_beside_a_card_do_not_hide_it(number: str, text: str) -> None:
    """When it ends, what proves it, years, and the columns of a line."""
    fours = " ".join(number[start : start + 4] for start in range(0, len(number), 4))
    for written in (number, fours, fours.replace(" ", "-")):
        assert found(credit_card, text.replace("{}", written)) == [written] * text.count("{}")


def test_digits_of_other_scripts_are_digits() -> None:
    """Of full width, as keyboards of East Asia give them."""
    wide = "4111 1111 1111 1111".translate({ord(digit): ord(digit) + FULL_WIDTH for digit in "14"})
    assert found(credit_card, f"paid by {wide}") == [wide]


@pytest.mark.parametrize("number", CARDS)
def test_a_digit_changed_is_no_card(number: str) -> None:
    """Luhn finds every single digit that is changed."""
    assert found(credit_card, number[:-1] + str((int(number[-1]) + 1) % 10)) == []


@pytest.mark.parametrize(
    "text",
    ["1234 5678 9012 3456", "12 34 56 78 90 12 34 56 78 90", "550e8400-e29b-41d4-a716-446655440000", "1111111111111111", "0000000000000000", "1700000000000", "9780306406157", "x4111111111111111", "4111111111111111.5", "41111111111111112222", "4111,111,111,111,111"],
)  # fmt: skip
def test_other_numbers_stay(text: str) -> None:
    """Times in milliseconds, ISBNs, fractions, parts of longer numbers."""
    assert found(credit_card, text) == []
