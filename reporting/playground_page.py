"""The playground as a page: a network that runs in the browser, and digits to give it."""

import base64
import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Gt
from markupsafe import Markup
from pydantic import AfterValidator

from common.data.catalog import MNIST
from common.support.errors import UserError
from common.support.files import read_json
from evaluations.schemas import Count, Picture, Pixels, Positive, Proportion, listed, shape
from evaluations.validation import check
from reporting.rendering import TEMPLATES, Row, render

# The form that the script gives to a drawing is that of MNIST's images.
_INPUT_SIZE = MNIST.sizes.input_size
_LABELS = ("true", "predicted")
SCRIPTS = ("network", "photos", "units", "page")


def _require_base64(text: str) -> str:
    base64.b64decode(text, validate=True)
    return text


# playground.json. Arrays are in base64.
Encoded = Annotated[str, AfterValidator(_require_base64)]
Layer = shape(inputs=Positive, outputs=Positive, levels=Encoded, scales=Encoded, biases=Encoded)
TrainingDigit = shape(index=Count, digit=Count, pixels=Pixels)
Playground = shape(
    run=shape(name=str, sha256=str, architecture=str, parameters=Count),
    test_set=shape(title=str, name=str, md5=dict[str, str]),
    float_network=Proportion,
    quantized_network=shape(Proportion, changed_answers=Count),
    network=shape(pixel_mean=float, pixel_std=Annotated[float, Gt(0)], layers=listed(Layer, 1)),
    test_digits=shape(misclassified=listed(Picture), recognised=listed(Picture)),
    training_digits=shape(size=Positive, per_digit=Count, seed=int, images=listed(TrainingDigit)),
    strongest_images=list[list[list[Count]]],
)


def read_playground(path: Path) -> Row:
    """Read the playground's file.

    Raises UserError if it is not what ``evaluate.py --playground`` writes.
    """
    document, advice = read_json(path), "run evaluate.py --playground again"
    check(document, Playground, path, advice)
    if problem := _problem(document):
        raise UserError(f"{path}: {problem}: {advice}")
    return document


def is_of(document: Row, evaluation: Row) -> bool:
    """Tell whether the playground's network is the one that an evaluation chose, on its images."""
    best = [row.get("sha256") for row in evaluation["results"] if row["name"] == evaluation["best"]]
    same_images = document["test_set"]["md5"] == evaluation["dataset"]["md5"]
    return same_images and best == [document["run"]["sha256"]]


def render_playground(document: Row, checksum: str) -> str:
    """Return the page of a document; ``checksum`` is the SHA-256 sum of its file."""
    script = page_script()
    digest = hashlib.sha256(script.encode()).digest()
    page = {
        "playground": document,
        "data": _data_of(document),
        "script": Markup(script),
        # What a Content-Security-Policy calls a script that it lets run, and no other.
        "script_hash": f"sha256-{base64.b64encode(digest).decode()}",
        "sources": {"the playground": checksum},
    }
    return render("playground/playground.html", page)


def page_script() -> str:
    """Return the JavaScript of the page: the network, photos, units, and what shows them."""
    parts = [TEMPLATES / "playground" / f"{name}.js" for name in SCRIPTS]
    return "".join(part.read_text(encoding="utf-8") for part in parts)


def _problem(document: Row) -> str | None:
    """Return what keeps the page from working on a document; None if nothing does."""
    layers = document["network"]["layers"]
    sizes = [(layer["inputs"], layer["outputs"]) for layer in layers]
    joined = all(before[1] == after[0] for before, after in pairwise(sizes))
    if not joined or (sizes[0][0], sizes[-1][1]) != (_INPUT_SIZE, len(MNIST.classes)):
        return f"layers of sizes {sizes} are no network"
    for layer in layers:
        for key, itemsize in (("levels", layer["inputs"]), ("scales", 4), ("biases", 4)):
            content = base64.b64decode(layer[key])
            if len(content) != layer["outputs"] * itemsize:
                return f"{key} of a layer have {len(content)} bytes"
            if key != "levels" and not np.isfinite(np.frombuffer(content, "<f4")).all():
                return f"{key} of a layer are no numbers"
    strongest = document["strongest_images"]
    if [len(units) for units in strongest] != [outputs for _, outputs in sizes[:-1]]:
        return "strongest_images are of other layers"
    tests, training = document["test_digits"], document["training_digits"]["images"]
    digits = [d[key] for d in tests["misclassified"] + tests["recognised"] for key in _LABELS]
    digits += [image["digit"] for image in training]
    images = [*tests["misclassified"], *tests["recognised"], *training]
    if any(place >= len(training) for units in strongest for unit in units for place in unit):
        return "strongest_images are not among the training images"
    if max(digits, default=0) >= len(MNIST.classes):
        return "a digit is not 0 to 9"
    if any(len(base64.b64decode(image["pixels"])) != _INPUT_SIZE for image in images):
        return f"an image has other than {_INPUT_SIZE} pixels"
    return None


def _data_of(document: Row) -> Row:
    """Return what the script works on, and nothing else of the file."""
    network, tests = document["network"], document["test_digits"]
    return {
        "network": {
            "pixel_mean": network["pixel_mean"],
            "pixel_std": network["pixel_std"],
            "layers": _only("inputs outputs levels scales biases", network["layers"]),
        },
        "test_digits": _only("index true pixels", tests["misclassified"] + tests["recognised"]),
        "training_digits": _only("index digit pixels", document["training_digits"]["images"]),
        "strongest_images": document["strongest_images"],
    }


def _only(keys: str, rows: list[Row]) -> list[Row]:
    return [{key: row[key] for key in keys.split()} for row in rows]
