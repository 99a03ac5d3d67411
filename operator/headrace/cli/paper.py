"""Where finished text goes: a terminal with its width and colours, or a pipe, wide and plain."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 200


def paper() -> "Console":
    """Standard output; markup and highlighting are off, since names and paths are data."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(markup=False, highlight=False, emoji=False)
    return Console(
        markup=False, highlight=False, emoji=False, color_system=None, force_terminal=False, width=PIPE_WIDTH
    )
