"""Whether a network's confidence can be trusted. numpy arrays in, JSON values out; no torch.

The confidence of an answer is the probability that the network gives it: the largest softmax value.
"""

from typing import Any

import numpy as np

from common.metrics import accuracy_percent, cross_entropy, log_softmax, wilson_ci95

# Guo et al. 2017 (ICML), section 2: equally wide bins; 15 of them in their table 1.
BINS = 15

# Percent of the images that are answered, those of the highest confidence.
_COVERAGES = (100, 99.5, 99, 98, 97, 96, 95, 94, 92, 90, 85, 80)


def describe_confidence(
    logits: np.ndarray, targets: np.ndarray, temperature: float | None
) -> dict[str, Any]:
    """Return calibration before and after temperature scaling, and accuracy against coverage.

    Parameters
    ----------
    logits : array of float, shape [N, C]
    targets : array of int, shape [N]
    temperature : float or None
        Fitted on other images than these; without it there is no ``after``.
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

    Returns
    -------
    dict
        ``expected_calibration_error``, in percentage points: the mean over the images of the
        distance between accuracy and mean confidence of their bin (Naeini et al. 2015, AAAI; Guo et
        al. 2017, equation 3). ``loss``, the cross entropy. ``reliability``, for each bin with an
        image: ``low``, ``high`` (its ends), ``confidence``, ``accuracy``, ``accuracy_ci95``, in
        percent, and ``total``.
    """
    confidence, correct = confidence_and_hits(logits, targets)
    # A bin holds its upper end, as in the paper: (0, 1/15], (1/15, 2/15], ...
    bin_of = np.clip(np.ceil(confidence * BINS).astype(int), 1, BINS)
    reliability, error = [], 0.0
    for number in np.unique(bin_of):
        inside = bin_of == number
        hits, total = int(correct[inside].sum()), int(inside.sum())
        mean_confidence = 100 * float(confidence[inside].mean())
        accuracy = accuracy_percent(hits, total)
        error += total / len(targets) * abs(accuracy - mean_confidence)
        reliability.append(
            {
                "low": 100 * (int(number) - 1) / BINS,
                "high": 100 * int(number) / BINS,
                "confidence": mean_confidence,
                "accuracy": accuracy,
                "accuracy_ci95": wilson_ci95(hits, total),
                "total": total,
            }
        )
    return {
        "expected_calibration_error": error,
        "loss": cross_entropy(logits, targets),
        "reliability": reliability,
    }


def accuracy_at_coverage(logits: np.ndarray, targets: np.ndarray) -> list[dict[str, Any]]:
    """Return the accuracy on the images that are left when the least certain ones are not answered.

    El-Yaniv and Wiener 2010 (JMLR 11) call this selective classification. Rows: ``coverage`` and
    ``accuracy``, in percent, ``correct`` and ``total``. Equal confidences are answered in the order
    of the images.
    """
    confidence, correct = confidence_and_hits(logits, targets)
    hits = correct[np.argsort(-confidence, kind="stable")].cumsum()
    rows = []
    for coverage in _COVERAGES:
        total = max(1, round(coverage / 100 * len(targets)))
        right = int(hits[total - 1])
        rows.append(
            {
                "coverage": coverage,
                "accuracy": accuracy_percent(right, total),
                "correct": right,
                "total": total,
            }
        )
    return rows


def confidence_and_hits(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the confidence of each answer (float64 [N]), and whether it is right (bool [N])."""
    probabilities = np.exp(log_softmax(logits))
    return probabilities.max(axis=1), logits.argmax(axis=1) == targets
