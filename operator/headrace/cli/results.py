"""What an object has made so far, in a few words. Pure."""

from headrace.api.artifacts import DatasetVersion
from headrace.api.meta import Kind
from headrace.api.objects import DataPipeline, HeadraceObject, InferenceEndpoint, TrainJob, TuneJob
from headrace.api.run_report import Records
from headrace.api.status import FINISHED
from headrace.cli.references import spell
from headrace.cli.view import shown_name
from headrace.cli.words import count, measure, metrics_text

NOTHING_LEFT = {
    Kind.DATA_PIPELINE: "nothing to prepare",
    Kind.TRAIN_JOB: "nothing to train",
    Kind.TUNE_JOB: "nothing to search",
}


def result(resource: HeadraceObject) -> str:
    """Records, metrics or shares of traffic; empty while there is nothing."""
    match resource:
        case DataPipeline():
            return _dataset(resource.status.dataset, resource.status.records)
        case TuneJob():
            best = resource.status.best_trial
            found = (
                f"best {resource.spec.objective.metric} {measure(best.value)} in trial {best.number}" if best else ""
            )
            return found or (metrics_text(resource.status.model.metrics) if resource.status.model else "")
        case TrainJob():
            return metrics_text(resource.status.model.metrics) if resource.status.model else ""
        case InferenceEndpoint():
            return _traffic(resource)


def _dataset(dataset: DatasetVersion | None, records: Records | None) -> str:
    if dataset is None:
        return ""
    splits = " + ".join(f"{count(dataset.splits[name])} {name}" for name in sorted(dataset.splits))
    facts = [f"{count(dataset.records)} records" + (f" ({splits})" if splits else "")]
    if records:
        left_out = {
            name: getattr(records, name) for name in ("filtered", "duplicates", "quarantined", "late", "replayed")
        }
        facts += [f"{count(number)} {name}" for name, number in left_out.items() if number]
    return ", ".join(facts)


def _traffic(endpoint: InferenceEndpoint) -> str:
    shares = ", ".join(f"{version.version} {version.weight} %" for version in endpoint.status.versions)
    if endpoint.status.history:
        last = endpoint.status.history[0]
        shares = "; ".join(
            filter(None, (shares, f"last rollout: {last.verdict}" + (f", {last.message}" if last.message else "")))
        )
    return shares


def finished_already(resource: HeadraceObject, delete: str = "") -> str | None:
    """The sentence for an object that has nothing left to do; None where it has, or serves. `delete` deletes it."""
    if isinstance(resource, InferenceEndpoint) or resource.status.phase not in FINISHED:
        return None
    if resource.status.observed_generation < resource.metadata.generation:
        return None
    name, status = shown_name(resource.key), resource.status
    if status.phase == "Complete":
        made = result(resource)
        facts = f"run {status.run}, {made}" if made else f"run {status.run}"
        return f"{name}: Complete already ({facts}); {NOTHING_LEFT[resource.key.kind]}"
    return f"{name}: Failed already (run {status.run}); an edit of its manifest, or `{delete or f'headrace delete {spell(resource.key)}'}`, lets it run again"
