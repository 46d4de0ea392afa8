"""What a student can learn of a private test set, from all that is shown of a hand-in."""

import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from common.data.arrays import LabelledImages
from common.data.catalog import MNIST
from evaluations.disclosure import disclosed
from evaluations.rows import FileInfo, LogitAnswers, graded_row, ungraded_row
from grading.document import header
from grading.gradebooks.feedback import gradescope_results
from grading.gradebooks.gradebook import grades_csv
from reporting import github, terminal
from reporting.student_pages import render_feedback

SIZE, HAND_INS = 2000, 50
# What the docstring of ``disclosure`` says for each hand-in, in labels of ten classes.
BOUND = math.log(102) / math.log(10)
THRESHOLD = Fraction("89.5")


def shown(answers, targets, is_public=False):
    """Return all that is shown of one hand-in, as text; of its own are only the answers."""
    images = np.zeros((len(targets), 28, 28), np.uint8)
    test_set = LabelledImages("set", images, targets, {}, MNIST, is_public=is_public)
    row = ungraded_row("model.npy", Path("model.npy"), "predictions", own=False)
    row |= {"sha256": "0" * 64, "rank": 1, "preprocessing": None}
    claims = FileInfo("predictions", claimed_accuracy=97.0)
    logits = np.eye(10, dtype=np.float32)[answers]
    row = graded_row(row, LogitAnswers(logits, claims), test_set, THRESHOLD)
    fields = header(test_set, THRESHOLD, {}, Path("evaluation.json"))
    evaluation = disclosed(fields | {"results": [row]})
    (row,) = evaluation["results"]
    return "\n".join(
        [
            render_feedback(evaluation, 1, row),
            terminal.evaluation(evaluation),
            github.markdown(evaluation),
            gradescope_results(row, float(THRESHOLD)),
            grades_csv([row], float(THRESHOLD)),
        ]
    )


@pytest.fixture(scope="module")
def targets():
    return np.random.default_rng(3).integers(0, 10, SIZE)


def test_one_hand_in_has_no_more_outcomes_than_the_bound_says(targets):
    """Whatever the labels are, what is shown is one of 102 texts."""
    rng, answers, seen = np.random.default_rng(4), targets, set()
    for share in np.linspace(0, 1, 400):
        labels = np.where(rng.random(SIZE) < share, answers, rng.integers(0, 10, SIZE))
        seen.add(shown(answers, labels))
    assert 80 < len(seen) <= 102
    assert any("89 % or more" in text and "Passed" in text for text in seen)
    assert any("89 % or more" in text and "Below" in text for text in seen)


def confusion_counts(page):
    """Return the confusion matrix that stands on a page; nothing if there is none."""
    table = re.search(r'<table class="confusion">.*?</table>', page, flags=re.DOTALL)
    lines = re.findall(r"<tr>.*?</tr>", table[0], flags=re.DOTALL)[1:] if table else []
    return [re.findall(r">(\d+)</td>", line)[:10] for line in lines]


def read_off_the_matrix(targets, is_public):
    """Plan answers that are unique in their column; return how many labels are read there."""
    learned = 0
    for hand_in in range(HAND_INS):
        answers = np.zeros(SIZE, int)
        answers[9 * hand_in : 9 * hand_in + 9] = range(1, 10)
        for true, line in enumerate(confusion_counts(shown(answers, targets, is_public))):
            for answer, count in enumerate(line):
                image = 9 * hand_in + answer - 1
                learned += answer > 0 and int(count) == 1 and targets[image] == true
    return learned


def test_planned_answers_read_no_labels_off_a_page(targets):
    assert read_off_the_matrix(targets, is_public=True) == 9 * HAND_INS > BOUND * HAND_INS
    assert read_off_the_matrix(targets, is_public=False) == 0


def test_who_knows_half_of_the_labels_learns_less_than_the_bound_of_the_others(targets):
    """With one right answer less than a whole percent, one guess is tried with each hand-in."""
    known = SIZE // 2 - 1
    answers = np.where(np.arange(SIZE) < known, targets, (targets + 1) % 10)
    before, learned, image, guess = shown(answers, targets), 0, known, 0
    for _ in range(HAND_INS):
        answers[image] = guess
        if shown(answers, targets) != before:
            assert targets[image] == guess
            answers[image] = (guess + 1) % 10
            learned, image, guess = learned + 1, image + 1, -1
        guess += 1
    assert 0 < learned <= BOUND * HAND_INS
