"""Numbers, times and places in words."""

from pathlib import Path

import pytest

from headrace.cli.words import duration, local_path, measure, place, plural


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.9783, "0.978"), (12.345, "12.3"), (1450.2, "1,450"), (0.00012, "1.20e-04"), (0.0, "0.000"), (-3.2, "-3.200")],
)
def test_a_measure_has_a_few_digits(number, text):
    """Metrics and rates keep three digits or so, whatever their size."""
    assert measure(number) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (8.2, "8 s"), (125, "2 min 5 s"), (3725, "1 h 2 min")])
def test_a_duration_has_two_units_at_most(seconds, text):
    """Durations read as people say them."""
    assert duration(seconds) == text


def test_one_has_no_plural():
    """One object, two objects."""
    assert (plural(1, "object"), plural(2, "object")) == ("1 object", "2 objects")


def test_a_place_below_here_is_relative(tmp_path: Path, monkeypatch):
    """A path below the current folder is short enough to type; others stay whole."""
    monkeypatch.chdir(tmp_path)
    assert place(f"file://{tmp_path}/models/m") == "models/m"
    assert place("file:///elsewhere/m") == "/elsewhere/m"


def test_storage_elsewhere_keeps_its_uri():
    """Object storage has no path."""
    assert place("s3://bucket/m") == "s3://bucket/m"
    assert local_path("s3://bucket/m") is None
