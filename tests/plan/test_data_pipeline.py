"""DataPipeline: who gets the keys of its steps."""

import json

from headrace.api.status import Phase
from headrace.plan import labels
from headrace.plan.plan import plan
from headrace.plan.values import Create
from tests.gen import NOW, pipeline
from tests.plan.test_run import observed, with_status

STEPS = [
    {"redact": {"entities": ["Email"]}},
    {"hash": {"columns": ["a"], "key": {"secret": "privacy", "id": "2026-07"}}},
    {"encrypt": {"columns": ["b"], "key": {"secret": "vault-1", "id": "new"}}},
    {"encrypt": {"columns": ["c"], "key": {"secret": "privacy", "id": "2026-07"}}},
]


def test_keys_reach_the_workers_alone() -> None:
    """One key of a Secret for each variable, by reference: neither the head nor the RunSpec has more than their names."""
    started = with_status(pipeline(steps=STEPS, workers={"min": 2, "max": 2}), phase=Phase.PENDING, input=None)
    made = [action.manifest for action in plan(observed(started), NOW).actions if isinstance(action, Create)]
    pods = [each for each in made if each["kind"] == "Pod"]
    workers = [pod for pod in pods if pod["metadata"]["labels"][labels.ROLE] == labels.WORKER]
    assert len(workers) == 2
    for worker in workers:
        found = [each for each in worker["spec"]["containers"][0]["env"] if each["name"].startswith("HEADRACE_KEY_")]
        assert found == [
            {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key, "optional": True}}}
            for variable, name, key in (
                ("HEADRACE_KEY_PRIVACY__2026_07", "privacy", "2026-07"),
                ("HEADRACE_KEY_VAULT_1__NEW", "vault-1", "new"),
            )
        ]
    others = [each for each in made if each not in workers]
    assert {each["kind"] for each in others} >= {"ConfigMap", "Pod", "Secret"}
    assert "HEADRACE_KEY_" not in json.dumps(others)


def test_a_database_is_opened_by_head_and_workers() -> None:
    """The head lists what is there, the workers read it; the address is in neither's RunSpec."""
    url = {"name": "database", "key": "url"}
    source = {"sql": {"url": url, "query": "SELECT * FROM t", "key": "id"}}
    started = with_status(pipeline(source=source), phase=Phase.PENDING, input=None)
    made = [action.manifest for action in plan(observed(started), NOW).actions if isinstance(action, Create)]
    for each in (each for each in made if each["kind"] == "Pod"):
        found = [one for one in each["spec"]["containers"][0]["env"] if one["name"] == "HEADRACE_SQL_URL"]
        assert found == [{"name": "HEADRACE_SQL_URL", "valueFrom": {"secretKeyRef": url | {"optional": True}}}]
