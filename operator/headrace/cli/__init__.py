"""The command line: `headrace`. What a person types becomes calls to the same planner and loop that serve a cluster.

Never imports torch, ray or the workers' package; each command imports what it needs when it runs, so that --help is quick.
"""

import errno
import os
import sys

from headrace.cli.errors import Sentence

DEBUG_VARIABLE = "HEADRACE_DEBUG"


def main(arguments: list[str] | None = None, program: str | None = None) -> None:
    """Runs one command and exits with its code; an error is one sentence, a traceback only where HEADRACE_DEBUG=1."""
    from headrace.cli.app import app

    try:
        app(arguments, prog_name=program, obj=program)
    except Sentence as error:
        if os.environ.get(DEBUG_VARIABLE) == "1":
            raise
        print(f"headrace: {error}", file=sys.stderr)
        sys.exit(error.code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader went away (`headrace logs x | head`): nothing is left to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE) == "1":
            raise
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            place = f" that holds {error.filename}" if error.filename else ""
            print(
                f"headrace: the disk{place} is full; free space there, then run the same command again", file=sys.stderr
            )
            sys.exit(1)
        print(f"headrace: {type(error).__name__}: {error} (HEADRACE_DEBUG=1 shows where)", file=sys.stderr)
        sys.exit(1)


def kubectl(arguments: list[str] | None = None) -> None:
    """Runs one command as `kubectl headrace`, which means a cluster unless it cannot."""
    from headrace.cli.target import PLUGIN

    main(arguments, PLUGIN)
