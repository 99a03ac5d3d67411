"""Which members of a group are certainly gone: those whose machine answers that nobody listens at their port.

A process that is alive listens, also when it hangs, and a network that is cut gives no such answer. So this may miss one
that is gone, and names nobody who is not.
"""

import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from headrace_workers.train.quorum import Member

ANSWER_SECONDS = 0.3
SECOND_LOOK_SECONDS = 0.1
"""A process that is being killed loses its connections a moment before the port on which it listens."""
MOST_AT_ONCE = 64


def gone(members: Sequence[Member]) -> frozenset[int]:
    """The ranks of those that are gone."""
    with ThreadPoolExecutor(min(len(members), MOST_AT_ONCE)) as pool:
        found = _refused(pool, members)
        if not found:
            time.sleep(SECOND_LOOK_SECONDS)
            found = _refused(pool, members)
    return found


def _refused(pool: ThreadPoolExecutor, members: Sequence[Member]) -> frozenset[int]:
    return frozenset(rank for rank, refuses in enumerate(pool.map(_refuses, members)) if refuses)


def _refuses(member: Member) -> bool:
    host, _, port = member.state.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False
