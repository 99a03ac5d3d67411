"""What a run tells when its objects are settled: what was made, where it is, what failed, how to go on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.api.meta import ObjectKey
from headrace.api.objects import HeadraceObject, InferenceEndpoint
from headrace.cli.example import curl
from headrace.cli.failure import failure_lines
from headrace.cli.logs import main_log
from headrace.cli.standing import UNSUCCESSFUL, Standing, standing
from headrace.cli.state import saved_logs
from headrace.cli.summary import place_lines, places
from headrace.cli.view import display_order


@dataclass(frozen=True)
class Outcome:
    """The given objects with where they stand and where their logs are."""

    resources: tuple[HeadraceObject, ...]
    standings: Mapping[ObjectKey, Standing]
    logs: Mapping[ObjectKey, Path]

    @property
    def failed(self) -> tuple[HeadraceObject, ...]:
        """Those that failed or can never start."""
        return tuple(resource for resource in self.resources if self.standings[resource.key] in UNSUCCESSFUL)

    def only_settled(self) -> "Outcome":
        """Without what was interrupted: its status tells of a moment that is over."""
        kept = (Standing.DONE, Standing.FAILED)
        return Outcome(
            tuple(resource for resource in self.resources if self.standings[resource.key] in kept),
            self.standings,
            self.logs,
        )


def gather(everything: Sequence[HeadraceObject], given: frozenset[ObjectKey], state_dir: Path) -> Outcome:
    """The outcome of the given objects among all."""
    outcome = of_objects(everything, given)
    logs = {key: path for key in outcome.standings if (path := main_log(saved_logs(state_dir, key)))}
    return Outcome(outcome.resources, outcome.standings, logs)


def of_objects(everything: Sequence[HeadraceObject], given: frozenset[ObjectKey]) -> Outcome:
    """The outcome of the given objects among all, where no log is a file."""
    objects = {resource.key: resource for resource in everything}
    mine = tuple(sorted((objects[key] for key in given if key in objects), key=display_order))
    return Outcome(mine, {resource.key: standing(resource, objects) for resource in mine}, {})


def made_lines(outcome: Outcome) -> list[str]:
    """Where everything is, and a request to each endpoint that serves."""
    serving = [
        resource for resource in outcome.resources if isinstance(resource, InferenceEndpoint) and resource.status.url
    ]
    return [
        *place_lines(places(outcome.resources, outcome.logs)),
        *(line for endpoint in serving for line in ("", curl(endpoint))),
    ]


def failed_lines(outcome: Outcome) -> list[str]:
    """Why each of those that failed did, with the end of its log."""
    lines: list[str] = []
    for resource in outcome.failed:
        log = outcome.logs.get(resource.key) if outcome.standings[resource.key] == Standing.FAILED else None
        lines += ["", *failure_lines(resource, log)]
    return lines


def unfinished_lines(outcome: Outcome) -> list[str]:
    """What each of those that are still worked on waits for."""
    waiting = [resource for resource in outcome.resources if outcome.standings[resource.key] == Standing.WORKING]
    return [line for resource in waiting for line in failure_lines(resource, None)]
