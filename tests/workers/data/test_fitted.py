"""What serving does again: what was fitted, what was done to a text before it became tokens, and what decodes."""

from pathlib import Path

from headrace.api.media import DecodeImage, DecodeSound, SoundFeatures
from headrace_workers.data.fitted import decoded
from headrace_workers.preprocessing import FittedStep
from tests.workers.data.builders import files, pipeline, prepare, table_of

TOKENIZE = {"tokenize": {"method": "Words", "minCount": 1, "maxTokens": 8}}


def test_a_raw_text_is_normalised_as_the_pipelines_was(tmp_path: Path) -> None:
    """Steps of text before tokenize are repeated in their order; of another column, and after it, they are not."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("text,title,n\nThe CAT!  sat,X,1\nthe dog,Y,3\n")
    lower = {"normalizeText": {"lowercase": True, "stripPunctuation": True}}
    other, late = {"normalizeText": {"column": "title"}}, {"normalizeText": {"unicode": "NFD"}}
    spec = pipeline(files(tmp_path / "in", "Csv"), lower, {"scale": {"column": "n"}}, other, TOKENIZE, late)
    made = prepare(spec, tmp_path / "run")
    assert [step.chosen for step in made.preprocessing.steps] == ["normalize_text", "scale", "tokenize"]
    assert (made.preprocessing.features, made.preprocessing.shape, made.preprocessing.raw) == ("tokens", (8,), "text")
    rows = table_of(made)["tokens"].to_pylist()
    served = made.preprocessing.apply(["The CAT!  sat", {"text": "tHe, dog"}])
    assert [[each for each in row if each] for row in served.tolist()] == rows


def test_a_text_may_become_tokens_twice(tmp_path: Path) -> None:
    """The first column of tokens is the input unless another is chosen; each has what was done before it, once."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("text,image\nThe CAT,1\n")
    lower = {"normalizeText": {"lowercase": True}}
    second = {"tokenize": {**TOKENIZE["tokenize"], "into": "lowered", "maxTokens": 4}}
    fitted = prepare(pipeline(files(tmp_path / "in", "Csv"), TOKENIZE, lower, second), tmp_path / "run").preprocessing
    assert fitted.features == "tokens"
    assert fitted.apply(["the CAT"]).tolist() == [[1, 4, 0, 0, 0, 0, 0, 0]]
    assert fitted.model_copy(update={"features": "lowered"}).apply(["The cat"]).tolist() == [[5, 4, 0, 0]]


def test_features_take_the_place_of_the_sound_that_they_were_made_of() -> None:
    """Other sounds and images stay."""
    left, right = (FittedStep(decode_sound=DecodeSound(column=f"{name}_wav", into=name)) for name in ("left", "right"))
    heard = FittedStep(sound_features=SoundFeatures(column="right", into="heard"))
    seen = FittedStep(decode_image=DecodeImage(width=2, height=2))
    assert decoded((left, right, heard, seen)) == ("left", "heard", "image")
    assert decoded(()) == ()
