"""Manifests as people write them: YAML text in, typed objects out, and for every fault the file, the line and the remedy.

Reads text only; opening files is the caller's business.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from headrace.api.meta import API_VERSION, Kind, ObjectKey
from headrace.api.objects import MODELS, HeadraceObject, parse_object


@dataclass(frozen=True)
class Problem:
    """One fault of a manifest, in words."""

    source: str
    line: int
    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.subject}: {self.message}"


@dataclass(frozen=True)
class Manifest:
    """One object and where it was written."""

    source: str
    line: int
    object: HeadraceObject


Path = tuple[str | int, ...]


def load_manifests(texts: Iterable[tuple[str, str]]) -> tuple[list[Manifest], list[Problem]]:
    """The objects of several (source name, YAML text) pairs, and every fault in them."""
    manifests: list[Manifest] = []
    problems: list[Problem] = []
    for source, text in texts:
        found, faults = _load_text(source, text)
        manifests += found
        problems += faults
    seen: dict[ObjectKey, Manifest] = {}
    for manifest in manifests:
        key = manifest.object.key
        if key in seen:
            first = seen[key]
            problems.append(
                Problem(
                    manifest.source,
                    manifest.line,
                    str(key),
                    f"is written twice; the first is at {first.source}:{first.line}",
                )
            )
        seen[key] = manifest
    return manifests, problems


def _load_text(source: str, text: str) -> tuple[list[Manifest], list[Problem]]:
    manifests: list[Manifest] = []
    problems: list[Problem] = []
    try:
        documents = [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return [], [
            Problem(
                source,
                mark.line + 1 if mark else 1,
                "YAML",
                f"{error.problem or error}; check the indentation and the quotes here",
            )
        ]
    for node in documents:
        lines: dict[Path, int] = {}
        duplicates: list[tuple[int, str]] = []
        _index(node, (), lines, duplicates)
        problems += [
            Problem(source, line, "YAML", f"the key {key!r} is written twice in one mapping; keep one")
            for line, key in duplicates
        ]
        raw = yaml.SafeLoader("").construct_document(node)
        manifest, faults = _load_document(source, raw, lines)
        problems += faults
        if manifest:
            manifests.append(manifest)
    return manifests, problems


def _index(node: yaml.Node, path: Path, lines: dict[Path, int], duplicates: list[tuple[int, str]]) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                duplicates.append((key.start_mark.line + 1, key.value))
            seen.add(key.value)
            lines[(*path, key.value)] = key.start_mark.line + 1
            _index(value, (*path, key.value), lines, duplicates)
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            lines[(*path, place)] = value.start_mark.line + 1
            _index(value, (*path, place), lines, duplicates)


def _load_document(source: str, raw: Any, lines: dict[Path, int]) -> tuple[Manifest | None, list[Problem]]:
    first = lines[()]
    if not isinstance(raw, dict):
        return None, [Problem(source, first, "document", "is not an object; write apiVersion, kind, metadata and spec")]
    subject = (
        f"{raw.get('kind', 'object')} {(raw.get('metadata') or {}).get('name', '(no name)')}"
        if isinstance(raw.get("metadata"), dict | None)
        else "object"
    )
    if raw.get("apiVersion") != API_VERSION:
        return None, [
            Problem(
                source,
                lines.get(("apiVersion",), first),
                subject,
                f"apiVersion is {raw.get('apiVersion')!r}; write apiVersion: {API_VERSION}",
            )
        ]
    if raw.get("kind") not in set(Kind):
        close = difflib.get_close_matches(str(raw.get("kind")), list(Kind), n=1)
        hint = f"did you mean {close[0]}?" if close else f"write one of {', '.join(Kind)}"
        return None, [
            Problem(source, lines.get(("kind",), first), subject, f"kind {raw.get('kind')!r} does not exist; {hint}")
        ]
    raw.pop("status", None)
    try:
        return Manifest(source, first, parse_object(raw)), []
    except ValidationError as error:
        model = MODELS[Kind(raw["kind"])]
        return None, [_problem(source, subject, model, fault, lines) for fault in error.errors()]


def _problem(source: str, subject: str, model: type[BaseModel], fault: Any, lines: dict[Path, int]) -> Problem:
    location: Path = tuple(fault["loc"])
    line = next(lines[location[:end]] for end in range(len(location), -1, -1) if location[:end] in lines)
    return Problem(source, line, subject, f"{spell_path(location)}: {_words(fault, model, location)}")


def spell_path(location: Sequence[str | int]) -> str:
    """A location as people write it: spec.steps[2].filter."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or "object"


def _words(fault: Any, model: type[BaseModel], location: Path) -> str:
    given = fault.get("input")
    match fault["type"]:
        case "extra_forbidden":
            known = _siblings(model, location)
            close = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.6)
            hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}" if known else "remove it"
            return f"unknown field; {hint}"
        case "missing":
            return "is required; add it"
        case "rule" | "quantity":
            return str(fault["msg"])
        case "string_pattern_mismatch":
            return f"{given!r} does not match {fault['ctx']['pattern']}"
        case "enum" | "literal_error":
            return f"{given!r} is not one of {fault['ctx']['expected']}"
        case _:
            message = str(fault["msg"])
            return (
                f"{message[:1].lower()}{message[1:]}, but {given!r} is written here"
                if not isinstance(given, dict | list)
                else f"{message[:1].lower()}{message[1:]}"
            )


def _siblings(model: type[BaseModel], location: Path) -> list[str]:
    current: Any = model
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        field = (
            next((field for name, field in current.model_fields.items() if (field.alias or name) == part), None)
            if _is_model(current)
            else None
        )
        current = _model_in(field.annotation) if field else None
    return sorted(field.alias or name for name, field in current.model_fields.items()) if _is_model(current) else []


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)


def _model_in(annotation: Any) -> Any:
    if _is_model(annotation):
        return annotation
    return next((model for argument in getattr(annotation, "__args__", ()) if (model := _model_in(argument))), None)
