"""`headrace run`: manifests to answers on this machine, with the loop that serves a cluster."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from headrace.api.meta import Condition, ObjectKey
from headrace.api.objects import HeadraceObject
from headrace.cli.accept import accept
from headrace.cli.errors import FAILED, INTERRUPTED
from headrace.cli.news import News
from headrace.cli.notices import notices
from headrace.cli.outcome import Outcome, failed_lines, gather, made_lines, unfinished_lines
from headrace.cli.paper import paper
from headrace.cli.putting import put_all
from headrace.cli.references import spell
from headrace.cli.results import finished_already
from headrace.cli.screen import Screen, open_screen
from headrace.cli.signals import Interrupts
from headrace.cli.standing import Standing, standing
from headrace.cli.state import open_world, saved_objects
from headrace.cli.stopping import stop_pods
from headrace.cli.summary import outcome_table
from headrace.cli.supervise import End, Watch, supervise
from headrace.cli.words import duration, place, plural
from headrace.cli.world import World
from headrace.queue import Work


@dataclass(frozen=True)
class RunOptions:
    """What the person asked for."""

    files: tuple[str, ...]
    state_dir: Path
    command: str
    """The command as it was typed: running it again resumes."""
    until_ready: bool = False
    timeout_seconds: float | None = None


def run(options: RunOptions) -> int:
    """Runs the manifests and returns the exit code."""
    manifests = accept(options.files, saved_objects(options.state_dir))
    return run_objects(options, [manifest.object for manifest in manifests])


def run_objects(options: RunOptions, resources: Sequence[HeadraceObject]) -> int:
    """Runs objects that were accepted, and returns the exit code."""
    return asyncio.run(_run(options, resources))


async def _run(options: RunOptions, resources: Sequence[HeadraceObject]) -> int:
    given = frozenset(resource.key for resource in resources)
    async with open_world(options.state_dir, "headrace run") as world:
        with Interrupts() as interrupts, open_screen() as screen, notices(screen.say):
            await _put(options, world, resources, screen)
            watch = Watch(
                given,
                options.until_ready,
                options.timeout_seconds,
                lambda: _tell_serving(options, world, given, screen),
            )
            end = await supervise(world, watch, reconciler(world, screen.say), screen, interrupts.stop)
            if end != End.OVER:
                await _stop(options, end, world, given, interrupts.now, screen)
        return conclude(options, end, world, given)


async def _put(options: RunOptions, world: World, resources: Sequence[HeadraceObject], screen: Screen) -> None:
    screen.say(
        f"{plural(len(resources), 'object')} in {', '.join(options.files)}; the state is kept in {place(options.state_dir.absolute())}"
    )
    for resource, change in await put_all(world, resources):
        already = finished_already(resource) if change == "unchanged" else None
        screen.say(already or f"{resource.key.kind} {resource.key.name}: {change}")


def reconciler(world: World, say: Callable[[str], None]) -> Work:
    """The work of the queue: one pass of the loop over an object, its news told."""
    from headrace.reconcile import reconcile

    news = News()

    def tell(key: ObjectKey, condition: Condition) -> None:
        if line := news.line(key, condition, world.get(key)):
            say(line)

    async def work(key: ObjectKey, now: datetime) -> float | None:
        return await reconcile(world, key, now, tell)

    return work


def _tell_serving(options: RunOptions, world: World, given: frozenset[ObjectKey], screen: Screen) -> None:
    outcome = gather(world.objects(), given, options.state_dir)
    if options.until_ready or Standing.SERVING not in outcome.standings.values():
        return
    screen.write(["", *made_lines(outcome), *failed_lines(outcome), "", "serving until Ctrl-C"])


async def _stop(
    options: RunOptions,
    end: End,
    world: World,
    given: frozenset[ObjectKey],
    at_once: asyncio.Event,
    screen: Screen,
) -> None:
    if end == End.TIMED_OUT and options.timeout_seconds is not None:
        screen.say(f"not everything was finished after {duration(options.timeout_seconds)}, the --timeout")
        for line in unfinished_lines(gather(world.objects(), given, options.state_dir)):
            screen.say(line)
    await stop_pods(world, at_once, screen.say)
    screen.say(f"stopped; the same command resumes: {options.command}")


def conclude(options: RunOptions, end: End, world: World, given: frozenset[ObjectKey]) -> int:
    """Prints what was made, where it is and what failed; returns the exit code."""
    everything = world.objects()
    outcome = gather(everything, given, options.state_dir)
    shown = outcome if end == End.OVER else outcome.only_settled()
    page = paper()
    if shown.resources:
        page.print(outcome_table(shown.resources))
    lines = [*made_lines(shown), *failed_lines(shown)]
    if end == End.OVER:
        lines += _next_steps(options, outcome, everything)
    for line in lines:
        page.print(line, soft_wrap=True)
    if end == End.STOPPED:
        return INTERRUPTED
    return FAILED if outcome.failed or end == End.TIMED_OUT else 0


def _next_steps(options: RunOptions, outcome: Outcome, everything: Sequence[HeadraceObject]) -> list[str]:
    stop = f"headrace stop --state-dir {place(options.state_dir.absolute())}"
    objects = {resource.key: resource for resource in everything}
    others = [
        key for key in objects if key not in outcome.standings and standing(objects[key], objects) == Standing.WORKING
    ]
    lines = []
    if Standing.SERVING in outcome.standings.values():
        lines += ["", f"the servers keep running; to stop them: {stop}"]
    if others:
        lines += [
            "",
            f"not finished, from an earlier command: {', '.join(map(spell, others))}; run its files again, or {stop}",
        ]
    return lines
