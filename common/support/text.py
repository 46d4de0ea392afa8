"""Untrusted text (names, keys, reasons) made safe for the place where it is shown."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from common.support.disclosure import is_rounded

_MAX_FOLDER_NAME = 150  # bytes, of the 255 that file systems have room for

# What a row's ``kind`` is called in a sentence.
KINDS = {
    "run": "a training run’s checkpoint",
    "checkpoint": "a checkpoint of PyTorch",
    "safetensors": "weights in safetensors",
    "onnx": "an ONNX model",
    "keras": "a Keras model",
    "predictions": "predictions",
}

_PIXELS = {"unit": "pixels in [0, 1]", "half": "pixels in [-1, 1]", "raw": "pixels from 0 to 255"}


def json_text(path: str | Path) -> str:
    r"""Return ``path`` as text that JSON can hold; bytes that are no UTF-8 become ``\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def terminal_safe(text: str) -> str:
    """Return ``text`` with everything escaped that could move the cursor or reorder a line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def folder_names(names: Sequence[str]) -> list[str]:
    """Return a folder's name for each of some distinct names, whatever they hold.

    Letters and digits of all scripts stay, and all that is odd in a path is written with percent
    signs. No two are equal, not even where case or Unicode's form does not count.
    """
    safe = [_path_safe(name) for name in names]
    times = Counter(map(name_key, safe))
    return [
        # A checksum keeps apart what is long or alike, behind a sign that no name can have here.
        f"{quote(name, safe='')[:100]}@{sha256(name.encode()).hexdigest()[:16]}"
        if len(short.encode()) > _MAX_FOLDER_NAME or times[name_key(short)] > 1
        else short
        for name, short in zip(names, safe, strict=True)
    ]


def _path_safe(name: str) -> str:
    text = "".join(c if c.isalnum() or c in " ._-" else quote(c, safe="") for c in name)
    # Dots alone lead elsewhere, and no system keeps spaces and dots at the end.
    return re.sub(r"[ .]+$", lambda end: "".join(f"%{ord(c):02X}" for c in end[0]), text)


def quoted(value: object) -> str:
    """Return an untrusted word in quotes, escaped and in at most 60 characters.

    Of anything but text only the type is named: the ``repr`` of a nested list may never end.
    """
    if not isinstance(value, str):
        return f"of type {type(value).__name__}"
    return f"'{shorten(terminal_safe(value[:100]), 58)}'"


def shorten(text: str, limit: int) -> str:
    """Return ``text`` in at most ``limit`` characters, the last of them an ellipsis if cut."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def name_key(text: str) -> str:
    """Return a person's name or identifier for comparisons: in NFC, without case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def accuracy_text(accuracy: float, threshold: float) -> str:
    """Return percent with two decimals, or as many more as keep it on its side of the threshold.

    53,999 of 60,000 are not "90.00", if 90 passes and this fails.
    """
    decimals = 2
    while (float(f"{accuracy:.{decimals}f}") >= threshold) != (accuracy >= threshold):
        decimals += 1
    return f"{accuracy:.{decimals}f}"


def accuracy_words(row: dict[str, Any], threshold: float) -> str:
    """Return the accuracy of a graded row with its sign, where it is rounded down as "or more"."""
    if is_rounded(row):
        return f"{row['accuracy']:.0f} %" + " or more" * (row["accuracy"] < 100)
    return f"{accuracy_text(row['accuracy'], threshold)} %"


def interval_words(row: dict[str, Any]) -> str:
    """Return the 95 % interval of a graded row, in percent; nothing where it is not shown."""
    return "" if is_rounded(row) else "{:.2f} - {:.2f}".format(*row["accuracy_ci95"])


def p_text(p: float) -> str:
    """Return a p-value with two digits, or as many more as keep it on its side of 0.05."""
    if p < 0.0001:
        return "< 0.0001"
    digits = 2
    while (float(f"{p:.{digits}g}") < 0.05) != (p < 0.05):
        digits += 1
    return f"{p:.{digits}g}"


def preprocessing_text(preprocessing: dict[str, Any] | None) -> str:
    """Return how a row's pixels became inputs and who says so; nothing for the recipe's way.

    ``preprocessing`` is the row's entry of that name, for example "pixels in [0, 1] (inferred)".
    """
    is_transposed = preprocessing is not None and preprocessing.get("transposed", False)
    if not preprocessing or (preprocessing["name"] == "recipe" and not is_transposed):
        return ""
    mean, std = preprocessing["mean"], preprocessing["std"]
    other = f"pixels with mean {mean:.4g} and standard deviation {std:.4g}"
    pixels = _PIXELS.get(preprocessing["name"], other) + " of transposed images" * is_transposed
    return f"{pixels} ({preprocessing['source']})"
