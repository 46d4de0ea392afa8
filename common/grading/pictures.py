"""Test images that were answered wrongly, for a person to look at."""

from typing import Any

import numpy as np

from common.data.arrays import LabelledImages
from common.data.pixels import encode_pixels
from common.grading.sandbox.wire import Answers, LogitAnswers
from common.metrics import confidence_and_correct

# Of one's own runs; a student sees fewer of them.
GALLERY_SIZE = 24


def most_confident_errors(
    answers: Answers, test_set: LabelledImages, limit: int = GALLERY_SIZE
) -> list[dict[str, Any]]:
    """Return the wrong answers that were given with the most confidence, with the images."""
    wrong = np.flatnonzero(answers.classes != test_set.targets)
    return pictured(wrong, answers, test_set, limit)


def pictured(
    indices: np.ndarray, answers: Answers, test_set: LabelledImages, limit: int
) -> list[dict[str, Any]]:
    """Return those of ``indices`` whose answers are the most certain: images and answers.

    Answers without probabilities come in the order of the images.
    """
    confidence = None
    if isinstance(answers, LogitAnswers):
        confidence, _ = confidence_and_correct(answers.logits, test_set.targets)
        # A stable sort: equal confidences stay in the order of the images on every machine.
        indices = indices[np.argsort(-confidence[indices], kind="stable")]
    return [
        {
            "index": int(index),
            "true": int(test_set.targets[index]),
            "predicted": int(answers.classes[index]),
            "probability": None if confidence is None else float(confidence[index]),
            "pixels": encode_pixels(test_set.images[index]),
        }
        for index in indices[:limit]
    ]
