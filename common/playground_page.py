"""The playground as a page: a network that runs in the browser, and digits to give it."""

import base64
import hashlib
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from common.image_sets import MNIST
from common.pages import TEMPLATES, jinja_environment

# The form that the script gives to a drawing is that of MNIST's images.
_INPUT_SIZE = MNIST.sizes.input_size

Row = dict[str, Any]


def render_playground(document: Row, checksum: str) -> str:
    """Return the page.

    Parameters
    ----------
    document : dict
        ``playground.json``.
    checksum : str
        SHA-256 sum of that file.

    Raises
    ------
    ValueError, TypeError, LookupError
        If the network or the digits are not what evaluate.py writes.
    """
    script = page_script()
    page = {
        "playground": document,
        "data": data_of(document),
        "script": Markup(script),
        "script_hash": _csp_hash(script),
        "sources": {"the playground": checksum},
        "sections": (),
    }
    return jinja_environment().get_template("playground/playground.html").render(page)


def page_script() -> str:
    """Return the JavaScript of the page: the network, and what shows it."""
    folder = TEMPLATES / "playground"
    return "".join(_read(folder / name) for name in ("network.js", "page.js"))


def data_of(document: Row) -> Row:
    """Return what the script works on, and nothing else of the file.

    Raises
    ------
    ValueError, TypeError, LookupError
        If it could not work on that.
    """
    network, tests = document["network"], document["test_digits"]
    layers = [_sound_layer(layer) for layer in network["layers"]]
    sizes = [(layer["inputs"], layer["outputs"]) for layer in layers]
    joined = all(before[1] == after[0] for before, after in pairwise(sizes))
    if not joined or (sizes[0][0], sizes[-1][1]) != (_INPUT_SIZE, len(MNIST.classes)):
        raise ValueError(f"layers of sizes {sizes} are no network")
    mean, std = float(network["pixel_mean"]), float(network["pixel_std"])
    if not (math.isfinite(mean) and 0 < std < math.inf):
        raise ValueError(f"pixels are normalised by {mean} and {std}")
    return {
        "network": {
            "pixel_mean": mean,
            "pixel_std": std,
            "layers": layers,
        },
        "test_digits": [
            _sound_digit(digit, "truth") for digit in tests["misclassified"] + tests["recognised"]
        ],
        "training_digits": [
            _sound_digit(digit, "digit") for digit in document["training_digits"]["images"]
        ],
    }


def _sound_layer(layer: Row) -> Row:
    inputs, outputs = int(layer["inputs"]), int(layer["outputs"])
    for key, itemsize in (("levels", inputs), ("scales", 4), ("biases", 4)):
        content = _decoded(layer[key], outputs * itemsize)
        if key != "levels" and not np.isfinite(np.frombuffer(content, "<f4")).all():
            raise ValueError(f"{key} that are no numbers")
    keys = ("levels", "scales", "biases")
    return {"inputs": inputs, "outputs": outputs} | {key: layer[key] for key in keys}


def _sound_digit(digit: Row, label: str) -> Row:
    _decoded(digit["pixels"], _INPUT_SIZE)
    if digit[label] not in range(len(MNIST.classes)):
        raise ValueError(f"a digit is {digit[label]!r}")
    return {"index": int(digit["index"]), label: int(digit[label]), "pixels": digit["pixels"]}


def _decoded(text: str, size: int) -> bytes:
    content = base64.b64decode(text, validate=True)
    if len(content) != size:
        raise ValueError(f"{len(content)} bytes in place of {size}")
    return content


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _csp_hash(script: str) -> str:
    """Return what a Content-Security-Policy calls a script that it lets run, and no other."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
