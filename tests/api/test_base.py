"""The ground of the models: one-of choices, rules in both tongues, what an edit does."""

from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from headrace.api.base import Edit, Model, OneOf, Rule, cel_name, edit_of, setting


class Choice(OneOf):
    left: Annotated[int | None, Field(ge=0)] = None
    in_: Annotated[str | None, Field(alias="in")] = None


class Span(Model):
    low: int = 0
    high: int = 1
    rules = (Rule("self.low < self.high", "low must be less than high", lambda s: s.low < s.high),)


class Spec(Model):
    size: int = setting("How large.", edit=Edit.IN_PLACE, default=1)
    shape: str = setting("Which shape.", edit=Edit.IMMUTABLE, default="round")
    plain: int = 0


@pytest.mark.parametrize("given", [{}, {"left": 1, "in": "x"}])
def test_one_of_refuses_none_and_two(given: dict) -> None:
    """A one-of with no choice or with two is refused, and the message names the choices."""
    with pytest.raises(ValidationError, match="set exactly one of left, in"):
        Choice.model_validate(given)


def test_one_of_tells_its_choice() -> None:
    """A one-of says which field is set and its value."""
    choice = Choice.model_validate({"left": 3})
    assert (choice.chosen, choice.value) == ("left", 3)


def test_one_of_escapes_reserved_words_in_cel() -> None:
    """A choice whose name CEL reserves is escaped as Kubernetes does it."""
    assert Choice.all_rules()[0].cel == "[has(self.left), has(self.__in__)].filter(x, x).size() == 1"


def test_rule_refuses_with_its_message() -> None:
    """A broken rule refuses the value with the rule's own message."""
    with pytest.raises(ValidationError, match="low must be less than high"):
        Span(low=2, high=2)


def test_rule_reaches_the_schema() -> None:
    """A rule stands in the JSON schema as a Kubernetes validation."""
    rules = Span.model_json_schema()["x-kubernetes-validations"]
    assert rules == [{"rule": "self.low < self.high", "message": "low must be less than high"}]


def test_unknown_fields_are_refused() -> None:
    """A field that the model does not know is an error, not ignored."""
    with pytest.raises(ValidationError, match="Extra inputs"):
        Span.model_validate({"lo": 1})


def test_description_says_what_an_edit_does() -> None:
    """A setting's description ends with what an edit does."""
    assert Spec.model_fields["size"].description == "How large. An edit takes effect in place."


@pytest.mark.parametrize(
    ("name", "edit"), [("size", Edit.IN_PLACE), ("shape", Edit.IMMUTABLE), ("plain", Edit.NEW_RUN)]
)
def test_edit_of(name: str, edit: Edit) -> None:
    """A field that says nothing starts a new run."""
    assert edit_of(Spec, name) == edit


def test_wire_is_camel_case_without_nulls() -> None:
    """What is written to the API has camelCase names and no nulls."""

    class Thing(Model):
        two_words: int = 1
        absent: int | None = None

    assert Thing().wire() == {"twoWords": 1}


@pytest.mark.parametrize(("name", "spelled"), [("for", "__for__"), ("steps", "steps")])
def test_cel_name(name: str, spelled: str) -> None:
    """Only words that CEL reserves are escaped."""
    assert cel_name(name) == spelled
