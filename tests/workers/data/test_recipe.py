"""The recipe: what cannot be done is refused before anything is read."""

from importlib import metadata
from typing import Any

import pytest

from headrace_workers.data import recipe
from headrace_workers.data.stage import stages
from headrace_workers.faults import RunFault
from tests.workers.data.builders import DIGITS_STEPS, digits, pipeline

DIGITS = {"sample": {"name": "Digits"}}


@pytest.mark.parametrize(
    ("step", "place"),
    [
        ({"redact": {"entities": ["Email", "Person"]}}, "steps[1].redact.entities Person"),
        ({"embed": {}}, "steps[1].embed"),
        ({"augment": {"text": {"synonyms": 0.1}}}, "steps[1].augment.text.synonyms"),
    ],
)
def test_steps_of_later_versions_are_refused(step: dict[str, Any], place: str) -> None:
    """A step that this version lacks is named with its place."""
    with pytest.raises(RunFault) as caught:
        recipe.works(pipeline(DIGITS, {"split": {}}, step))
    assert (caught.value.reason, caught.value.message) == (
        "NotSupported",
        f"{place} is not available in this version; remove it from the pipeline's steps",
    )


def test_a_step_that_drops_records_cannot_follow_augment() -> None:
    """Copies are no source records, so what counts records comes before."""
    with pytest.raises(RunFault, match=r"steps\[5\]\.filter comes after steps\[4\]\.augment; put it before"):
        recipe.works(pipeline(DIGITS, *DIGITS_STEPS, {"filter": {"minWords": 1}}))


def test_what_learns_words_comes_after_what_hides_them() -> None:
    """A vocabulary would keep them."""
    tokenize, redact = {"tokenize": {}}, {"redact": {"entities": ["Email"]}}
    with pytest.raises(RunFault, match=r"steps\[1\]\.redact comes after steps\[0\]\.tokenize, which would learn"):
        recipe.works(pipeline(DIGITS, tokenize, redact))
    assert recipe.works(pipeline(DIGITS, redact, tokenize))


def test_tokens_are_made_of_altered_texts() -> None:
    """A copy would have its original's; those of another column stay what they are."""
    split, tokenize, alter = {"split": {}}, {"tokenize": {}}, {"augment": {"text": {"dropWords": 0.1}}}
    with pytest.raises(RunFault, match=r"steps\[1\]\.tokenize comes before steps\[2\]\.augment, .* put it after"):
        recipe.works(pipeline(DIGITS, split, tokenize, alter))
    assert recipe.works(pipeline(DIGITS, split, alter, tokenize))
    assert recipe.works(pipeline(DIGITS, split, {"tokenize": {"column": "title"}}, alter))


@pytest.mark.parametrize(
    "hide", [{"redact": {"entities": ["Email"]}}, {"hash": {"columns": ["text"], "key": {"secret": "s", "id": "i"}}}]
)
def test_what_is_hidden_is_found_before_it_is_mistyped(hide: dict[str, Any]) -> None:
    """No form would match it."""
    split, alter = {"split": {}}, {"augment": {"text": {"typingErrors": 0.1}}}
    with pytest.raises(RunFault, match=r"steps\[2\]\.\w+ comes after steps\[1\]\.augment, .* put it before"):
        recipe.works(pipeline(DIGITS, split, alter, hide))
    assert recipe.works(pipeline(DIGITS, hide, split, alter))
    other = {"augment": {"text": {"column": "title"}}}
    assert recipe.works(pipeline(DIGITS, split, other, hide))


SOUNDS = {"files": {"uri": "file:///sounds", "format": "Audio"}}


def test_what_may_be_bad_is_decoded_before_copies_are_made() -> None:
    """A copy that cannot be decoded would break the account."""
    image, shift = {"decodeImage": {"width": 8, "height": 8}}, {"augment": {"image": {"shiftPixels": 1}}}
    with pytest.raises(RunFault, match=r"steps\[2\]\.decodeImage comes after steps\[1\]\.augment; put it before"):
        recipe.works(pipeline({**SOUNDS}, {"split": {}}, shift, image))


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            [{"soundFeatures": {}}, {"decodeSound": {}}],
            r"steps\[0\]\.soundFeatures needs sound in the column sound, which no decodeSound before it makes",
        ),
        ([{"decodeSound": {"into": "voice"}}, {"soundFeatures": {}}], "correct column"),
        (
            [{"decodeSound": {}}, {"scale": {"column": "sound"}}, {"soundFeatures": {}}],
            r"steps\[1\]\.scale comes before steps\[2\]\.soundFeatures; put it after, on the column features",
        ),
    ],
)
def test_features_are_heard_in_what_was_decoded(steps: list[dict[str, Any]], said: str) -> None:
    """And in nothing else, as what users send is."""
    with pytest.raises(RunFault, match=said) as caught:
        recipe.works(pipeline(SOUNDS, *steps))
    assert caught.value.reason == "StepOrder"


def test_files_that_are_records_need_no_types() -> None:
    """Nothing has to be read to find out what their columns are."""
    works = recipe.works(pipeline(SOUNDS, {"decodeSound": {}}, {"soundFeatures": {}}))
    assert [work.name for work in works] == ["decode_sound", "sound_features"]
    assert [stage.title for stage in stages(works)] == ["read, decodeSound, soundFeatures"]


def test_barriers_cut_the_steps_into_stages() -> None:
    """What needs no barrier between is one stage."""
    assert [stage.title for stage in stages(recipe.works(digits()))] == [
        "read, validate, split",
        "scale",
        "deduplicate, augment",
    ]


def test_another_model_of_languages_makes_another_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it may tell languages apart otherwise; where none are told nothing changes."""
    told, other = (pipeline(DIGITS, {"filter": settings}) for settings in ({"languages": ["en"]}, {"minWords": 1}))
    before = [(recipe.dataset_digest(spec, []), recipe.plan_key(spec, [])) for spec in (told, other)]
    monkeypatch.setattr(metadata, "version", lambda _: "9")
    after = [(recipe.dataset_digest(spec, []), recipe.plan_key(spec, [])) for spec in (told, other)]
    assert not {*before[0]} & {*after[0]}
    assert before[1] == after[1]
