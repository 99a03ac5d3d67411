"""`headrace replay`: repaired records of a pipeline's quarantine go into its table, once each; `--export` writes what to repair.

A Batch runs again with them, as its spec declares then. A running Stream finds them in its storage.
"""

import hashlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from headrace.api.data_pipeline import Mode, Quarantine, Repaired
from headrace.api.meta import Kind
from headrace.api.objects import DataPipeline
from headrace.api.quarantine_line import NotALine, QuarantineLine
from headrace.cli.errors import REFUSED, Sentence
from headrace.cli.references import find_key, spell
from headrace.cli.repairing import Repairing, compared, left_of, lines_of
from headrace.cli.results import finished_already
from headrace.cli.run import RunOptions, run_objects
from headrace.cli.state import saved_objects
from headrace.cli.words import local_path, place, plural
from headrace.local.files import write_whole

ON_A_CLUSTER = (
    "headrace replay works on this machine's state folder; on a cluster put the repaired lines where the run's pods read, "
    "and name that in spec.quarantine.repaired.uri of a Batch (which starts a new run), or, for a Stream, put them into the folder "
    "repaired inside status.storage"
)


def replay(state_dir: Path, name: str, file: Path | None, export: Path | None, command: str) -> int:
    """Replays a file of repaired lines, or writes or prints the lines to repair; returns the exit code."""
    if file and export:
        raise Sentence("name a file to replay, or one to --export to; not both", REFUSED)
    pipeline = _pipeline(state_dir, name)
    quarantine = _quarantine(pipeline)
    if file is None:
        given = _given(pipeline) if pipeline.spec.mode == Mode.STREAM else []
        _export(name, left_of(quarantine, given), export)
        return 0
    found = _compared(pipeline, file, quarantine)
    if pipeline.spec.mode == Mode.STREAM:
        if found.lines:
            _give(pipeline, found.lines, _given_at(pipeline))
        return 0
    if found.lines:
        pipeline = _edited(state_dir, pipeline, found.lines)
    elif not found.earlier or finished_already(pipeline):
        return 0
    return run_objects(RunOptions((spell(pipeline.key),), state_dir, command, until_ready=True), [pipeline])


def _pipeline(state_dir: Path, name: str) -> DataPipeline:
    objects = {
        resource.key: resource for resource in saved_objects(state_dir) if resource.key.kind == Kind.DATA_PIPELINE
    }
    key = find_key(name, list(objects), "the state folder has no DataPipeline; `headrace run FILE` makes some")
    pipeline = objects[key]
    assert isinstance(pipeline, DataPipeline)
    if not pipeline.status.storage:
        raise Sentence(f"{spell(key)} has not run yet, and so has no quarantine; `headrace run FILE` runs it", REFUSED)
    return pipeline


def _path(uri: str) -> Path:
    path = local_path(uri)
    if path is None:
        raise Sentence(f"{uri} is not on this machine; {ON_A_CLUSTER}", REFUSED)
    return path


def _lines_in(files: Iterable[Path]) -> list[QuarantineLine]:
    found: list[QuarantineLine] = []
    for file in sorted(files):
        try:
            found += lines_of(file.read_bytes().splitlines())
        except NotALine as why:
            raise Sentence(f"a line of {file} {why}; correct that file first", REFUSED) from None
    return found


def _quarantine(pipeline: DataPipeline) -> list[QuarantineLine]:
    return _lines_in((_path(pipeline.status.storage or "") / "quarantine").glob("*.jsonl"))


def _given(pipeline: DataPipeline) -> list[QuarantineLine]:
    """The repaired records that were given before: of all files where a run looks for them."""
    where = _given_at(pipeline)
    if "*" in str(where):
        return _lines_in(Path("/").glob(str(where).lstrip("/")))
    return _lines_in([where] if where.is_file() else (path for path in where.rglob("*.jsonl") if path.is_file()))


def _given_at(pipeline: DataPipeline) -> Path:
    """Where the repaired records lie that were given before; of a Stream, where it looks for them."""
    declared = pipeline.spec.quarantine.repaired
    if declared:
        return _path(declared.uri)
    return _path(pipeline.status.storage or "") / "repaired"


def _export(name: str, lines: Sequence[QuarantineLine], export: Path | None) -> None:
    text = "".join(line.model_dump_json(exclude_defaults=True) + "\n" for line in lines)
    if export is None:
        sys.stdout.write(text)
        return
    export.write_text(text, encoding="utf-8")
    print(
        f"{plural(len(lines), 'bad record')} in {place(export.absolute())}: repair what stands in record, leave source as it is, "
        f"then `headrace replay {name} {export}`; lines that stay as they are stay in the quarantine"
    )


def _compared(pipeline: DataPipeline, file: Path, quarantine: Sequence[QuarantineLine]) -> Repairing:
    try:
        texts = file.read_bytes().splitlines()
    except OSError as error:
        raise Sentence(f"{file} cannot be read: {error.strerror}", REFUSED) from None
    given = _given(pipeline)
    left = left_of(quarantine, given) if pipeline.spec.mode == Mode.STREAM else quarantine
    found = compared(str(file), texts, left, given)
    if found.problems:
        print("\n".join(found.problems), file=sys.stderr)
        raise Sentence(f"{plural(len(found.problems), 'problem')}; nothing was done", REFUSED)
    kept = [f"{plural(found.unchanged, 'line')} not changed"] if found.unchanged else []
    kept += [f"{found.earlier} replayed before"] if found.earlier else []
    print(f"{plural(len(found.lines), 'repaired record')} to replay" + (f" ({', '.join(kept)})" if kept else ""))
    return found


def _written(folder: Path, lines: Sequence[QuarantineLine]) -> Path:
    """The lines as a file whose name is their digest, whole or not at all."""
    data = "".join(line.model_dump_json(exclude_defaults=True) + "\n" for line in lines).encode()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{hashlib.sha256(data).hexdigest()[:16]}.jsonl"
    write_whole(target, data)
    return target


def _give(pipeline: DataPipeline, lines: Sequence[QuarantineLine], folder: Path) -> None:
    if folder.suffix or "*" in str(folder):
        raise Sentence(
            f"spec.quarantine.repaired.uri is {folder}, which is no folder; add the lines there yourself, or name a folder",
            REFUSED,
        )
    print(f"they lie in {place(_written(folder, lines))}")
    name = spell(pipeline.key)
    print(
        f"the stream takes them within some 10 s while it runs; `headrace status {name}` has replayed in its result then"
    )


def _edited(state_dir: Path, pipeline: DataPipeline, lines: Sequence[QuarantineLine]) -> DataPipeline:
    """The pipeline with these lines and those that it had; a newer repair of a record takes an older one's place."""
    declared = pipeline.spec.quarantine.repaired
    before = _given(pipeline) if declared else []
    merged = {line.source: line for line in (*before, *lines)}
    folder = state_dir.absolute() / "storage" / pipeline.metadata.namespace / "repaired" / pipeline.metadata.name
    uri = f"file://{_written(folder, list(merged.values()))}"
    quarantine: Quarantine = pipeline.spec.quarantine.model_copy(update={"repaired": Repaired(uri=uri)})
    edited = pipeline.model_copy(update={"spec": pipeline.spec.model_copy(update={"quarantine": quarantine})})
    print(
        f"{spell(pipeline.key)} runs again with {plural(len(merged), 'repaired record')}; put this into its manifest, as a run without it leaves them out:"
    )
    print(f"  quarantine: {{maxFraction: {quarantine.max_fraction:g}, repaired: {{uri: {uri!r}}}}}")
    return edited
