"""`headrace plan`: the planner's decisions in words, or the manifests of what it would make; nothing is done."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from headrace.cli.accept import accept
from headrace.cli.errors import REFUSED, Sentence
from headrace.cli.output import Output, dump
from headrace.cli.rehearsal import Rehearsed, rehearse
from headrace.cli.results import finished_already
from headrace.cli.state import saved_objects, settings
from headrace.cli.view import shown_name
from headrace.cli.words import plural
from headrace.plan.conditions import find
from headrace.plan.values import Action, Apply, Create, Delete, DeleteSelf, Push, Raw


def show_plan(files: Sequence[str], state_dir: Path, output: Output | None) -> None:
    """Prints what `headrace run` would do first."""
    existing = saved_objects(state_dir)
    manifests = accept(files, existing)
    found = rehearse([manifest.object for manifest in manifests], existing, settings(state_dir), datetime.now(UTC))
    if output is not None:
        print(dump([made for one in found for made in made_manifests(one)], output), end="")
    else:
        print("\n".join(line for one in found for line in plan_lines(one)))
    if refused := sum(bool(one.refused) for one in found):
        raise Sentence(f"{plural(refused, 'edit')} would be refused", REFUSED)


def made_manifests(one: Rehearsed) -> list[Raw]:
    """The manifests of the children that would be made or changed."""
    return [action.manifest for action in one.actions if isinstance(action, Create | Apply)]


def plan_lines(one: Rehearsed) -> list[str]:
    """An object's change, its state and every action in words."""
    title = f"{one.object.key.kind} {shown_name(one.object.key)}"
    if one.refused:
        return [f"{title}: refused", *(f"  {message}" for message in one.refused)]
    ready = find(one.object.status.conditions, "Ready")
    if one.actions:
        told = f"{one.change}; {one.object.status.phase}"
    elif already := finished_already(one.object):
        return [f"{one.object.key.kind} {already}"]
    else:
        told = f"{one.change}; {ready.message}" if ready else one.change
    return [f"{title}: {told}", *(f"  {words(action)}" for action in one.actions)]


def words(action: Action) -> str:
    """One action as a person would say it."""
    match action:
        case Create(manifest):
            return f"create {_described(manifest)}"
        case Apply(manifest):
            return f"apply {_described(manifest)}"
        case Delete(kind, name):
            return f"delete {kind} {name}"
        case DeleteSelf():
            return "delete the object itself: its time to live is over"
        case Push(pod, path):
            return f"tell the pod {pod} its new {path.strip('/')}"


def _described(manifest: Raw) -> str:
    title = f"{manifest['kind']} {manifest['metadata']['name']}"
    spec = manifest.get("spec", {})
    pod = spec if manifest["kind"] == "Pod" else spec.get("template", {}).get("spec", {})
    if not pod.get("containers"):
        return title
    container = pod["containers"][0]
    requests = container.get("resources", {}).get("requests", {})
    asked = ", ".join(f"{name} {requests[name]}" for name in sorted(requests))
    replicas = f"{spec['replicas']} of " if "replicas" in spec else ""
    command = " ".join(str(part) for part in (*container.get("command", ()), *container.get("args", ())))
    return f"{title}: {replicas}{command}" + (f" ({asked})" if asked else "")
