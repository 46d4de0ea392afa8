"""From paired differences to verdicts, with a correction for the number of claims."""

import math
from typing import Any

import numpy as np
from scipy import stats

SUPPORTED, CONTRADICTED = "supported", "contradicted"
NOT_DISTINGUISHABLE = "not distinguishable"

ERROR_RATE = 0.05


def paired_interval(differences: list[float], error_rate: float = ERROR_RATE) -> list[float]:
    """Return Student's interval for the mean of paired differences.

    It assumes that the differences are independent (each has a seed of its own) and not far from
    normally distributed. Without variance it has no width.

    Raises
    ------
    ValueError
        If there are fewer than two.
    """
    mean, half = _mean_and_error(differences)
    half *= stats.t.ppf(1 - error_rate / 2, len(differences) - 1)
    return [mean - half, mean + half]


def p_value(differences: list[float]) -> float | None:
    """Return the two-sided p-value of Student's paired test; None without variance."""
    mean, error = _mean_and_error(differences)
    if error == 0:
        return None
    return float(2 * stats.t.sf(abs(mean) / error, len(differences) - 1))


def _mean_and_error(differences: list[float]) -> tuple[float, float]:
    if len(differences) < 2:
        raise ValueError(f"{len(differences)} paired differences have no variance to measure")
    values = np.asarray(differences, dtype=np.float64)
    if np.ptp(values) == 0:  # the formula's rounding would leave a little
        return float(values[0]), 0.0
    return float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values))


def holm_error_rates(p_values: list[float | None]) -> list[float]:
    """Return for each claim the error rate at which Holm's procedure tests it.

    Holm 1979 (Scandinavian Journal of Statistics 6): the smallest of m p-values is held against
    ERROR_RATE / m, the next against ERROR_RATE / (m - 1), and so on until one is above; that one's
    rate holds for all that follow. An interval at a claim's rate then excludes 0 exactly if Holm's
    procedure rejects equality, so that interval and verdict cannot disagree. What has no p-value
    is not tested, and keeps ERROR_RATE.
    """
    tested = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    rates = [ERROR_RATE] * len(p_values)
    rate, going_on = ERROR_RATE, True
    for rank, (p, index) in enumerate(tested):
        if going_on:
            rate = ERROR_RATE / (len(tested) - rank)
            going_on = p <= rate
        rates[index] = rate
    return rates


def verdict(interval: list[float]) -> str:
    """Return the verdict on a claim from the interval of its differences.

    Differences are positive where the claim is right. An interval without width comes from
    differences without variance, which say nothing of what other seeds would do.
    """
    low, high = interval
    if low == high:
        return NOT_DISTINGUISHABLE
    if low > 0:
        return SUPPORTED
    return CONTRADICTED if high < 0 else NOT_DISTINGUISHABLE


def judge(all_differences: list[list[float]]) -> list[dict[str, Any]]:
    """Return ``mean_difference``, ``interval`` (95 %), ``interval_corrected`` and verdict of each.

    Parameters
    ----------
    all_differences : list of lists
        Of every claim that is made together: the correction is for their number.
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
