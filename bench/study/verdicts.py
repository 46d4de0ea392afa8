"""From paired differences to verdicts, with a correction for the number of claims and of looks."""

import math
from typing import Any

import numpy as np
from scipy import stats

SUPPORTED, CONTRADICTED = "supported", "contradicted"
EQUIVALENT, UNDECIDED = "equivalent", "undecided"

ERROR_RATE = 0.05

# With this probability the planned seeds show equivalence of recipes that are equal.
_POWER = 0.8
# No margin is wider than so many times the size that matters.
_WIDEST = 3


def paired_interval(differences: list[float], error_rate: float = ERROR_RATE) -> list[float]:
    """Return Student's interval for the mean of paired differences.

    It assumes that the differences are independent (each has a seed of its own) and not far from
    normally distributed. If they are all equal, its two ends are equal too.

    Raises
    ------
    ValueError
        If there are fewer than two differences.
    """
    if not _has_variance(differences):
        return [float(differences[0])] * 2
    interval = stats.ttest_1samp(differences, 0).confidence_interval(1 - error_rate)
    return [float(interval.low), float(interval.high)]


def p_value(differences: list[float]) -> float | None:
    """Return the two-sided p-value of Student's paired test; None if all differences are equal.

    Raises
    ------
    ValueError
        If there are fewer than two differences.
    """
    if not _has_variance(differences):
        return None
    return float(stats.ttest_1samp(differences, 0).pvalue)


def equivalence_p_value(differences: list[float], margin: float | None) -> float | None:
    """Return the p-value of two one-sided tests: is the mean within ``margin`` of zero?

    Schuirmann 1987 (Journal of Pharmacokinetics and Biopharmaceutics 15): the larger of the
    p-values against "below -margin" and "above margin". None without a margin, or if all
    differences are equal.
    """
    if margin is None or not _has_variance(differences):
        return None
    above = stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, margin, alternative="less").pvalue
    return float(max(above, below))


def _has_variance(differences: list[float]) -> bool:
    if len(differences) < 2:
        raise ValueError(f"{len(differences)} paired differences have no variance to measure")
    # Computed as a sum of squares, the variance of equal values may be rounded to more than 0.
    return min(differences) < max(differences)


def rate_for(num_claims: int, num_looks: int) -> float:
    """Return the error rate at which each claim is tested at each look at the results.

    That is Bonferroni's correction. A claim has two tests, for a difference and for equivalence,
    but what they test against (a mean of zero, and one beyond the margin) cannot both be true, so
    that they need no further share.
    """
    return ERROR_RATE / (num_claims * num_looks)


def margin_for(
    first: list[float], size_that_matters: float | None, num_seeds: int, error_rate: float
) -> float | None:
    """Return the margin for equivalence, fixed by the spread of the ``first`` differences alone.

    It is the smallest multiple of the size that matters to a reader which ``num_seeds`` seeds would
    show with a probability of 80 % if the recipes were equal. None if three times that size is too
    little, or nothing is said to matter.
    """
    if size_that_matters is None or not _has_variance(first):
        return None
    standard_error = np.std(first, ddof=1) / math.sqrt(num_seeds)
    # Both one-sided tests have to reject, so each may fail with half of the remaining probability.
    needed = stats.t.ppf(1 - error_rate, num_seeds - 1) + stats.norm.ppf((1 + _POWER) / 2)
    multiple = max(1, math.ceil(needed * standard_error / size_that_matters))
    return round(multiple * size_that_matters, 6) if multiple <= _WIDEST else None


def verdict(p: float | None, mean: float, p_equivalence: float | None, error_rate: float) -> str:
    """Return the verdict on a claim; positive differences support it.

    A difference that is shown decides, even if it is within the margin. Differences that are all
    equal say nothing about other seeds.
    """
    if p is not None and p <= error_rate:
        return SUPPORTED if mean > 0 else CONTRADICTED
    if p_equivalence is not None and p_equivalence <= error_rate:
        return EQUIVALENT
    return UNDECIDED


def judge(differences: list[float], margin: float | None, error_rate: float) -> dict[str, Any]:
    """Return the mean of a claim's paired differences, intervals, p-values and the verdict.

    Returns
    -------
    dict
        ``mean_difference``; ``interval``, at 95 %; ``interval_corrected``, at
        ``confidence_corrected`` percent, which excludes 0 exactly if a difference is shown;
        ``p_value`` and ``p_equivalence``, uncorrected; ``margin``; ``verdict``.
    """
    p, p_equivalence = p_value(differences), equivalence_p_value(differences, margin)
    mean = float(np.mean(differences))
    return {
        "mean_difference": mean,
        "interval": paired_interval(differences),
        "interval_corrected": paired_interval(differences, error_rate),
        "confidence_corrected": 100 * (1 - error_rate),
        "p_value": p,
        "p_equivalence": p_equivalence,
        "margin": margin,
        "verdict": verdict(p, mean, p_equivalence, error_rate),
    }
