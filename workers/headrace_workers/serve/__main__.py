"""The entry point of every serving pod: one word says which role this process has.

Each role is imported only when asked for, so that a router or a probe never pays for torch.
"""

import logging
import os
import sys
from importlib import import_module

from headrace_workers.faults import RunFault
from headrace_workers.pod import Pod
from headrace_workers.serve.endings import report_failure
from headrace_workers.serve.settings import Settings

ROLES = ("server", "router", "probe")


def main(arguments: list[str]) -> int:
    """Runs the role until it is asked to stop; 0 after a clean stop, 1 after a fault, 2 if no such role is known."""
    if len(arguments) != 1 or arguments[0] not in ROLES:
        sys.stderr.write(f"usage: python -m headrace_workers.serve {{{'|'.join(ROLES)}}}\n")
        return 2
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(levelname)s %(message)s")
    pod = Pod.from_environment(os.environ)
    try:
        import_module(f"headrace_workers.serve.{arguments[0]}").main(pod, Settings.from_environment(os.environ))
    except RunFault as fault:
        report_failure(pod, fault)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
