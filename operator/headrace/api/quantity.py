"""Kubernetes quantities ("500m", "8Gi"): checked at the border, compared as numbers."""

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

PATTERN = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
FACTORS = {
    "": Decimal(1), "m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "P": Decimal(10**15), "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30),
    "Ti": Decimal(2**40), "Pi": Decimal(2**50),
}  # fmt: skip


def parse_quantity(text: str) -> float:
    """The number that a quantity means: cores, bytes or pieces."""
    match = re.fullmatch(PATTERN, text)
    if not match:
        raise ValueError(f"{text!r} is not a quantity; write a number with an optional suffix, such as 500m or 8Gi")
    suffix = match.group(2) or ""
    return float(Decimal(text.removesuffix(suffix) if suffix else text) * FACTORS[suffix])


def _to_text(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise PydanticCustomError("quantity", "write a quantity as an integer or a string, such as 2, '500m' or 8Gi")
    return str(value)


def _checked(value: str) -> str:
    try:
        parse_quantity(value)
    except ValueError as error:
        raise PydanticCustomError("quantity", "{message}", {"message": str(error)}) from error
    return value


Quantity = Annotated[
    str,
    BeforeValidator(_to_text),
    AfterValidator(_checked),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}], "pattern": PATTERN, "minimum": 0}),
]
"""An amount of a resource; an integer is read as its decimal text."""
