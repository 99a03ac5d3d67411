"""Rates are those of the last ten seconds; records and seconds those since the beginning."""

from headrace_workers.data.stream.rates import Rate


def test_a_rate_is_that_of_late() -> None:
    """What was long ago counts for the sums alone."""
    rate = Rate("read", 0.0)
    for second in range(1, 21):
        rate.add(100 if second <= 10 else 300, 0.5, float(second))
    told = rate.at(20.0, channels=3, queued=7)
    assert (told.records, told.seconds, told.rate, told.rate_per_channel) == (4000, 10.0, 300.0, 100.0)
    assert (told.stage, told.channels, told.queued) == ("read", 3, 7)
    assert rate.at(60.0, channels=1).rate == 0.0
