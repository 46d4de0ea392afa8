"""The rule of the study's verdicts, by worked examples and published figures."""

import pytest
import torch
from scipy import stats

from bench.study.verdicts import (
    equivalence_p_value,
    judge,
    margin_for,
    p_value,
    paired_interval,
    rate_for,
    verdict,
)

# Student's sleep data, 1908: the textbook example of the paired test (t = 4.06, p = 0.0028).
SLEEP = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]


def test_interval_and_p_value_of_students_own_example():
    assert paired_interval(SLEEP) == pytest.approx([0.7001, 2.4599], abs=1e-4)
    assert p_value(SLEEP) == pytest.approx(0.00283, abs=1e-5)


def test_interval_agrees_with_scipy():
    found = stats.ttest_1samp(SLEEP, 0).confidence_interval(0.99)
    assert paired_interval(SLEEP, 0.01) == pytest.approx([found.low, found.high])


def test_one_difference_is_too_few():
    with pytest.raises(ValueError, match="no variance to measure"):
        paired_interval([1.0])


@pytest.mark.parametrize(
    ("margin", "expected"),
    # By statsmodels 0.15.0, DescrStatsW(SLEEP).ttost_mean(-margin, margin)[0].
    [(1.0, 0.9149441), (2.0, 0.1541572), (2.5, 0.0211169), (3.0, 0.0026556)],
)
def test_equivalence_of_the_same_example(margin, expected):
    assert equivalence_p_value(SLEEP, margin) == pytest.approx(expected, abs=1e-6)
    # The interval at twice the rate lies within the margin exactly if both tests reject.
    low, high = paired_interval(SLEEP, 0.1)
    assert (max(-low, high) < margin) == (expected < 0.05)


def test_without_a_margin_or_variance_nothing_is_equivalent():
    assert equivalence_p_value(SLEEP, None) is None
    assert equivalence_p_value([0.0, 0.0, 0.0], 1.0) is None


def test_rate_is_shared_among_claims_and_looks():
    assert rate_for(31, 3) == pytest.approx(0.05 / 93)


def test_margin_by_hand():
    """Deviation of 0.2, 25 seeds: (t(24) at 0.1 % = 3.467 + 1.2816) x 0.04 = 0.190."""
    first = [-0.2, 0.0, 0.2]
    assert margin_for(first, 0.1, 25, 0.001) == 0.2
    assert margin_for(first, 0.19, 25, 0.001) == 0.19
    assert margin_for(first, 0.189, 25, 0.001) == 0.378
    assert margin_for(first, 0.05, 25, 0.001) is None, "four times what matters is too wide"
    assert margin_for(first, None, 25, 0.001) is None
    assert margin_for([0.1, 0.1], 0.1, 25, 0.001) is None


def test_margin_is_shown_as_often_as_promised():
    """Of many studies of equal recipes, four in five are decided at the margin's limit."""
    generator = torch.Generator().manual_seed(0)
    limit = (3.467 + 1.2816) * 0.04
    shown = 0
    for _ in range(400):
        differences = 0.2 * torch.randn(25, generator=generator, dtype=torch.float64)
        shown += equivalence_p_value(differences.tolist(), limit) <= 0.001
    assert 0.7 < shown / 400 < 0.9


@pytest.mark.parametrize(
    ("p", "mean", "p_equivalence", "expected"),
    [
        (0.001, 0.3, None, "supported"),
        (0.001, -0.3, None, "contradicted"),
        (0.2, 0.3, 0.5, "undecided"),
        (0.2, 0.0, 0.001, "equivalent"),
        (0.001, 0.1, 0.001, "supported"),  # a difference that is shown, however small
        (None, 0.2, None, "undecided"),
    ],
)
def test_verdict_follows_from_the_tests(p, mean, p_equivalence, expected):
    assert verdict(p, mean, p_equivalence, error_rate=0.01) == expected


def test_interval_and_verdict_cannot_disagree():
    generator = torch.Generator().manual_seed(0)
    verdicts = set()
    for shift in (0.0, 0.4, 0.8, 1.2, -1.5, 2.0, 0.05):
        noise = torch.randn(20, generator=generator, dtype=torch.float64)
        row = judge((shift + 0.5 * noise).tolist(), 0.5, 0.01)
        verdicts.add(row["verdict"])
        low, high = row["interval_corrected"]
        assert low <= row["interval"][0] <= row["mean_difference"] <= row["interval"][1] <= high
        assert (low > 0) == (row["verdict"] == "supported")
        assert (high < 0) == (row["verdict"] == "contradicted")
        assert row["confidence_corrected"] == pytest.approx(99)
    assert verdicts == {"supported", "contradicted", "equivalent", "undecided"}


def test_equal_differences_are_not_judged():
    row = judge([0.1, 0.1, 0.1], 0.5, 0.01)
    assert (row["verdict"], row["p_value"], row["p_equivalence"]) == ("undecided", None, None)
