"""Which world a command is about: the state folder on this machine, or a namespace of a cluster. Never both.

Imported by every command line, so it imports nothing that takes time.
"""

import shlex
from dataclasses import dataclass

import typer

from headrace.cli.errors import REFUSED, Sentence

PROGRAM = "headrace"
PLUGIN = "kubectl headrace"
"""How the program is called where it means a cluster though no option says so."""


@dataclass(frozen=True)
class Target:
    """A cluster and one of its namespaces; None is what the kubeconfig says."""

    context: str | None = None
    namespace: str | None = None
    program: str = PROGRAM

    def command(self, words: str, namespace: str) -> str:
        """A command line that means this cluster, to be copied: kubectl headrace delete tj/digits -n demo."""
        options = ["-n", namespace, *(["--context", self.context] if self.context else [])]
        return f"{self.program} {words} {shlex.join(options)}"


def target_of(
    context: typer.Context, named: str | None, namespace: str | None, *, on_cluster: bool = False
) -> Target | None:
    """The cluster that the command line means, None for the state folder; Sentence where it means both."""
    plugin = context.obj == PLUGIN
    if not (plugin or on_cluster or named or namespace):
        return None
    source = context.get_parameter_source("state_dir")
    if source is not None and source.name == "COMMANDLINE":
        meant = PLUGIN if plugin else "--context, -n or --on-cluster"
        raise Sentence(f"--state-dir means this machine and {meant} means a cluster; write one of them", REFUSED)
    return Target(named, namespace, PLUGIN if plugin else PROGRAM)


def only_local(context: typer.Context, instead: str) -> None:
    """Sentence where the command is called as the plugin, though it knows the state folder alone."""
    if context.obj == PLUGIN:
        raise Sentence(f"{context.info_name} is for the state folder on this machine; {instead}", REFUSED)
