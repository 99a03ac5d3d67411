"""Faults keep their words wherever they travel."""

import pickle

from headrace_workers.faults import RunFault


def test_a_fault_survives_a_process_border() -> None:
    """Reason, sentence and whether to retry arrive whole where Ray carries the exception."""
    fault = pickle.loads(pickle.dumps(RunFault("StorageFull", "the disk is full", retryable=True)))
    assert (fault.reason, fault.message, fault.retryable) == ("StorageFull", "the disk is full", True)
