"""Kubernetes quantities as numbers."""

import pytest
from pydantic import TypeAdapter, ValidationError

from headrace.api.quantity import Quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "number"), [("2", 2.0), ("500m", 0.5), ("0.5", 0.5), ("8Gi", 8 * 2**30), ("1k", 1000.0), ("1500M", 1.5e9)]
)
def test_parse_quantity(text: str, number: float) -> None:
    """A quantity means its number times its suffix."""
    assert parse_quantity(text) == pytest.approx(number)


@pytest.mark.parametrize("given", ["8 Gi", "-1", -1, "1Q", "", "1\n", 0.5, True])
def test_bad_quantities_are_refused(given: object) -> None:
    """What Kubernetes would refuse is refused with a remedy."""
    with pytest.raises(ValidationError, match="write a"):
        TypeAdapter(Quantity).validate_python(given)


def test_integers_are_read_as_text() -> None:
    """An integer in YAML is the same as its text."""
    assert TypeAdapter(Quantity).validate_python(4) == "4"
