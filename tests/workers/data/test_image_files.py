"""Images from files to a table: every file is accounted for, and what is served is what was learnt from."""

import base64
from pathlib import Path

import numpy as np
import pytest

from headrace.api.run_report import Records
from tests.workers.data.builders import files, pipeline, prepare, table_of
from tests.workers.sounds import picture

PIXELS = np.random.default_rng(5).integers(0, 256, (20, 12, 16, 3), dtype=np.uint8)
SPLIT = {"split": {"trainFraction": 0.5}}


def decode(color: str) -> dict:
    """A step that makes images of 8 by 6."""
    return {"decodeImage": {"width": 8, "height": 6, "color": color, "minWidth": 16}}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Ten dark and ten bright images, one that is too small, and two that are broken."""
    folder = tmp_path / "images"
    for number, pixels in enumerate(PIXELS):
        label, form = (("dark", "PNG"), ("bright", "JPEG"))[number % 2]
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / f"{number}.{form.lower()}").write_bytes(picture(pixels // 4 + 190 * (number % 2), form))
    (folder / "dark" / "small.png").write_bytes(picture(PIXELS[0][:, :15]))
    (folder / "dark" / "cut.png").write_bytes(picture(PIXELS[0])[:200])
    (folder / "dark" / "empty.jpeg").write_bytes(b"")
    return folder


@pytest.mark.parametrize(("color", "shape"), [("Gray", (6, 8)), ("Rgb", (3, 6, 8))])
def test_every_image_is_accounted_for_and_served_as_it_was_learnt(
    color: str, shape: tuple[int, ...], images: Path, tmp_path: Path
) -> None:
    """Read is written, filtered and quarantined; a file as base64 becomes the numbers of the table."""
    scale = {"scale": {"column": "image", "method": "MinMax"}}
    spec = pipeline(files(images, "Image"), decode(color), SPLIT, scale, quarantine={"maxFraction": 0.1})
    made = prepare(spec, tmp_path / "run")
    assert made.records == Records(read=23, written=20, filtered=1, quarantined=2)
    assert (made.preprocessing.features, made.preprocessing.shape, made.preprocessing.classes) == (
        "image", shape, ("bright", "dark"))  # fmt: skip
    table = table_of(made)
    sent = [base64.b64encode(content).decode() for content in table["content"].to_pylist()]
    learnt = np.array(table["image"].to_pylist(), np.float32).reshape(20, *shape)
    np.testing.assert_allclose(made.preprocessing.apply(sent), learnt, atol=1e-6)


@pytest.mark.parametrize("color", ["Gray", "Rgb"])
def test_images_are_altered(color: str, images: Path, tmp_path: Path) -> None:
    """Those of the training split; also where they are not square."""
    alter = {"augment": {"image": {"shiftPixels": 1, "rotateDegrees": 5}}}
    spec = pipeline(files(images, "Image"), decode(color), SPLIT, alter, quarantine={"maxFraction": 0.1})
    made = prepare(spec, tmp_path / "run")
    assert made.records.augmented == made.splits["train"] // 2 > 0
