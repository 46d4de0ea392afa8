"""The statistics of a classifier's answers. numpy arrays in, JSON values out; no torch.

The confidence of an answer is the probability that the network gives it: the largest softmax value.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

# Of scipy, what needs it imports it: it takes 65 MiB, which whoever grades has no use for.

_Z95 = 1.959963984540054  # standard deviations that hold 95 % of a normal distribution

# Guo et al. 2017 (ICML), section 2: bins of equal width; 15 of them in their table 1.
BINS = 15

# Percent of the images that are answered, those of the highest confidence.
_COVERAGES = (100, 99.5, 99, 98, 97, 96, 95, 94, 92, 90, 85, 80)

# The temperature is searched for between e^-7 and e^7, about 1/1000 and 1000.
_LOG_TEMPERATURE = (-7.0, 7.0)


def accuracy_percent(correct: int, total: int) -> float:
    """Return ``correct`` of ``total`` in percent."""
    return 100 * correct / total


def wilson_ci95(correct: int, total: int) -> list[float]:
    """Return the two ends, in percent, of the 95 % score interval of a proportion.

    Wilson 1927 (JASA 22), recommended over the textbook's p +- 1.96 sqrt(p(1-p)/n) by Brown et al.
    2001 (Statistical Science 16), since that one is too narrow when p is near 1, as it is here.

    Raises ValueError if ``total`` is not positive or ``correct`` is not between 0 and ``total``.
    """
    if not 0 <= correct <= total or not total:
        raise ValueError(f"correct is {correct} of {total}, but must be 0 to a positive total")
    # scipy's binomtest has the same to the bit, and tests a hypothesis first: 3 ms a submission.
    share, z2 = correct / total, _Z95**2
    denominator = 2 * (total + z2)
    center = (2 * total * share + z2) / denominator
    delta = _Z95 / denominator * math.sqrt(4 * total * share * (1 - share) + z2)
    # Rounding can leave the ends for none or all correct a hair away from 0 and 100.
    low = 0.0 if correct == 0 else 100 * (center - delta)
    return [low, 100.0 if correct == total else 100 * (center + delta)]


def proportion(correct: int, total: int) -> dict[str, Any]:
    """Return both with the accuracy and its interval, in percent; these are null for no images."""
    return {
        "correct": correct,
        "total": total,
        "accuracy": accuracy_percent(correct, total) if total else None,
        "accuracy_ci95": wilson_ci95(correct, total) if total else None,
    }


def passes(correct: int, total: int, threshold: Fraction) -> bool:
    """Tell whether ``correct`` of ``total`` reaches ``threshold`` percent, without any rounding."""
    return 100 * correct >= threshold * total


def count_confusions(targets: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Return the confusion matrix, int64 [classes, classes]: rows true, columns predicted."""
    # sklearn.metrics does the same, but takes half a second to import.
    shape = (num_classes, num_classes)
    cells = np.ravel_multi_index((targets, predictions), shape)
    return np.bincount(cells, minlength=num_classes**2).reshape(shape)


def per_class(matrix: np.ndarray) -> list[dict[str, Any]]:
    """Return for each class the share of its images that was recognised (recall)."""
    counts = zip(matrix.diagonal().tolist(), matrix.sum(axis=1).tolist(), strict=True)
    return [{"class": label, **proportion(*count)} for label, count in enumerate(counts)]


def most_confused(matrix: np.ndarray, count: int) -> list[dict[str, int]]:
    """Return the ``count`` most frequent errors: true class, predicted class, how often."""
    errors = [
        {"true": true, "predicted": predicted, "count": int(matrix[true, predicted])}
        for true, predicted in np.ndindex(*matrix.shape)
        if true != predicted and matrix[true, predicted] > 0
    ]
    return sorted(errors, key=lambda error: -error["count"])[:count]


def named_confusions(
    matrix: np.ndarray, named_pairs: Sequence[tuple[int, int]]
) -> list[dict[str, int]]:
    """Return the errors between ``named_pairs``, in both directions."""
    both_ways = [pair for a, b in named_pairs for pair in ((a, b), (b, a))]
    return [{"true": t, "predicted": p, "count": int(matrix[t, p])} for t, p in both_ways]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return the logarithms of the probabilities (float64 [N, C])."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> float:
    """Return the mean of -log p(target), in nats, whatever loss a model was trained with."""
    log_probabilities = log_softmax(logits)
    # 0.0 is added so that a perfect answer has no loss of -0.0.
    return float(-log_probabilities[np.arange(len(targets)), targets].mean()) + 0.0


def mcnemar_exact(correct_a: np.ndarray, correct_b: np.ndarray) -> dict[str, Any]:
    """Compare who is right (bool [N]) of two classifiers, on the same images, by McNemar's test.

    Only images that exactly one of them gets right tell them apart. If they were equally good,
    each such image would fall to either with probability 1/2; the p-value is the two-sided
    binomial probability of a split at least as uneven (McNemar 1947, Psychometrika 12; exact form
    as in Dietterich 1998, Neural Computation 10, recommended there for single runs).
    """
    from scipy.stats import binomtest

    only_a = int((correct_a & ~correct_b).sum())
    only_b = int((correct_b & ~correct_a).sum())
    discordant = only_a + only_b
    p_value = float(binomtest(only_a, discordant).pvalue) if discordant else 1.0
    return {"only_a": only_a, "only_b": only_b, "p_value": p_value}


def confidence_and_correct(
    logits: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the confidence of each answer (float64 [N]), and whether it is right (bool [N])."""
    probabilities = np.exp(log_softmax(logits))
    return probabilities.max(axis=1), logits.argmax(axis=1) == targets


def describe_confidence(
    logits: np.ndarray, targets: np.ndarray, temperature: float | None
) -> dict[str, Any]:
    """Return calibration before and after temperature scaling, and accuracy at each coverage.

    The temperature was fitted on other images than these; without it there is no ``after``.
    """
    scaled = None if temperature is None else logits.astype(np.float64) / temperature
    return {
        "bins": BINS,
        "temperature": temperature,
        "before": calibration(logits, targets),
        "after": None if scaled is None else calibration(scaled, targets),
        "coverage": accuracy_at_coverage(logits, targets),
    }


def calibration(logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
    """Compare confidence with accuracy in ``BINS`` bins of equal width over (0, 1].

    ``expected_calibration_error``, in percentage points, is the mean over the images of the
    distance between accuracy and mean confidence of their bin (Naeini et al. 2015, AAAI; Guo et al.
    2017, equation 3); ``loss`` is the cross entropy. ``reliability`` has a row for each bin with an
    image: its ends, mean confidence and accuracy, in percent.
    """
    confidence, correct = confidence_and_correct(logits, targets)
    # A bin includes its upper end, as in the paper: (0, 1/15], (1/15, 2/15], ...
    bin_of = np.clip(np.ceil(confidence * BINS).astype(int), 1, BINS)
    reliability, error = [], 0.0
    for number in np.unique(bin_of).tolist():
        inside = bin_of == number
        correct_inside, total = int(correct[inside].sum()), int(inside.sum())
        mean_confidence = 100 * float(confidence[inside].mean())
        accuracy = accuracy_percent(correct_inside, total)
        error += total / len(targets) * abs(accuracy - mean_confidence)
        reliability.append(
            {
                "low": 100 * (number - 1) / BINS,
                "high": 100 * number / BINS,
                "confidence": mean_confidence,
                "accuracy": accuracy,
                "accuracy_ci95": wilson_ci95(correct_inside, total),
                "total": total,
            }
        )
    return {
        "expected_calibration_error": error,
        "loss": cross_entropy(logits, targets),
        "reliability": reliability,
    }


def accuracy_at_coverage(logits: np.ndarray, targets: np.ndarray) -> list[dict[str, Any]]:
    """Return the accuracy on what is answered if the least certain images are left to a person.

    El-Yaniv and Wiener 2010 (JMLR 11) call this selective classification. Rows: ``coverage`` and
    ``accuracy``, in percent, ``correct`` and ``total``. Of equal confidences the earlier image
    counts as the more certain.
    """
    confidence, correct = confidence_and_correct(logits, targets)
    correct_so_far = correct[np.argsort(-confidence, kind="stable")].cumsum()
    rows = []
    for coverage in _COVERAGES:
        total = max(1, round(coverage / 100 * len(targets)))
        right = int(correct_so_far[total - 1])
        accuracy = accuracy_percent(right, total)
        rows.append({"coverage": coverage, "accuracy": accuracy, "correct": right, "total": total})
    return rows


def fit_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """Return the temperature T > 0 that minimises the cross entropy of ``logits / T``.

    Guo et al. 2017 (ICML, section 4.2). T above 1 says that the network was too confident, T below
    1 that it was too timid. It never changes which class is largest, so accuracy stays the same.
    The logits (float [N, C]) are those of images that the network was not trained on.
    """
    from scipy.optimize import minimize_scalar

    logits = logits.astype(np.float64)
    # Over log T, T stays positive.
    found = minimize_scalar(
        lambda log_temperature: cross_entropy(logits / np.exp(log_temperature), targets),
        bounds=_LOG_TEMPERATURE,
        method="bounded",
        options={"xatol": 1e-9},
    )
    return float(np.exp(found.x))
