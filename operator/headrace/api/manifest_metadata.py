"""What the API server asks of metadata whatever the kind; the models read only the part that Headrace uses."""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

FIELDS = (
    "annotations", "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generateName",
    "generation", "labels", "managedFields", "name", "namespace", "ownerReferences", "resourceVersion", "selfLink", "uid",
)  # fmt: skip
KEY = re.compile(r"(?:(?=.{1,253}/)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
                 r"(?=.{1,63}$)[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")  # fmt: skip
VALUE = re.compile(r"(?=.{0,63}$)([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
KEY_REMEDY = "write letters, digits, - _ and . between them, at most 63, with a domain and / before them if need be"
VALUE_REMEDY = "write letters, digits, - _ and . between them, at most 63; a longer text fits an annotation"


def metadata_faults(metadata: Mapping[Any, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The path in a manifest and the words of each fault that the models do not see."""
    for name in metadata:
        if name not in FIELDS:
            close = difflib.get_close_matches(str(name), FIELDS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(FIELDS)}"
            yield ("metadata", str(name)), f"unknown field; {hint}"
    for place in ("labels", "annotations"):
        entries = metadata.get(place)
        for key, value in entries.items() if isinstance(entries, dict) else ():
            # The API server does not mind capitals in an annotation's domain.
            if not KEY.fullmatch(str(key).lower() if place == "annotations" else str(key)):
                yield ("metadata", place, str(key)), f"{key!r} is no key; {KEY_REMEDY}"
            if place == "labels" and isinstance(value, str) and not VALUE.fullmatch(value):
                yield ("metadata", place, str(key)), f"{value!r} cannot be a label's value; {VALUE_REMEDY}"
