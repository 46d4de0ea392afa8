"""The statistics, held against independent sources."""

from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score

from common import metrics
from common.data.catalog import MNIST
from common.metrics import (
    BINS,
    accuracy_at_coverage,
    calibration,
    confidence_and_correct,
    describe_confidence,
)


@pytest.mark.parametrize(
    ("correct", "total"), [(0, 10), (10, 10), (1, 1), (9000, 10_000), (9875, 10_000), (37, 980)]
)
def test_wilson_interval_agrees_with_scipy(correct, total):
    expected = binomtest(correct, total).proportion_ci(0.95, method="wilson")
    low, high = metrics.wilson_ci95(correct, total)
    assert low == pytest.approx(100 * expected.low, abs=1e-9)
    assert high == pytest.approx(100 * expected.high, abs=1e-9)
    assert 0 <= low <= 100 * correct / total <= high <= 100


def test_wilson_interval_agrees_with_newcombes_table():
    # Newcombe 1998 (Statistics in Medicine 17), table I, method 3: 81 of 263.
    low, high = metrics.wilson_ci95(81, 263)
    assert (round(low, 2), round(high, 2)) == (25.53, 36.62)


@pytest.mark.parametrize(("correct", "total"), [(-1, 10), (11, 10), (0, 0)])
def test_wilson_interval_of_nonsense_is_refused(correct, total):
    with pytest.raises(ValueError, match="must"):
        metrics.wilson_ci95(correct, total)


@pytest.mark.parametrize(
    ("correct", "threshold", "expected"),
    [
        (9000, "90", True),
        (8999, "90", False),
        (9710, "97.1", True),
        (9709, "97.1", False),
        (10_000, "100", True),
        (9_999, "99.99", True),
        (0, "0", True),
    ],
)
def test_threshold_is_exact(correct, threshold, expected):
    assert metrics.passes(correct, 10_000, Fraction(threshold)) is expected


def test_threshold_does_not_round_where_floats_would():
    # 100 * 7 / 7e15 is far below this threshold, and 0.29 * 100 is not 29 in binary.
    assert not metrics.passes(7, 7_000, Fraction("0.1000000000000000000001"))
    assert metrics.passes(29, 100, Fraction("29"))


def answers():
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 10, 2000)
    wrong = generator.random(2000) < 0.2
    return targets, np.where(wrong, generator.integers(0, 10, 2000), targets)


def test_per_class_counts_by_hand():
    targets, predictions = answers()
    matrix = metrics.count_confusions(targets, predictions, 10)
    for row in metrics.per_class(matrix):
        mine = targets == row["class"]
        assert row["total"] == mine.sum()
        assert row["correct"] == (predictions[mine] == row["class"]).sum()
        assert row["accuracy"] == pytest.approx(100 * row["correct"] / row["total"])


def test_class_without_images_has_no_accuracy():
    matrix = metrics.count_confusions(np.array([0, 1]), np.array([0, 2]), 3)
    assert metrics.per_class(matrix)[2]["accuracy"] is None


def test_confusions_are_counted_and_ordered():
    matrix = np.zeros((10, 10), dtype=int)
    matrix[4, 9], matrix[9, 4], matrix[7, 7], matrix[3, 8] = 5, 8, 100, 5
    assert metrics.most_confused(matrix, 2) == [
        {"true": 9, "predicted": 4, "count": 8},
        {"true": 3, "predicted": 8, "count": 5},
    ]
    named = {
        (e["true"], e["predicted"]): e["count"]
        for e in metrics.named_confusions(matrix, MNIST.named_pairs)
    }
    assert named == {(4, 9): 5, (9, 4): 8, (3, 8): 5, (8, 3): 0, (1, 7): 0, (7, 1): 0}


def test_cross_entropy_agrees_with_torch_also_for_large_logits():
    generator = torch.Generator().manual_seed(0)
    logits = 1000 * torch.randn(500, 10, generator=generator)
    targets = torch.randint(10, (500,), generator=generator)
    expected = F.cross_entropy(logits.double(), targets).item()
    assert metrics.cross_entropy(logits.numpy(), targets.numpy()) == pytest.approx(expected)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (3, 3), (0, 5), (42, 81), (700, 900)])
def test_mcnemar_agrees_with_the_binomial_test(only_a, only_b):
    correct_a = np.array([True] * only_a + [False] * only_b + [True, False] * 10)
    correct_b = np.array([False] * only_a + [True] * only_b + [True, False] * 10)
    result = metrics.mcnemar_exact(correct_a, correct_b)
    assert (result["only_a"], result["only_b"]) == (only_a, only_b)
    discordant = only_a + only_b
    expected = binomtest(only_a, discordant).pvalue if discordant else 1.0
    assert result["p_value"] == pytest.approx(expected)


def two_classes(confidences):
    """Logits [N, 2] of networks that answer 0 with these probabilities."""
    p = np.array(confidences)
    return np.log(np.stack([p, 1 - p], axis=1))


@pytest.fixture
def many():
    generator = np.random.default_rng(3)
    logits = 3 * generator.standard_normal((4000, 10))
    drawn = generator.random(4000) < 0.7
    return logits, np.where(drawn, logits.argmax(axis=1), generator.integers(0, 10, 4000))


def test_calibration_error_by_hand():
    # Bins of 1/15: 0.61 and 0.65 share (9/15, 10/15], 0.95 and 0.99 share (14/15, 1].
    logits = two_classes([0.61, 0.65, 0.95, 0.99])
    found = calibration(logits, np.array([0, 1, 0, 0]))
    # |50 - 63| for half of the answers, |100 - 97| for the other half.
    assert found["expected_calibration_error"] == pytest.approx(0.5 * 13 + 0.5 * 3)
    assert [row["total"] for row in found["reliability"]] == [2, 2]
    assert [row["accuracy"] for row in found["reliability"]] == [50, 100]
    assert [row["low"] for row in found["reliability"]] == pytest.approx([60, 100 * 14 / 15])


def test_certainty_lies_in_the_last_bin():
    (only,) = calibration(np.array([[1000.0, 0.0]]), np.array([0]))["reliability"]
    assert (only["high"], only["confidence"]) == (100, 100)


def test_reliability_agrees_with_scikit_learn(many):
    logits, targets = many
    confidence, correct = confidence_and_correct(logits, targets)
    accuracy, mean_confidence = calibration_curve(correct, confidence, n_bins=BINS)
    found = calibration(logits, targets)["reliability"]
    assert [row["accuracy"] for row in found] == pytest.approx(100 * accuracy)
    assert [row["confidence"] for row in found] == pytest.approx(100 * mean_confidence)
    assert sum(row["total"] for row in found) == 4000


def test_coverage_counts_the_most_certain_answers(many):
    logits, targets = many
    rows = accuracy_at_coverage(logits, targets)
    assert rows[0]["coverage"] == 100
    assert rows[0]["accuracy"] == pytest.approx(100 * accuracy_score(targets, logits.argmax(1)))
    confidence, _ = confidence_and_correct(logits, targets)
    for row in rows:
        kept = np.argsort(-confidence, kind="stable")[: row["total"]]
        assert row["total"] == round(40 * row["coverage"])
        assert row["correct"] == (logits[kept].argmax(axis=1) == targets[kept]).sum()


def test_temperature_changes_confidence_and_no_answer(many):
    logits, targets = many
    described = describe_confidence(logits.astype(np.float32), targets, temperature=2.0)
    before, after = described["before"], described["after"]
    halved = calibration(logits / 2, targets)
    assert after["expected_calibration_error"] == pytest.approx(
        halved["expected_calibration_error"], abs=1e-3
    )
    assert after["loss"] != before["loss"]
    hits = [
        sum(r["total"] * r["accuracy"] for r in part["reliability"]) for part in (before, after)
    ]
    assert hits[0] == pytest.approx(hits[1])


def test_without_a_temperature_there_is_no_after(many):
    assert describe_confidence(*many, temperature=None)["after"] is None
