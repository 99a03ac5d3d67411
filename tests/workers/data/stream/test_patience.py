"""A broker that does not answer is waited for, ever more rarely asked, and given up after ten minutes."""

import pytest

from headrace_workers.data.stream.patience import LONGEST_SECONDS, Patience
from headrace_workers.faults import RunFault


def test_it_is_asked_more_and_more_rarely() -> None:
    """The pauses double up to ten seconds; all is forgotten once it answers."""
    patience, now, pauses = Patience(), 0.0, []
    for _ in range(7):
        patience.hear("no answer", now)
        pauses.append(patience._next - now)
        assert not patience.may_ask(now)
        now = patience._next
    assert pauses == [0.5, 1, 2, 4, 8, 10, 10]
    assert patience.trouble == "no answer"
    patience.clear()
    assert (patience.may_ask(now), patience.trouble) == (True, "")


def test_it_is_given_up() -> None:
    """After ten minutes of nothing else; another attempt may fare better."""
    patience = Patience()
    patience.hear("no answer", 0.0)
    patience.hear("no answer", LONGEST_SECONDS - 1)
    with pytest.raises(RunFault, match="no answer; waited 600 s") as fault:
        patience.hear("no answer", LONGEST_SECONDS)
    assert (fault.value.reason, fault.value.retryable) == ("BrokerUnreachable", True)
