"""The ground every API model stands on: strict, frozen, camelCase on the wire.

A rule that a manifest must obey is declared once, beside the model, as a pair: the CEL text that the API server
evaluates and the Python predicate that local mode evaluates. This module must never know a particular kind.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError


@dataclass(frozen=True)
class Rule:
    """One cross-field rule, for the API server (`cel`) and for local validation (`holds`)."""

    cel: str
    message: str
    holds: Callable[[Any], bool]


class Model(BaseModel):
    """A frozen value with camelCase names that refuses unknown fields and checks its own rules."""

    # What is refused is not repeated: the operator's log is no place for a value that a user took for private.
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def all_rules(cls) -> tuple[Rule, ...]:
        """The rules that hold for this model, in the order they are reported."""
        return cls.rules

    @model_validator(mode="after")
    def _obey_rules(self) -> Self:
        for rule in self.all_rules():
            if not rule.holds(self):
                raise PydanticCustomError("rule", "{message}", {"message": rule.message})
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core))
        if rules := cls.all_rules():
            schema["x-kubernetes-validations"] = [{"rule": rule.cel, "message": rule.message} for rule in rules]
        return schema

    def wire(self) -> dict[str, Any]:
        """The value as it is written to the API: camelCase names, no nulls, JSON types."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


EXACTLY_ONE = "set exactly one of"


class OneOf(Model):
    """A choice among sibling optional fields of which exactly one is set."""

    @classmethod
    def choices(cls) -> tuple[str, ...]:
        """The names of the choices as a manifest spells them."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())

    @classmethod
    def all_rules(cls) -> tuple[Rule, ...]:
        """The one-of rule first, then the model's own."""
        present = ", ".join(f"has(self.{cel_name(choice)})" for choice in cls.choices())
        exactly_one = Rule(
            f"[{present}].filter(x, x).size() == 1",
            f"{EXACTLY_ONE} {', '.join(cls.choices())}",
            lambda value: value.choice_count() == 1,
        )
        return (exactly_one, *cls.rules)

    def choice_count(self) -> int:
        """How many of the choices are set; anything but 1 is refused."""
        return sum(getattr(self, name) is not None for name in type(self).model_fields)

    @property
    def chosen(self) -> str:
        """The Python name of the field that is set."""
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)

    @property
    def chosen_field(self) -> str:
        """The name of the field that is set, as a manifest spells it."""
        return type(self).model_fields[self.chosen].alias or self.chosen

    @property
    def value(self) -> Any:
        """The value of the field that is set."""
        return getattr(self, self.chosen)


CEL_RESERVED = frozenset({"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function",
                          "if", "import", "let", "loop", "package", "namespace", "return", "var", "void", "while"})  # fmt: skip


def cel_name(name: str) -> str:
    """A field's name as CEL spells it: Kubernetes escapes the words that CEL reserves."""
    return f"__{name}__" if name in CEL_RESERVED else name


class Edit(StrEnum):
    """What editing a field of a spec does to an object that exists."""

    IN_PLACE = "InPlace"
    NEXT_ATTEMPT = "NextAttempt"
    NEW_RUN = "NewRun"
    IMMUTABLE = "Immutable"


EDIT_TEXT = {
    Edit.IN_PLACE: "An edit takes effect in place.",
    Edit.NEXT_ATTEMPT: "An edit takes effect when the run next starts its pods.",
    Edit.NEW_RUN: "An edit is refused while the job runs unless it is suspended, and starts a new run once it has finished.",
    Edit.IMMUTABLE: "Immutable: delete the object and create it anew to change it.",
}


def setting(description: str, *, edit: Edit, default: Any = ..., **bounds: Any) -> Any:
    """A field of a spec whose description also says what an edit does."""
    return Field(
        default,
        description=f"{description} {EDIT_TEXT[edit]}",
        json_schema_extra={"x-headrace-edit": edit.value},
        **bounds,
    )


def edit_of(model: type[Model], name: str) -> Edit:
    """What an edit of the model's field does; fields that say nothing start a new run."""
    extra = model.model_fields[name].json_schema_extra
    return (
        Edit(str(extra["x-headrace-edit"])) if isinstance(extra, dict) and "x-headrace-edit" in extra else Edit.NEW_RUN
    )


_ANYTHING = {"x-kubernetes-preserve-unknown-fields": True, "nullable": True}
_FREE = {"type": "object", "additionalProperties": _ANYTHING}
FreeObject = Annotated[dict[str, Any], WithJsonSchema(_FREE)]
"""An object whose fields are its reader's business, kept as written.

A map of anything, because rules of the API server that compare two objects with unknown fields miss a renamed field.
"""


def _with_spec(template: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(template.get("spec", {}), dict):
        raise PydanticCustomError("rule", "spec must be a mapping of a pod's fields")
    return template


PodTemplate = Annotated[
    dict[str, Any],
    AfterValidator(_with_spec),
    WithJsonSchema(
        {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
            "properties": {"spec": {**_FREE, "description": "Fields of a pod's spec."}},
        }
    ),
]
"""Fields of a pod, under spec or bare. An object and no map of anything, because rules cannot name such a map."""

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
URI_PATTERN = r"^(file|s3|gs|abfs|abfss|hdfs)://?.+$"

Name = Annotated[str, Field(min_length=1, max_length=63, pattern=NAME_PATTERN)]
"""The name of another object of the same namespace (a DNS label)."""

Uri = Annotated[str, Field(min_length=1, max_length=1024, pattern=URI_PATTERN)]
"""Where something is stored: file:, s3:, gs:, abfs: or hdfs:."""

Column = Annotated[str, Field(min_length=1, max_length=128)]
"""The name of a column."""

Seconds = Annotated[int, Field(ge=0, le=31_536_000)]
"""A duration of at most a year."""
