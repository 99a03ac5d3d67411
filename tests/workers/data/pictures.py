"""Four images of eight by eight in a table, one of them for validation, and how they are augmented."""

import numpy as np
import pyarrow as pa

from headrace.api.steps import Augment, AugmentImage
from headrace_workers.data.images import shape_metadata

IMAGES = np.random.default_rng(3).uniform(0, 16, (4, 64)).astype(np.float32)
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        pa.field("image", pa.list_(pa.float32()), metadata=shape_metadata((8, 8))),
        ("label", pa.int64()),
        ("split", pa.string()),
    ]
)
TABLE = pa.table(
    {
        "id": ["a", "b", "c", "d"],
        "image": IMAGES.tolist(),
        "label": [0, 1, 2, 3],
        "split": ["train", "validation", "train", "train"],
    },
    schema=SCHEMA,
)
BOTH = Augment(image=AugmentImage(shift_pixels=1, rotate_degrees=10, noise=0.1, copies=2))
