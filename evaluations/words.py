"""Figures of an evaluation in words: accuracies, intervals, p-values, preprocessing."""

from typing import Any

from evaluations.disclosure import is_rounded

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
