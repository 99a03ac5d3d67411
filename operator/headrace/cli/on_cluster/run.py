"""`headrace run` on a cluster: manifests are applied, an operator does the work, this command watches."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.api.meta import ObjectKey
from headrace.api.objects import HeadraceObject, InferenceEndpoint
from headrace.cli.errors import FAILED, INTERRUPTED
from headrace.cli.on_cluster.accept import Accepted, accept
from headrace.cli.on_cluster.dry_run import apply
from headrace.cli.on_cluster.failure import failed_lines
from headrace.cli.on_cluster.session import Session, open_session
from headrace.cli.on_cluster.watch import Watch, watch
from headrace.cli.outcome import Outcome, of_objects, unfinished_lines
from headrace.cli.paper import paper
from headrace.cli.references import spell
from headrace.cli.results import finished_already
from headrace.cli.screen import Screen, open_screen
from headrace.cli.signals import Interrupts
from headrace.cli.standing import Standing
from headrace.cli.summary import outcome_table, place_lines, places
from headrace.cli.supervise import End
from headrace.cli.target import Target
from headrace.cli.view import shown_name
from headrace.cli.words import duration, plural


@dataclass(frozen=True)
class RunOptions:
    """What the person asked for."""

    files: tuple[str, ...]
    target: Target
    command: str
    """The command as it was typed: running it again watches on."""
    timeout_seconds: float | None = None


def run(options: RunOptions) -> int:
    """Applies the manifests, watches until they are settled, and returns the exit code."""
    return asyncio.run(_run(options))


async def _run(options: RunOptions) -> int:
    async with open_session(options.target) as session:
        accepted = await accept(session, options.files)
        given = frozenset(one.manifest.object.key for one in accepted)
        with Interrupts() as interrupts, open_screen() as screen:
            await _apply(options, session, accepted, screen)
            wanted = Watch(
                given, {one.before.key: one.before for one in accepted if one.before}, options.timeout_seconds
            )
            end, objects = await watch(session, wanted, screen, interrupts.stop)
            if end != End.OVER:
                _leave(options, session, end, of_objects(objects, given), screen)
        return await _conclude(session, end, given, objects)


async def _apply(options: RunOptions, session: Session, accepted: Sequence[Accepted], screen: Screen) -> None:
    screen.say(
        f"{plural(len(accepted), 'object')} in {', '.join(options.files)}; applied to {session.server}, namespace {session.namespace}"
    )
    for one in accepted:
        if one.change != "unchanged":
            await apply(session, one.body)
        delete = session.command(f"delete {spell(one.manifest.object.key)}")
        already = finished_already(one.before, delete) if one.before and one.change == "unchanged" else None
        screen.say(already or f"{one.manifest.object.key.kind} {shown_name(one.manifest.object.key)}: {one.change}")


def _leave(options: RunOptions, session: Session, end: End, outcome: Outcome, screen: Screen) -> None:
    if end == End.TIMED_OUT and options.timeout_seconds is not None:
        screen.say(f"not everything was finished after {duration(options.timeout_seconds)}, the --timeout")
    for line in unfinished_lines(outcome):
        screen.say(line)
    screen.say(
        f"the objects stay on the cluster, and the operator goes on with them; "
        f"`{session.command('status')}` shows them, `{session.command('delete NAME')}` ends one, "
        f"the same command watches on: {options.command}"
    )


async def _conclude(session: Session, end: End, given: frozenset[ObjectKey], objects: Sequence[HeadraceObject]) -> int:
    """Prints what was made, where it is and what failed; returns the exit code."""
    outcome = of_objects(objects, given)
    shown = outcome if end == End.OVER else outcome.only_settled()
    gone = sorted(str(key) for key in given - outcome.standings.keys())
    page = paper()
    if shown.resources:
        page.print(outcome_table(shown.resources))
    lines = [*place_lines(places(shown.resources, {})), *_reach(shown), *await failed_lines(session, shown)]
    lines += [f"{key}: was deleted meanwhile" for key in gone] if end == End.OVER else []
    for line in lines:
        page.print(line, soft_wrap=True)
    if end == End.STOPPED:
        return INTERRUPTED
    return FAILED if outcome.failed or gone or end == End.TIMED_OUT else 0


def _reach(outcome: Outcome) -> list[str]:
    """How to ask the endpoints that serve from outside the cluster."""
    lines = []
    for one in outcome.resources:
        if isinstance(one, InferenceEndpoint) and outcome.standings[one.key] == Standing.SERVING:
            name, forward = (
                one.metadata.name,
                f"kubectl port-forward -n {one.metadata.namespace} service/{one.metadata.name}",
            )
            lines += [
                "",
                f"to ask {name} from here: {forward} 8080:{one.spec.port}, then post to http://127.0.0.1:8080/predict",
            ]
    return lines
