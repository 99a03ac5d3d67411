"""Which world a command line means."""

import pytest
import typer

from headrace.cli.app import app
from headrace.cli.target import PLUGIN, Target, target_of


def _context(program=None):
    return typer.Context(typer.main.get_command(app), obj=program)


@pytest.mark.parametrize(
    ("program", "given", "expected"),
    [
        (None, (None, None), None),
        (None, ("prod", None), Target("prod")),
        (None, (None, "demo"), Target(None, "demo")),
        (PLUGIN, (None, None), Target(program=PLUGIN)),
        (PLUGIN, ("prod", "demo"), Target("prod", "demo", PLUGIN)),
    ],
)
def test_an_option_or_the_plugins_name_means_a_cluster(program, given, expected):
    """Nothing else does: neither a kubeconfig nor a pod around the command."""
    assert target_of(_context(program), *given) == expected


def test_a_command_to_be_copied_means_the_same_cluster():
    """What a message proposes names the namespace, and the context where one was given."""
    assert Target("prod", None, PLUGIN).command("logs tj/digits", "demo") == (
        "kubectl headrace logs tj/digits -n demo --context prod"
    )
