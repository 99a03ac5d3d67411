"""Account numbers are known by their country's length and their check digits."""

import pytest

from headrace_workers.data.entities import iban
from tests.workers.data.entities.found import found

NUMBERS = [
    "AT611904300234573201", "BE68539007547034", "CH9300762011623852957", "CZ6508000000192000145399", "DE89370400440532013000",
    "ES9121000418450200051332", "FR1420041010050500013M02606", "GB29NWBK60161331926819", "GR1601101250000000012300695",
    "IE29AIBK93115212345678", "IT60X0542811101000000123456", "MT84MALT011000012345MTLCAST001S", "NL91ABNA0417164300",
    "NO9386011117947", "PL61109010140000071219812874", "PT50000201231234567890154", "SE4550000000058398257466",
    "TR330006100519786457841326", "IR190953347064266934080411",
]  # fmt: skip
"""The examples of the registry; Iran's is not in it, and used all the same."""


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_is_found(number: str) -> None:
    """In one piece, in groups of four, in small letters; words and numbers after it stay."""
    fours = " ".join(number[start : start + 4] for start in range(0, len(number), 4))
    for written in (number, fours, fours.replace(" ", "-"), number.lower()):
        for text in ("{}", "IBAN:{}.", "to {} and 12 more", "{} 2024"):
            assert found(iban, text.format(written)) == [written]


def test_two_numbers_are_two() -> None:
    """One after the other."""
    assert found(iban, "NO93 8601 1117 947 NL91ABNA0417164300") == ["NO93 8601 1117 947", "NL91ABNA0417164300"]


@pytest.mark.parametrize(
    "text",
    ["DE88370400440532013000", "DE8937040044053201300", "XX89370400440532013000", "ADE89370400440532013000", "NL91ABNA0417164300X", "part AB12 3456 7890 1234"],
)  # fmt: skip
def test_what_is_no_number_stays(text: str) -> None:
    """A wrong check digit, too short, no such country, parts of longer words."""
    assert found(iban, text) == []
