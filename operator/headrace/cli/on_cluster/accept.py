"""Manifests accepted or refused as a whole by the same checks as in local mode, and then by the API server itself."""

import asyncio
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from headrace.api.manifest import Manifest, Problem, load_manifests
from headrace.api.objects import HeadraceObject
from headrace.api.scalars import ManifestLoader, as_sent
from headrace.cli.accept import refuse
from headrace.cli.checks import check_manifests, subject
from headrace.cli.on_cluster.dry_run import dry_run
from headrace.cli.on_cluster.objects import fetch, readable
from headrace.cli.on_cluster.session import Session, open_session, together
from headrace.cli.sources import read_texts
from headrace.cli.target import Target
from headrace.cli.words import plural
from headrace.plan.values import Raw


@dataclass(frozen=True)
class Accepted:
    """A manifest that the API server would take."""

    manifest: Manifest
    body: Raw
    """The fields as they were written, without those that another manager has set to the same."""
    change: str
    """What applying it does: created, configured or unchanged."""
    before: HeadraceObject | None
    """The object as it was."""


def validate_files(target: Target, files: Sequence[str]) -> str:
    """How many objects are valid; Sentence once every problem has been told."""
    return asyncio.run(_validate(target, files))


async def _validate(target: Target, files: Sequence[str]) -> str:
    async with open_session(target) as session:
        number = len(await accept(session, files))
        verb = "is" if number == 1 else "are"
        return f"{plural(number, 'object')} {verb} valid, and {session.server} would take {'it' if number == 1 else 'them'}"


async def accept(session: Session, files: Sequence[str]) -> list[Accepted]:
    """The manifests of all files; Sentence once all problems have been told on standard error."""
    texts = read_texts(files)
    loaded, problems = load_manifests(texts)
    manifests = [_placed(manifest, session.namespace) for manifest in loaded]
    problems += [problem for manifest in manifests if (problem := _misplaced(manifest, session))]
    places = {manifest.object.key.namespace for manifest in manifests} | {session.namespace}
    found = await fetch(session, places)
    where = f"the {'namespace' if len(places) == 1 else 'namespaces'} {', '.join(sorted(places))}"
    refuse(files, manifests, check_manifests(manifests, problems, readable(found), where))
    known = {one.key: one for one in found}
    bodies = _bodies(texts, manifests)
    answers = await together(
        dry_run(session, manifest, body, known.get(manifest.object.key))
        for manifest, body in zip(manifests, bodies, strict=True)
    )
    refuse(files, manifests, [problem for answer in answers for problem in answer.problems])
    return [
        Accepted(
            manifest, answer.body, answer.change, before.object if (before := known.get(manifest.object.key)) else None
        )
        for manifest, answer in zip(manifests, answers, strict=True)
    ]


def _placed(manifest: Manifest, namespace: str) -> Manifest:
    """The manifest in the namespace that is meant where it names none."""
    metadata = manifest.object.metadata
    if "namespace" in metadata.model_fields_set:
        return manifest
    placed = manifest.object.model_copy(update={"metadata": metadata.model_copy(update={"namespace": namespace})})
    return dataclasses.replace(manifest, object=placed)


def _misplaced(manifest: Manifest, session: Session) -> Problem | None:
    written, meant = manifest.object.metadata.namespace, session.target.namespace
    if meant is None or written == meant:
        return None
    sentence = f"metadata.namespace: {written} is written here, and -n {meant} on the command line; write one of them"
    return Problem(manifest.source, manifest.line_of("metadata.namespace"), subject(manifest.object), sentence)


def _bodies(texts: Sequence[tuple[str, str]], manifests: Sequence[Manifest]) -> list[Raw]:
    """What was written, a document a manifest: they were read in this order, and none was faulty."""
    nodes = [node for _, text in texts for node in yaml.compose_all(text, Loader=ManifestLoader)]
    written = [
        as_sent(document) for node in nodes if (document := yaml.SafeLoader("").construct_document(node)) is not None
    ]
    return [_body(document, manifest) for document, manifest in zip(written, manifests, strict=True)]


def _body(written: Raw, manifest: Manifest) -> Raw:
    kept = {name: value for name, value in written.items() if name != "status"}
    return {**kept, "metadata": {**written["metadata"], "namespace": manifest.object.metadata.namespace}}
