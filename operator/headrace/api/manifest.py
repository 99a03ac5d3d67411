"""Manifests as people write them: YAML text in, typed objects out, and for every fault the file, the line and the remedy.

Reads text only; opening files is the caller's business.
"""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from headrace.api.base import EXACTLY_ONE, NAME_PATTERN, URI_PATTERN
from headrace.api.manifest_metadata import metadata_faults
from headrace.api.meta import API_VERSION, Kind, ObjectKey
from headrace.api.nulls import without_nulls
from headrace.api.objects import MODELS, HeadraceObject
from headrace.api.scalars import ManifestLoader, as_sent


@dataclass(frozen=True)
class Problem:
    """One fault of a manifest, in words."""

    source: str
    line: int
    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.subject}: {self.message}"


Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Manifest:
    """One object and where it was written."""

    source: str
    line: int
    object: HeadraceObject
    lines: Mapping[str, int] = field(default_factory=dict)
    """The line of each field that is written, by its spelled path: spec.steps[2].filter."""

    def line_of(self, path: str) -> int:
        """The line of a field, else of the nearest written one around it, else of the object."""
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.lines.get(path, self.line)


EXPECTED = {
    "model_type": "a mapping of fields",
    "dict_type": "a mapping of fields",
    "tuple_type": "a list",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text; put it in quotes",
}
"""What pydantic's type errors miss, as YAML names it."""

SPELLING = {
    NAME_PATTERN: "write lower-case letters, digits and - between them, such as my-data",
    URI_PATTERN: "write an address with its scheme, such as file:///data or s3://bucket/data",
}
"""What the two commonest patterns ask for."""


def load_manifests(texts: Iterable[tuple[str, str]]) -> tuple[list[Manifest], list[Problem]]:
    """The objects of several (source name, YAML text) pairs, and every fault in them."""
    manifests: list[Manifest] = []
    problems: list[Problem] = []
    for source, text in texts:
        try:
            found, faults = _load_text(source, text)
        except RecursionError:
            deep = "nests too deeply, or an alias stands inside its own anchor; write plain values"
            found, faults = [], [Problem(source, 1, "YAML", deep)]
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
                    f"{key.kind} {key.name}",
                    f"is written twice; the first is at {first.source}:{first.line}; keep one, or give one another name",
                )
            )
        seen[key] = manifest
    return manifests, problems


def _load_text(source: str, text: str) -> tuple[list[Manifest], list[Problem]]:
    manifests: list[Manifest] = []
    problems: list[Problem] = []
    try:
        documents = [node for node in yaml.compose_all(text, Loader=ManifestLoader) if not _is_empty(node)]
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return [], [Problem(source, line, "YAML", f"the character {chr(error.character)!r} is not allowed; remove it")]
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
        try:
            raw = yaml.SafeLoader("").construct_document(node)
            sent = as_sent(raw)
        except (yaml.constructor.ConstructorError, ValueError) as error:
            problems.append(_unconstructible(source, node, error))
            continue
        manifest, faults = _load_document(source, sent, lines)
        problems += faults
        if manifest:
            manifests.append(manifest)
    return manifests, problems


def _is_empty(node: yaml.Node | None) -> bool:
    return node is None or (isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null")


def _unconstructible(source: str, node: yaml.Node, error: Exception) -> Problem:
    """A tag that YAML does not know, a mapping as a key, or a date that no calendar has."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark, fact = error.problem_mark or node.start_mark, error.problem
    else:
        culprit = next(filter(_raises, _scalars(node)), node)
        mark, fact = culprit.start_mark, f"{culprit.value!r} cannot be read: {error}"
    return Problem(source, mark.line + 1, "YAML", f"{fact}; write plain values, and quotes around text")


def _scalars(node: yaml.Node) -> Iterator[yaml.Node]:
    match node:
        case yaml.MappingNode():
            yield from (scalar for pair in node.value for part in pair for scalar in _scalars(part))
        case yaml.SequenceNode():
            yield from (scalar for item in node.value for scalar in _scalars(item))
        case _:
            yield node


def _raises(scalar: yaml.Node) -> bool:
    try:
        as_sent(yaml.SafeLoader("").construct_document(scalar))
    except ValueError:
        return True
    return False


def _index(node: yaml.Node, path: Path, lines: dict[Path, int], duplicates: list[tuple[int, str]]) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # refused when the document is constructed
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
    if "apiVersion" not in raw or "kind" not in raw:
        missing = "apiVersion" if "apiVersion" not in raw else "kind"
        remedy = f"add apiVersion: {API_VERSION}" if missing == "apiVersion" else f"add one of {', '.join(Kind)}"
        return None, [Problem(source, first, subject, f"{missing}: is required; {remedy}")]
    if raw["apiVersion"] != API_VERSION:
        return None, [
            Problem(
                source,
                lines.get(("apiVersion",), first),
                subject,
                f"apiVersion is {raw['apiVersion']!r}; write apiVersion: {API_VERSION}",
            )
        ]
    if raw["kind"] not in list(Kind):
        close = difflib.get_close_matches(str(raw["kind"]), list(Kind), n=1)
        hint = f"did you mean {close[0]}?" if close else f"write one of {', '.join(Kind)}"
        return None, [
            Problem(source, lines.get(("kind",), first), subject, f"kind {raw['kind']!r} does not exist; {hint}")
        ]
    raw.pop("status", None)
    kind = Kind(raw["kind"])
    metadata = raw["metadata"] if isinstance(raw.get("metadata"), dict) else {}
    faults: list[tuple[Path, str]] = list(metadata_faults(metadata))
    try:
        # Strictly, as the API server: no text for a number, no number for true.
        found = MODELS[kind].model_validate_json(json.dumps(without_nulls(kind, raw)), strict=True)
    except ValidationError as error:
        every = error.errors()
        faults += [
            (tuple(fault["loc"]), _words(fault, MODELS[kind], fault["loc"]))
            for fault in every
            if not _follows(fault, every)
        ]
    if faults:
        return None, [
            Problem(source, _line(path, lines), subject, f"{spell_path(path)}: {words}") for path, words in faults
        ]
    return Manifest(source, first, found, {spell_path(path): line for path, line in lines.items()}), []


def _follows(fault: Any, every: Sequence[Any]) -> bool:
    """Whether a list is called too short only because its items are faulty themselves."""
    place = tuple(fault["loc"])
    return fault["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and tuple(other["loc"])[: len(place)] == place for other in every
    )


def _line(path: Path, lines: dict[Path, int]) -> int:
    return next(lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in lines)


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
        case "rule" if str(fault["msg"]).startswith(EXACTLY_ONE) and isinstance(given, dict):
            choices = str(fault["msg"]).removeprefix(EXACTLY_ONE).strip().split(", ")
            set_here = [name for name, value in given.items() if name in choices and value is not None]
            fact = "none is" if not set_here else f"{' and '.join(map(str, set_here))} are"
            return f"{fault['msg']}; {fact} written here"
        case "rule" | "quantity":
            return str(fault["msg"])
        case "string_pattern_mismatch":
            pattern = fault["ctx"]["pattern"]
            return f"{given!r} cannot stand here; {SPELLING.get(pattern) or f'write what matches {pattern}'}"
        case "enum" | "literal_error":
            return f"{given!r} is not one of {fault['ctx']['expected']}"
        case kind if kind in EXPECTED:
            return f"{_written(given)} is written here; write {EXPECTED[kind]}"
        case _:
            message = str(fault["msg"]).replace("Input should be", "must be")
            return f"{message[:1].lower()}{message[1:]}, but {_written(given)} is written here"


def _written(given: Any) -> str:
    """A value as its writer would name it."""
    if given is None:
        return "nothing"
    return "a mapping" if isinstance(given, dict) else "a list" if isinstance(given, list) else repr(given)


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
