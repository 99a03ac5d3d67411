"""What Argo CD thinks of each state that the planner can bring an object into, in the Lua that Argo CD has."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa import lua51

from headrace.api.meta import Kind
from tests.charts.states import PHASES, STATES, State

CONFIG_MAP = Path(__file__).parents[2] / "charts" / "headrace" / "argocd" / "argocd-cm.yaml"
ARGO_CD_HAS = {"table", "package"}
LIBRARIES = {"string", "math", "io", "os", "debug", "coroutine", "package", "table", "python"}


def health(script: str, raw: dict[str, Any]) -> tuple[str, str]:
    """The status and message that the script gives; only the libraries that Argo CD opens are there."""
    runtime = lua51.LuaRuntime(register_eval=False, unpack_returned_tuples=True)
    runtime.execute("getmetatable('').__index = nil")
    for library in LIBRARIES - ARGO_CD_HAS:
        runtime.globals()[library] = None
    runtime.globals()["obj"] = runtime.table_from(raw, recursive=True)
    answer = runtime.execute(script)
    return answer["status"], answer["message"]


def script_of(kind: str) -> str:
    """The script that Argo CD would run for a kind."""
    data = yaml.safe_load(CONFIG_MAP.read_text())["data"]
    return str(data[f"resource.customizations.health.headrace.dev_{kind}"])


@pytest.mark.parametrize("state", STATES.values(), ids=STATES.keys())
def test_health_of_every_state(state: State) -> None:
    """Each state has the health that a person would give it, with the condition's own sentence."""
    status, message = health(script_of(state.raw["kind"]), state.raw)
    assert status == state.health, message
    assert state.words in message
    assert message


@pytest.mark.parametrize("kind", list(Kind))
def test_no_state_is_left_out(kind: Kind) -> None:
    """The states are all phases that the kind's status can name."""
    shown = {state.raw.get("status", {}).get("phase") for state in STATES.values() if state.raw["kind"] == kind}
    assert shown - {None} == PHASES[kind]


@pytest.mark.parametrize("kind", list(Kind))
def test_an_object_without_a_status_is_on_its_way(kind: Kind) -> None:
    """No status, an empty one and one without conditions are no error of the script."""
    metadata = {"name": "new", "generation": 1}
    for extra in ({}, {"status": {}}, {"status": {"observedGeneration": 1}}):
        assert health(script_of(kind), {"metadata": metadata, **extra})[0] == "Progressing"


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["Failed"], "Degraded"),
        (["Stalled"], "Degraded"),
        (["Suspended"], "Suspended"),
        (["Complete"], "Healthy"),
        (["Ready"], "Healthy"),
        (["Progressing", "Reconciling", "Recovered"], "Progressing"),
        (["Complete", "Failed", "Ready"], "Degraded"),
    ],
)
def test_what_each_condition_means(conditions: list[str], expected: str) -> None:
    """A condition alone decides; should Failed and Complete ever be true both, the object is not called healthy."""
    true = [{"type": name, "status": "True", "message": name} for name in conditions]
    raw = {"metadata": {"generation": 1}, "status": {"observedGeneration": 1, "conditions": true}}
    assert health(script_of("TrainJob"), raw)[0] == expected


def test_every_kind_has_its_script() -> None:
    """Argo CD's ConfigMap takes no wildcard in this form of key, so each kind has one."""
    data = yaml.safe_load(CONFIG_MAP.read_text())["data"]
    assert set(data) == {f"resource.customizations.health.headrace.dev_{kind}" for kind in Kind}
