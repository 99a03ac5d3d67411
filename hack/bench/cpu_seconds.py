"""What a process and those that it started and waited for have used of the CPU. It needs nothing but Python: peers import it."""

import resource


def cpu_seconds() -> float:
    """User and system time so far."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
