"""What one file alone cannot show: references to objects that exist nowhere, and requests that this version cannot meet.

Pure: the manifests and the objects of the world in, problems out.
"""

import difflib
from collections.abc import Iterable, Sequence

from headrace.api.manifest import Manifest, Problem, load_manifests
from headrace.api.meta import Kind, ObjectKey
from headrace.api.objects import HeadraceObject, TrainJob, TuneJob
from headrace.plan.dependents import learns_from, offers_to, starts_from
from headrace.plan.starting_weights import FIELDS
from headrace.plan.support import missing_support


def check_texts(
    texts: Iterable[tuple[str, str]], existing: Sequence[HeadraceObject]
) -> tuple[list[Manifest], list[Problem]]:
    """The objects of all texts and every problem, in the order in which they are written."""
    manifests, problems = load_manifests(texts)
    return manifests, check_manifests(manifests, problems, existing, "the state folder")


def check_manifests(
    manifests: Sequence[Manifest], faults: Sequence[Problem], existing: Sequence[HeadraceObject], where: str
) -> list[Problem]:
    """Every problem, in the order in which they are written: the faults of reading, and those of what was read."""
    problems = [*faults, *_dangling(manifests, faults, existing, where)]
    problems += [
        Problem(manifest.source, manifest.line_of(sentence.partition(" ")[0]), subject(manifest.object), sentence)
        for manifest in manifests
        if (sentence := missing_support(manifest.object))
    ]
    return sorted(problems, key=lambda problem: (problem.source, problem.line))


def subject(resource: HeadraceObject) -> str:
    """An object as problems name it: TrainJob digits."""
    return f"{resource.key.kind} {resource.key.name}"


def _dangling(
    manifests: Sequence[Manifest], problems: Sequence[Problem], existing: Sequence[HeadraceObject], where: str
) -> list[Problem]:
    # An object whose own manifest is faulty was written all the same: its absence is not a second problem.
    faulty = {problem.subject for problem in problems}
    known = {manifest.object.key for manifest in manifests} | {resource.key for resource in existing}
    found = []
    for manifest in manifests:
        for field, key in _references(manifest.object):
            if key not in known and f"{key.kind} {key.name}" not in faulty:
                sentence = (
                    f"{field}: there is no {key.kind} {key.name} in these files or in {where}; {_hint(key, known)}"
                )
                found.append(Problem(manifest.source, manifest.line_of(field), subject(manifest.object), sentence))
    return found


def _references(resource: HeadraceObject) -> list[tuple[str, ObjectKey]]:
    if not isinstance(resource, TrainJob | TuneJob):
        return []
    dataset = "spec.template.dataset.pipeline" if isinstance(resource, TuneJob) else "spec.dataset.pipeline"
    weights = starts_from(resource)
    pairs = (
        (dataset, learns_from(resource)),
        (f"spec.model.from.{FIELDS[weights.kind]}" if weights else "", weights),
        ("spec.rollout.endpoint", offers_to(resource)),
    )
    return [(field, key) for field, key in pairs if key is not None]


def _hint(missing: ObjectKey, known: Iterable[ObjectKey]) -> str:
    names = sorted(key.name for key in known if key.kind == missing.kind and key.namespace == missing.namespace)
    close = difflib.get_close_matches(missing.name, names, n=1)
    if close:
        return f"did you mean {close[0]}?"
    article = "an" if missing.kind == Kind.INFERENCE_ENDPOINT else "a"
    return f"name one of {', '.join(names)}" if names else f"add {article} {missing.kind} of that name"
