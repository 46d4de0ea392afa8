"""Calibration and coverage, held against counts by hand and other implementations."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score

from common.confidence import (
    BINS,
    accuracy_at_coverage,
    calibration,
    confidence_and_hits,
    describe_confidence,
)


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
    confidence, correct = confidence_and_hits(logits, targets)
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
    confidence, _ = confidence_and_hits(logits, targets)
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
