"""The statistics of a classifier's answers. numpy arrays in, JSON values out; no torch."""

import math
from collections.abc import Sequence
from fractions import Fraction
from statistics import NormalDist
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix

# Two-sided 95 %: 1.96 standard deviations on either side.
_Z95 = NormalDist().inv_cdf(0.975)


def accuracy_percent(correct: int, total: int) -> float:
    """Return ``correct`` of ``total`` in percent."""
    return 100 * correct / total


def wilson_ci95(correct: int, total: int) -> list[float]:
    """Return the two ends, in percent, of the 95 % score interval of a proportion.

    Wilson 1927 (JASA 22), recommended over the textbook's p +- 1.96 sqrt(p(1-p)/n) by Brown et al.
    2001 (Statistical Science 16), since that one is too narrow when p is near 1, as it is here.

    Raises
    ------
    ValueError
        If ``total`` is not positive or ``correct`` is not between 0 and ``total``.
    """
    if not 0 <= correct <= total or total == 0:
        raise ValueError(f"correct={correct} of total={total} is no proportion")
    proportion = correct / total
    z2 = _Z95**2
    centre = proportion + z2 / (2 * total)
    half = _Z95 * math.sqrt(proportion * (1 - proportion) / total + z2 / (4 * total**2))
    scale = 1 + z2 / total
    # With none or all correct an end is exactly 0 or 100, which rounding would miss by a hair.
    return [
        0.0 if correct == 0 else 100 * (centre - half) / scale,
        100.0 if correct == total else 100 * (centre + half) / scale,
    ]


def passes(correct: int, total: int, threshold: Fraction) -> bool:
    """Tell whether ``correct`` of ``total`` reaches ``threshold`` percent, without any rounding."""
    return 100 * correct >= threshold * total


def count_confusions(targets: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Return the confusion matrix: int64, [num_classes, num_classes]; row truth, column answer."""
    return confusion_matrix(targets, predictions, labels=range(num_classes))


def per_class(matrix: np.ndarray) -> list[dict[str, Any]]:
    """Return for each class the share of its images that was recognised (recall).

    ``accuracy`` and ``accuracy_ci95`` are null for a class without images.
    """
    rows = []
    for label, (correct, total) in enumerate(
        zip(matrix.diagonal(), matrix.sum(axis=1), strict=True)
    ):
        known = total > 0
        rows.append(
            {
                "class": label,
                "correct": int(correct),
                "total": int(total),
                "accuracy": accuracy_percent(int(correct), int(total)) if known else None,
                "accuracy_ci95": wilson_ci95(int(correct), int(total)) if known else None,
            }
        )
    return rows


def most_confused(matrix: np.ndarray, count: int) -> list[dict[str, int]]:
    """Return the ``count`` most frequent errors, as truth, answer and how often."""
    errors = [
        {"truth": truth, "answer": answer, "count": int(matrix[truth, answer])}
        for truth, answer in np.ndindex(*matrix.shape)
        if truth != answer and matrix[truth, answer] > 0
    ]
    return sorted(errors, key=lambda error: -error["count"])[:count]


def named_confusions(
    matrix: np.ndarray, named_pairs: Sequence[tuple[int, int]]
) -> list[dict[str, int]]:
    """Return the errors of ``named_pairs`` in both directions."""
    both_ways = [pair for a, b in named_pairs for pair in ((a, b), (b, a))]
    return [{"truth": t, "answer": a, "count": int(matrix[t, a])} for t, a in both_ways]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return log probabilities, float64 [N, C], of ``logits`` [N, C]."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> float:
    """Return the mean of -log p(target), in nats; the same measure whatever the training loss."""
    # 0.0 is added so that a perfect answer has no loss of -0.0.
    return float(-log_softmax(logits)[np.arange(len(targets)), targets].mean()) + 0.0


def mcnemar_exact(correct_a: np.ndarray, correct_b: np.ndarray) -> dict[str, Any]:
    """Compare two classifiers on the same images by McNemar's exact test.

    Only images that exactly one of them gets right tell them apart. If they were equally good,
    each such image would fall to either with probability 1/2; the p-value is the two-sided
    binomial probability of a split at least as uneven (McNemar 1947, Psychometrika 12; exact form
    as in Dietterich 1998, Neural Computation 10, recommended there for single runs).

    Parameters
    ----------
    correct_a, correct_b : arrays of bool, shape [N]
    """
    only_a = int((correct_a & ~correct_b).sum())
    only_b = int((correct_b & ~correct_a).sum())
    discordant = only_a + only_b
    tail = sum(math.comb(discordant, k) for k in range(min(only_a, only_b) + 1))
    return {
        "only_a": only_a,
        "only_b": only_b,
        "p_value": float(min(Fraction(1), Fraction(2 * tail, 2**discordant))),
    }
