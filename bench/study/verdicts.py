"""From paired differences to verdicts, with a correction for the number of claims."""

from typing import Any

import numpy as np
from scipy import stats

SUPPORTED, CONTRADICTED = "supported", "contradicted"
NOT_DISTINGUISHABLE = "not distinguishable"

ERROR_RATE = 0.05


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


def _has_variance(differences: list[float]) -> bool:
    if len(differences) < 2:
        raise ValueError(f"{len(differences)} paired differences have no variance to measure")
    # Computed as a sum of squares, the variance of equal values may be rounded to more than 0.
    return min(differences) < max(differences)


def holm_error_rates(p_values: list[float | None]) -> list[float]:
    """Return for each claim the error rate at which Holm's procedure tests it.

    Holm 1979 (Scandinavian Journal of Statistics 6): the smallest of m p-values is compared with
    ERROR_RATE / m, the next with ERROR_RATE / (m - 1), and so on until one is above; its rate then
    holds for all that follow. The interval at a claim's rate excludes 0 exactly if Holm's procedure
    rejects equality, so interval and verdict cannot disagree. A claim without a p-value is not
    tested, and keeps ERROR_RATE.
    """
    tested = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    rates = [ERROR_RATE] * len(p_values)
    rate, all_rejected = ERROR_RATE, True
    for position, (p, index) in enumerate(tested):
        if all_rejected:
            rate = ERROR_RATE / (len(tested) - position)
            all_rejected = p <= rate
        rates[index] = rate
    return rates


def verdict(interval: list[float]) -> str:
    """Return the verdict on a claim from the interval of its differences.

    Positive differences support the claim. Two equal ends come from equal differences, which say
    nothing about other seeds.
    """
    low, high = interval
    if low == high:
        return NOT_DISTINGUISHABLE
    if low > 0:
        return SUPPORTED
    return CONTRADICTED if high < 0 else NOT_DISTINGUISHABLE


def judge(all_differences: list[list[float]]) -> list[dict[str, Any]]:
    """Return for each claim the mean difference, its intervals, its p-value and the verdict.

    Parameters
    ----------
    all_differences : list of lists
        The paired differences of every claim. The correction is for the number of claims.

    Returns
    -------
    list of dict
        ``mean_difference``; ``interval``, at 95 %; ``interval_corrected``, at
        ``confidence_corrected`` percent, which decides the ``verdict``; ``p_value``, uncorrected.
    """
    p_values = [p_value(differences) for differences in all_differences]
    rates = holm_error_rates(p_values)
    judged = []
    for differences, p, rate in zip(all_differences, p_values, rates, strict=True):
        corrected = paired_interval(differences, rate)
        judged.append(
            {
                "mean_difference": float(np.mean(differences)),
                "interval": paired_interval(differences),
                "interval_corrected": corrected,
                "confidence_corrected": 100 * (1 - rate),
                "p_value": p,
                "verdict": verdict(corrected),
            }
        )
    return judged
