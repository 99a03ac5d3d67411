"""Whether somebody else changed a child: told by who owns which of its fields, all that a list of metadata shows of it.

A write of another's takes over the fields that it changes, and a field that is removed has no owner any more. What
controllers write into a status is no change.
"""

import hashlib
import json
from typing import Any

from headrace.kube.client import FIELD_MANAGER
from headrace.plan.values import Raw

MENDED = frozenset({"ConfigMap", "Deployment", "EndpointSlice", "NetworkPolicy", "Service"})
"""The kinds that are put right; no right to change the others is asked for.

A PodDisruptionBudget is none of them: whoever lowers a run's lets a drain evict its head, which is an administrator's to
decide. One that is deleted is made again.
"""


def field_owners(raw: Raw) -> str:
    """A digest of who owns which fields besides the status."""
    owners = [[each.get("manager"), each.get("operation"), each.get("fieldsV1")] for each in _writes(raw)]
    return hashlib.sha256(json.dumps(sorted(owners, key=json.dumps), sort_keys=True).encode()).hexdigest()[:16]


def is_touched_later(raw: Raw) -> bool:
    """Whether somebody else wrote after the operator's last write: what there is to go by where nothing is remembered."""
    ours = max((each.get("time", "") for each in _writes(raw) if each.get("manager") == FIELD_MANAGER), default="")
    return any(each.get("time", "") >= ours for each in _writes(raw) if each.get("manager") != FIELD_MANAGER)


def _writes(raw: Raw) -> list[dict[str, Any]]:
    return [each for each in raw["metadata"].get("managedFields") or () if each.get("subresource") != "status"]
