"""How people name objects on the command line."""

import pytest

from headrace.api.meta import Kind, ObjectKey
from headrace.cli.errors import REFUSED, Sentence
from headrace.cli.references import find_key, find_keys, parse_kind, spell

JOB = ObjectKey(kind=Kind.TRAIN_JOB, namespace="default", name="digits")
DATA = ObjectKey(kind=Kind.DATA_PIPELINE, namespace="default", name="digits")
OTHER = ObjectKey(kind=Kind.TUNE_JOB, namespace="default", name="search")


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("dp", Kind.DATA_PIPELINE),
        ("datapipelines", Kind.DATA_PIPELINE),
        ("TrainJob", Kind.TRAIN_JOB),
        ("tj", Kind.TRAIN_JOB),
        ("tune", Kind.TUNE_JOB),
        ("ie", Kind.INFERENCE_ENDPOINT),
        ("inferenceendpoints.headrace.dev", Kind.INFERENCE_ENDPOINT),
    ],
)
def test_a_kind_may_be_singular_plural_or_short(word, kind):
    """Every word that kubectl takes for a kind is taken here."""
    assert parse_kind(word) == kind


def test_a_kind_that_does_not_exist_is_corrected():
    """A misspelt kind is answered with the nearest one."""
    with pytest.raises(Sentence, match=r"trainjbo is not a kind; did you mean trainjob\?"):
        parse_kind("trainjbo")


def test_kind_and_name_mean_one_object():
    """kind/name tells objects of one name apart."""
    assert find_key("tj/digits", [JOB, DATA, OTHER]) == JOB


def test_a_bare_name_means_all_objects_of_that_name():
    """A name without a kind finds every kind's object of that name."""
    assert find_keys("digits", [JOB, DATA, OTHER]) == [DATA, JOB]


def test_an_ambiguous_name_is_refused_with_the_choices():
    """Where one object is needed, a name that means two is answered with both."""
    with pytest.raises(Sentence, match="digits means datapipeline/digits and trainjob/digits; write one of these"):
        find_key("digits", [JOB, DATA])


def test_an_unknown_name_is_answered_with_close_matches():
    """A misspelt name is answered with the objects of the nearest name, and exit code 2."""
    with pytest.raises(
        Sentence, match=r"there is no digit; did you mean datapipeline/digits or trainjob/digits\?"
    ) as raised:
        find_keys("digit", [JOB, DATA, OTHER])
    assert raised.value.code == REFUSED


def test_an_unknown_name_without_neighbours_is_answered_with_what_there_is():
    """A name that is close to nothing is answered with all objects."""
    with pytest.raises(Sentence, match="there is no xyz; there are: tunejob/search"):
        find_keys("xyz", [OTHER])


def test_a_key_is_spelt_as_it_can_be_typed():
    """What a message calls an object finds that object."""
    assert find_key(spell(OTHER), [JOB, OTHER]) == OTHER
