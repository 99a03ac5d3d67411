"""The commands and their options. Bodies only hand over: what a command does is in the file of its name.

Every import of the rest of Headrace is inside a body, so that --help and completion answer at once.
"""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.completion import complete_names
from headrace.cli.output import LogFormat, Output
from headrace.cli.target import only_local, target_of
from headrace.plan.report_route import ReportRoute

app = typer.Typer(
    name="headrace",
    help="Data to answers from four kinds of manifests: DataPipeline, TrainJob, TuneJob, InferenceEndpoint.",
    no_args_is_help=True,
    rich_markup_mode=None,  # its renderer takes longer to import than all the rest of --help
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Files = Annotated[
    list[str], typer.Argument(metavar="FILE…", help="Files or folders of manifests; - reads standard input.")
]
StateDir = Annotated[
    Path,
    typer.Option(
        "--state-dir", envvar="HEADRACE_STATE_DIR", help="The folder that holds objects, data, models and logs."
    ),
]
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="name or kind/name, such as tj/digits.", autocompletion=complete_names)
]
Context = Annotated[
    str | None, typer.Option("--context", help="A cluster, by its context in the kubeconfig.", show_default=False)
]
Namespace = Annotated[
    str | None, typer.Option("-n", "--namespace", help="A namespace of the cluster.", show_default=False)
]
DEFAULT_STATE_DIR = Path(".headrace")


@app.command()
def run(
    ctx: typer.Context,
    files: Files,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    on_cluster: Annotated[
        bool, typer.Option("--on-cluster", help="Apply the manifests to a cluster, and watch.")
    ] = False,
    context: Context = None,
    namespace: Namespace = None,
    until_ready: Annotated[
        bool, typer.Option("--until-ready", help="End once all is Complete or Ready; servers keep running.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", min=0.0, help="Stop after this long; running again resumes."),
    ] = None,
) -> None:
    """Run manifests on this machine or on a cluster; running them again resumes what was interrupted."""
    if target := target_of(ctx, context, namespace, on_cluster=on_cluster):
        from headrace.cli.on_cluster import run as cluster

        command = f"{target.program} {shlex.join(sys.argv[1:])}"
        raise typer.Exit(cluster.run(cluster.RunOptions(tuple(files), target, command, timeout)))
    from headrace.cli.run import RunOptions
    from headrace.cli.run import run as run_files

    command = shlex.join(["headrace", *sys.argv[1:]])
    raise typer.Exit(run_files(RunOptions(tuple(files), state_dir, command, until_ready, timeout)))


@app.command()
def plan(
    ctx: typer.Context,
    files: Files,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    output: Annotated[
        Output | None, typer.Option("-o", "--output", help="yaml or json: the manifests that would be made.")
    ] = None,
) -> None:
    """Say what `run` would do first; nothing is done."""
    only_local(ctx, "`kubectl headrace validate FILE` asks the cluster, `headrace plan FILE` plans on this machine")
    from headrace.cli.plan import show_plan

    show_plan(files, state_dir, output)


@app.command()
def validate(
    ctx: typer.Context,
    files: Files,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    context: Context = None,
    namespace: Namespace = None,
) -> None:
    """Check manifests and list every problem; for a cluster, its API server is asked too."""
    if target := target_of(ctx, context, namespace):
        from headrace.cli.on_cluster import accept

        print(accept.validate_files(target, files))
        return
    from headrace.cli.accept import validate_files

    print(validate_files(files, state_dir))


@app.command()
def status(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="name or kind/name, such as tj/digits.", autocompletion=complete_names),
    ] = None,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    context: Context = None,
    namespace: Namespace = None,
    output: Annotated[
        Output | None, typer.Option("-o", "--output", help="json or yaml: the objects themselves.")
    ] = None,
) -> None:
    """Show how things stand; with a name, everything about it."""
    if target := target_of(ctx, context, namespace):
        from headrace.cli.on_cluster import status as cluster

        cluster.show_status(target, name, output)
        return
    from headrace.cli.status import show_status

    show_status(state_dir, name, output)


@app.command()
def logs(
    ctx: typer.Context,
    name: Name,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    context: Context = None,
    namespace: Namespace = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as lines are written.")] = False,
    pod: Annotated[str | None, typer.Option("--pod", help="The pod, by its name or its end, such as worker-0.")] = None,
) -> None:
    """Print the log of an object's head pod, or of another of its pods."""
    if target := target_of(ctx, context, namespace):
        from headrace.cli.on_cluster import logs as cluster

        cluster.show_logs(target, name, pod, follow=follow)
        return
    from headrace.cli.logs import show_logs

    show_logs(state_dir, name, pod, follow=follow)


@app.command()
def replay(
    ctx: typer.Context,
    name: Name,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Lines of the quarantine with repaired records.")
    ] = None,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    context: Context = None,
    namespace: Namespace = None,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Write the lines to repair here.")
    ] = None,
) -> None:
    """Put repaired records of a pipeline's quarantine into its table; without a file, print what to repair."""
    from headrace.cli import replay as replaying

    if target_of(ctx, context, namespace):
        from headrace.cli.errors import REFUSED, Sentence

        raise Sentence(replaying.ON_A_CLUSTER, REFUSED)
    command = shlex.join(["headrace", *sys.argv[1:]])
    raise typer.Exit(replaying.replay(state_dir, name, file, export, command))


@app.command()
def delete(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME…]", help="name or kind/name, such as tj/digits.", autocompletion=complete_names),
    ] = None,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    context: Context = None,
    namespace: Namespace = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every object of the state folder, or of the namespace.")
    ] = False,
) -> None:
    """Delete objects; their data is kept."""
    if target := target_of(ctx, context, namespace):
        from headrace.cli.on_cluster import delete as cluster

        cluster.delete(target, names or [], everything=everything)
        return
    from headrace.cli.delete import delete as delete_objects

    delete_objects(state_dir, names or [], everything=everything)


@app.command()
def stop(ctx: typer.Context, state_dir: StateDir = DEFAULT_STATE_DIR) -> None:
    """Stop all that still runs in the state folder; workers checkpoint first."""
    only_local(ctx, "on a cluster, `kubectl headrace delete NAME` ends an object and suspend: true pauses it")
    from headrace.cli.stop import stop as stop_everything

    stop_everything(state_dir)


@app.command()
def operator(
    namespace: Annotated[
        list[str] | None, typer.Option("--namespace", "-n", help="A namespace to work in; all of them when not given.")
    ] = None,
    name: Annotated[
        str, typer.Option(help="The name of its lease; its key's is the same with -key.")
    ] = "headrace-operator",
    lease_namespace: Annotated[
        str | None, typer.Option(help="The operator's own namespace, for the lease and its key.")
    ] = None,
    context: Annotated[str | None, typer.Option(help="The context of the kubeconfig.")] = None,
    worker_image: Annotated[str, typer.Option(help="The image of pods whose manifest names none.")] = "headrace-worker",
    storage_root: Annotated[
        str, typer.Option(help="URI of the folder for runs, models and tables.")
    ] = "file:///var/lib/headrace",
    storage_claim: Annotated[
        str, typer.Option(help="The PersistentVolumeClaim of each namespace that is mounted at a file: storage root.")
    ] = "",
    gpu_resource: Annotated[str, typer.Option(help="The accelerator's resource name.")] = "nvidia.com/gpu",
    isolate: Annotated[bool, typer.Option(help="Give pods a NetworkPolicy.")] = True,
    egress: Annotated[
        str, typer.Option(help="A JSON list of egress rules: what pods may reach inside the cluster.")
    ] = "[]",
    reports: Annotated[
        ReportRoute, typer.Option(help="How pods are asked how far they are: Direct, or Proxy through the API server.")
    ] = ReportRoute.DIRECT,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Serves /metrics, /healthz and /readyz.")] = 8080,
    log_format: Annotated[LogFormat, typer.Option(help="json or text.")] = LogFormat.JSON,
) -> None:
    """Serve the four kinds on a Kubernetes cluster until SIGTERM."""
    from headrace.cli.operator import read_root, read_rules, run_operator
    from headrace.kube.client import own_namespace
    from headrace.plan.values import Settings

    own = lease_namespace or own_namespace()
    settings = Settings(
        storage_root=read_root(storage_root), storage_claim=storage_claim, worker_image=worker_image,
        gpu_resource=gpu_resource, isolate=isolate, operator_namespace=own, egress=read_rules(egress),
        reports=reports,
    )  # fmt: skip
    json_logs = log_format == LogFormat.JSON
    run_operator(settings, name, tuple(namespace or ()), context, port, json_logs=json_logs)


@app.command()
def crds() -> None:
    """Print the CustomResourceDefinitions, for kubectl apply -f -."""
    from headrace.cli.crds import crds_text

    print(crds_text(), end="")


@app.command()
def version() -> None:
    """Print the version."""
    from headrace import __version__

    print(f"headrace {__version__}")
