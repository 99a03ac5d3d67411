"""Bodies of POST /predict: three ways to write an instance, and a sentence for each way to get it wrong."""

import json

import numpy as np
import pytest

from headrace_workers.serve.instances import INSTANCES_MAX, BadInstance, InputSchema, parse_instances

DIGITS = InputSchema("image", (8, 8))
FLAT = list(range(64))
NESTED = [FLAT[row * 8 : row * 8 + 8] for row in range(8)]


def test_nested_flat_and_named_are_the_same_instance() -> None:
    """A nested list, a flat list and a record with the input column, with other columns beside it, mean the same."""
    body = json.dumps({"instances": [NESTED, FLAT, {"image": FLAT, "id": "x"}]}).encode()
    first, *others = parse_instances(body, DIGITS)
    assert first.shape == (8, 8)
    assert all(np.array_equal(first, other) for other in others)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "the body is not JSON"),
        (b"\xff\xfe", "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (b"[1]", "no list of instances"),
        (b'{"instances": {}}', "no list of instances"),
        (b'{"instances": []}', "send at least one"),
        (
            json.dumps({"instances": [[1, 2, 3]]}).encode(),
            "instance 0 has the shape 3: the model takes 8x8 numbers, nested or in one flat list",
        ),
        (json.dumps({"instances": [FLAT, 7]}).encode(), "instance 1 has the shape a single number"),
        (json.dumps({"instances": [[[1, 2], [3]]]}).encode(), "uneven lists"),
        (json.dumps({"instances": [["1"] * 64]}).encode(), "not made of numbers"),
        (json.dumps({"instances": [[True] * 64]}).encode(), "not made of numbers"),
        (json.dumps({"instances": [None]}).encode(), "not made of numbers"),
        (json.dumps({"instances": [[10**400, *FLAT[1:]]]}).encode(), "not made of numbers"),
        (json.dumps({"instances": [[float("nan")] * 64]}).encode(), "not finite"),
        (json.dumps({"instances": [{"picture": FLAT}]}).encode(), "instance 0 has no field image"),
        (json.dumps({"instances": [0] * (INSTANCES_MAX + 1)}).encode(), f"more than the {INSTANCES_MAX}"),
    ],
)
def test_what_is_wrong_is_said(body: bytes, sentence: str) -> None:
    """Every malformed body is refused with a sentence that says what is wrong with which instance."""
    with pytest.raises(BadInstance, match=sentence.replace("(", r"\(")):
        parse_instances(body, DIGITS)


def test_a_model_may_take_whole_objects_and_few_of_them() -> None:
    """One that writes text is told how, beside the text."""
    schema = InputSchema("text", None, whole=True, most=2)
    body = b'{"instances": ["a", {"text": "b", "maxTokens": 3}]}'
    assert parse_instances(body, schema) == ["a", {"text": "b", "maxTokens": 3}]
    with pytest.raises(BadInstance, match="3 instances are more than the 2"):
        parse_instances(b'{"instances": ["a", "b", "c"]}', schema)
    with pytest.raises(BadInstance, match="instance 0 has no field text"):
        parse_instances(b'{"instances": [{"maxTokens": 3}]}', schema)
