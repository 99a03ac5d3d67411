"""`headrace crds`: the four CustomResourceDefinitions, ready for `kubectl apply -f -`."""

import yaml

from headrace.api.crds import crd
from headrace.api.meta import Kind


def crds_text() -> str:
    """The definitions as YAML documents."""
    return yaml.safe_dump_all([crd(kind) for kind in Kind], sort_keys=False, width=120)
