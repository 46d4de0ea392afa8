"""Arrays that numpy saved (.npy), read without a look at any pickle; and tables of numbers."""

import re
from math import prod

import numpy as np

from common.support.errors import SubmissionError
from common.support.text import quoted

NPY_MAGIC = b"\x93NUMPY"

# https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, plain numbers only.
_NUMBERS = re.compile(r"[<>|=]?(?:[iu][1248]|f[248]|b1)")
_HEADER = re.compile(
    rf"\{{\s*'descr'\s*:\s*'(?P<dtype>{_NUMBERS.pattern})'\s*,"
    r"\s*'fortran_order'\s*:\s*(?P<fortran>True|False)\s*,"
    r"\s*'shape'\s*:\s*\((?P<shape>[0-9L, ]*)\)\s*(?:,\s*)?\}\s*"
)
_TYPE = re.compile(r"\{\s*'descr'\s*:\s*('[^']*'|\[)")
_MAX_HEADER = 2000  # bytes; numpy pads to 118
_MAX_DIMENSIONS = 4

# Ten probabilities with two decimals sum to 1 within this.
_ROUNDING = 0.05


def read_array(content: bytes) -> np.ndarray:
    """Return the array of a .npy file, of numbers or booleans; a view of ``content``.

    Like ``np.load(..., allow_pickle=False)``, but the header is no Python that is evaluated, and
    nothing of the size that it declares is allocated. Raises SubmissionError.
    """
    start = 10 if content[6:7] == b"\x01" else 12
    offset = start + int.from_bytes(content[8:start], "little")
    text = content[start : min(offset, start + _MAX_HEADER)].decode("latin-1")
    found = _HEADER.fullmatch(text)
    if found is None:
        raise SubmissionError(_why_not(text))
    dtype = np.dtype(found["dtype"])
    shape = tuple(int(number) for number in re.findall("[0-9]+", found["shape"]))
    size = prod(shape)
    if size == 0 or len(shape) > _MAX_DIMENSIONS:
        raise SubmissionError(
            f"an array of the shape {quoted(str(shape))}: save one label for each test image"
        )
    if len(content) - offset != size * dtype.itemsize:
        raise SubmissionError(
            f"the .npy file declares an array of the shape {quoted(str(shape))}, but has "
            f"{max(len(content) - offset, 0):,} bytes of numbers: save it again with np.save"
        )
    flat = np.frombuffer(content, dtype, offset=offset)
    return flat.reshape(shape, order="F" if found["fortran"] == "True" else "C")


def as_probabilities(values: np.ndarray, notes: list[str]) -> np.ndarray:
    """Turn values of the classes, float64 [N, C], into probabilities. Raises SubmissionError."""
    broken = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(broken):
        raise SubmissionError(
            f"{len(broken):,} rows have values that are NaN or infinite (first: row "
            f"{broken[0] + 1}): see what the network computes there, and predict again"
        )
    _refuse_digits(values)
    largest = values.max(axis=1, keepdims=True)
    ties = int(((values == largest).sum(axis=1) > 1).sum())
    if (values == values[:, :1]).all():
        raise SubmissionError(
            "all values of a row are equal, in every row: no class is the largest, predict again"
        )
    if ties:
        notes.append(f"in {ties:,} rows several values are the largest: the first of them counted")
    with np.errstate(over="ignore", invalid="ignore"):  # values near the largest float
        sums = values.sum(axis=1, keepdims=True)
        scale = next((s for s in (1, 100) if (abs(sums / s - 1) <= _ROUNDING).all()), 0)
        if scale and values.min() >= 0:
            probabilities = values / sums
        else:
            probabilities = np.exp(values - largest)
            probabilities /= probabilities.sum(axis=1, keepdims=True)
            scale = 0
    if scale == 100:
        notes.append("the rows sum to 100: read as percent")
    elif not scale:
        notes.append("the rows do not sum to 1: read as logits (softmax)")
    if (probabilities.argmax(axis=1) != values.argmax(axis=1)).any():
        raise SubmissionError(
            "the largest values of a row differ too little to tell: hand in the classes instead"
        )
    return probabilities


def _refuse_digits(values: np.ndarray) -> None:
    """Raise SubmissionError for whole digits side by side: the answers of several models, or ranks.

    One-hot rows and the votes of trees have the same sum in each row.
    """
    num_classes = values.shape[1]
    if (values % 1).any() or values.min() < 0 or values.max() > num_classes:
        return
    are_ranks = num_classes > 2 and (np.sort(values) == np.arange(num_classes)).all()
    if are_ranks or np.ptp(values.sum(axis=1)) > 0:
        raise SubmissionError(
            f"{num_classes} columns of whole digits are answers of several models, or ranks, and "
            "no probabilities or logits: keep one column, with one label for each test image"
        )


def _why_not(header: str) -> str:
    described = _TYPE.match(header)
    dtype = described[1].strip("'") if described else ""
    if described is None or _NUMBERS.fullmatch(dtype):
        return "a damaged .npy file: save the array again with np.save"
    if dtype == "[":
        return (
            "an array with named fields (a structured dtype): save the labels alone, as whole "
            "numbers, or hand in CSV with the header ImageId,Label"
        )
    if dtype.lstrip("<>|=").startswith("O"):
        return (
            "an object array: loading one can run code (allow_pickle). Save numbers, with "
            "np.save('predictions.npy', np.asarray(predictions, dtype=int))"
        )
    return (
        f"an array of type {quoted(dtype)}: save whole numbers, with "
        "np.save('predictions.npy', np.asarray(predictions, dtype=int))"
    )
