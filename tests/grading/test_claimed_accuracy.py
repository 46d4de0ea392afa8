"""A file's claim is marked only where it and what was measured cannot be one network's."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from evaluations.rows import ClassAnswers, FileInfo, graded_row, ungraded_row
from grading.sandbox import wire


def row_of(test_images, correct, **claim):
    answers = test_images.targets.astype(np.uint8)
    answers[correct:] = (answers[correct:] + 1) % 10
    row = ungraded_row("net.pth", Path("net.pth"), "checkpoint", own=False)
    info = FileInfo(kind="checkpoint", **claim)
    return graded_row(row, ClassAnswers(answers, info), test_images, Fraction(90))


@pytest.mark.parametrize("total", [5_000, 50_000])
@pytest.mark.parametrize("harder", [-0.0075, 0, 0.0075])
def test_validation_accuracy_of_an_honest_network_is_no_false_claim(test_images, total, harder):
    """Also where one of the sets is harder than the other."""
    generator = np.random.default_rng(0)
    for _ in range(100):
        on_test = int(generator.binomial(10_000, 0.95 - harder))
        claim = 100 * generator.binomial(total, 0.95) / total
        row = row_of(test_images, on_test, claimed_accuracy=claim, claimed_total=total)
        assert not row["claim_differs"]


@pytest.mark.parametrize(
    ("correct", "claim", "total", "differs"),
    [
        (9_500, 95.9, None, False),
        (9_384, 93.09, 50_000, False),  # an honest one's, on other images
        (9_500, 96.6, None, False),
        (9_500, 97.6, None, True),
        (9_400, 99.0, None, True),
        (9_500, 96.6, 200, False),
        (9_500, 93.0, 5_000, False),
        (9_500, 91.0, 5_000, True),
        (9_500, 100.0, None, True),
        (9_500, -3.0, None, True),
        (9_500, 1e300, None, True),
        (9_500, None, 5_000, False),
        (9_500, 96.3, 10**7, False),
        (9_500, 96.5, 10**7, True),
    ],
)
def test_claim_is_held_against_both_intervals(test_images, correct, claim, total, differs):
    row = row_of(test_images, correct, claimed_accuracy=claim, claimed_total=total)
    assert row["claim_differs"] is differs


@pytest.mark.parametrize(("told", "read"), [(5_000, 5_000), (0, None), (2**62, None), (None, None)])
def test_number_of_images_comes_through_the_sandbox(told, read):
    shape = wire.Shape(num_images=3, num_sampled=0, num_tried=1, num_classes=10)
    block = bytearray(shape.block_size)
    answers = ClassAnswers(np.zeros(3, np.uint8), FileInfo(claimed_total=told))
    wire.encode(memoryview(block), answers)
    assert wire.decode(bytes(block), shape).info.claimed_total == read
