"""Warnings of the loop as sentences."""

import logging

from headrace.cli.notices import notices


def test_an_exception_is_a_sentence_without_a_traceback():
    """What the loop logs with a traceback is told in one line."""
    said = []
    with notices(said.append):
        try:
            raise OSError("the disk is full")
        except OSError:
            logging.getLogger("headrace.queue").exception("TrainJob default/digits could not be reconciled")
    assert said == ["warning: TrainJob default/digits could not be reconciled: OSError: the disk is full"]


def test_the_same_warning_is_not_told_again_and_again():
    """A warning that repeats many times a second is told once in a while."""
    said = []
    with notices(said.append):
        for _ in range(10):
            logging.getLogger("headrace.queue").warning("the same")
    assert said == ["warning: the same"]
