"""A value for each class, turned into probabilities."""

import numpy as np

from common.support.errors import SubmissionError

# Ten probabilities with two decimals sum to 1 within this.
_ROUNDING = 0.05


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
