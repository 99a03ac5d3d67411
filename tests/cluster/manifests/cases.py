"""A manifest and the verdict that it must get, from the API server and from local validation alike."""

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Case:
    """A manifest; `field` is the one that a refusal must name, None where the manifest is accepted."""

    name: str
    manifest: dict[str, Any]
    field: str | None = None
    remedy: str = ""
    """Words that both refusals contain; empty where the API server words it itself."""
    rule: tuple[str, str] | None = None
    """The place and the message of the rule that the case is about."""

    @classmethod
    def accepted(cls, name: str, manifest: dict[str, Any], rule: tuple[str, str] | None = None) -> Self:
        """A manifest that both take."""
        return cls(f"accepted-{name}", manifest, rule=rule)

    @classmethod
    def refused(
        cls, name: str, manifest: dict[str, Any], field: str, remedy: str = "", rule: tuple[str, str] | None = None
    ) -> Self:
        """A manifest that both refuse, naming the field."""
        return cls(f"refused-{name}", manifest, field, remedy, rule)
