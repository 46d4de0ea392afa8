"""From a network's answers to a row of an evaluation: counted, pictured and compared; no torch."""

import hashlib
import math
import sys
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common import metrics
from common.data.arrays import LabelledImages
from common.data.pixels import encode_pixels
from common.metrics import confidence_and_correct
from common.support.errors import SubmissionError
from common.support.text import json_text

# Images in the gallery of one's own run; a student sees fewer of them.
GALLERY_SIZE = 24
_ERRORS_SHOWN = 12
# Of one's own run, images behind the cells of its confusion matrix: in all, and of one cell.
_CONFUSED_SIZE, _IN_A_CELL = 160, 6
_CONFUSED_PAIRS = 6

# Images that a claimed accuracy was measured on, where the file does not say: those that the
# recipes hold out.
_CLAIMED_ON = 5000
# Percent by which one network's accuracy on two sets of images may differ beyond chance.
_SETS_DIFFER = 1

Row = dict[str, Any]


class FileInfo(NamedTuple):
    """What a network's file says of itself, and what was done to read it."""

    kind: str = ""  # checkpoint, safetensors, onnx, predictions
    architecture: str | None = None
    parameters: int | None = None
    epoch: int | None = None
    claimed_accuracy: float | None = None  # percent
    claimed_total: int | None = None  # images that it was measured on
    notes: str = ""
    file: int = 0  # which of a submission's files counted
    is_guess: bool = False  # a network rebuilt by shapes, whose activations nobody said
    chosen: int = 0  # how the normalisation of its inputs was chosen (grading.sandbox.wire)
    mean: float = math.nan
    std: float = math.nan


class LogitAnswers(NamedTuple):
    """A network's answers."""

    logits: np.ndarray  # float32 [N, C]
    info: FileInfo = FileInfo()

    @property
    def classes(self) -> np.ndarray:
        """The predicted classes, int64 [N]."""
        return self.logits.argmax(axis=1)


class ClassAnswers(NamedTuple):
    """The answers of a prediction file."""

    classes: np.ndarray  # uint8 [N]
    info: FileInfo = FileInfo()


Answers = LogitAnswers | ClassAnswers


def ungraded_row(name: str, source: Path, kind: str, own: bool) -> Row:
    """Return the row of something that has not been measured."""
    return {
        "name": name,
        "source": json_text(source),
        "kind": kind,
        "own": own,
        "status": "error",
        "reason": None,
    }


def graded_row(row: Row, answers: Answers, test_set: LabelledImages, threshold: Fraction) -> Row:
    """Return ``row`` with what the answers are worth, and what the file says of itself.

    ``threshold`` is in percent.
    """
    dataset, info = test_set.dataset, answers.info
    matrix = metrics.count_confusions(test_set.targets, answers.classes, len(dataset.classes))
    correct, total = int(matrix.trace()), int(matrix.sum())
    measured, claim, loss = metrics.proportion(correct, total), info.claimed_accuracy, None
    accuracy = measured["accuracy"]
    if isinstance(answers, LogitAnswers):
        loss = metrics.cross_entropy(answers.logits, test_set.targets)
    predicted = answers.classes.astype(np.uint8).tobytes()
    return {
        **row,
        "status": "pass" if metrics.passes(correct, total, threshold) else "fail",
        **measured,
        "loss": loss,
        "per_class": metrics.per_class(matrix),
        "confusion_matrix": matrix.tolist(),
        "most_confused": metrics.most_confused(matrix, _CONFUSED_PAIRS),
        "named_confusions": metrics.named_confusions(matrix, dataset.named_pairs),
        "predictions_sha256": hashlib.sha256(predicted).hexdigest(),
        "architecture": info.architecture,
        "parameters": info.parameters,
        "epoch": info.epoch,
        "claimed_accuracy": claim,
        # On few images chance can do what no network does on many.
        "suspicious": dataset.suspicious is not None
        and total >= 10_000
        and accuracy > dataset.suspicious,
        "claim_differs": _differs(claim, info.claimed_total, measured["accuracy_ci95"]),
        "notes": info.notes,
        # What a student may see: of a private test set no image, and no answer to one.
        "misclassified": most_confident_errors(answers, test_set, _ERRORS_SHOWN)
        if test_set.is_public
        else [],
    }


def _differs(claim: float | None, total: int | None, interval: list[float]) -> bool:
    """Tell whether a claim and what was measured cannot be one network's.

    That is so if their intervals lie further apart than two sets of images differ.
    """
    if claim is None or not 0 <= claim <= 100:
        return claim is not None
    total = total or _CLAIMED_ON
    low, high = metrics.wilson_ci95(round(claim * total / 100), total)
    return high + _SETS_DIFFER < interval[0] or interval[1] + _SETS_DIFFER < low


def most_confident_errors(
    answers: Answers, test_set: LabelledImages, limit: int = GALLERY_SIZE
) -> list[dict[str, Any]]:
    """Return the wrong answers that were given with the most confidence, with the images."""
    wrong = np.flatnonzero(answers.classes != test_set.targets)
    return pictured(wrong, answers, test_set, limit)


def of_each_confusion(answers: LogitAnswers, test_set: LabelledImages) -> list[dict[str, Any]]:
    """Return errors of each pair of classes, with the images.

    First comes the most certain error of every pair, then what else of the pair confused most
    often is shown, then of the next one, and so on: whatever is cut off, as many pairs as possible
    keep one, and those that people look at first keep all.
    """
    wrong = np.flatnonzero(answers.classes != test_set.targets)
    cells: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for error in pictured(wrong, answers, test_set, len(wrong)):
        cells.setdefault((error["true"], error["predicted"]), []).append(error)
    by_count = sorted(cells.values(), key=len, reverse=True)
    firsts, others = ([c[:1] for c in by_count], [c[1:_IN_A_CELL] for c in by_count])
    return list(chain(*firsts, *others))[:_CONFUSED_SIZE]


def pictured(
    indices: np.ndarray, answers: Answers, test_set: LabelledImages, limit: int
) -> list[dict[str, Any]]:
    """Return those of ``indices`` whose answers are the most certain: images and answers.

    Answers without probabilities come in the order of the images.
    """
    confidence, classes = None, answers.classes
    if isinstance(answers, LogitAnswers):
        confidence, _ = confidence_and_correct(answers.logits, test_set.targets)
        # A stable sort: equal confidences stay in the order of the images on every machine.
        indices = indices[np.argsort(-confidence[indices], kind="stable")]
    return [
        {
            "index": int(index),
            "true": int(test_set.targets[index]),
            "predicted": int(classes[index]),
            "probability": None if confidence is None else float(confidence[index]),
            # Of thousands of rows many have the same images: they share one string.
            "pixels": sys.intern(encode_pixels(test_set.images[index])),
        }
        for index in indices[:limit]
    ]


def check_logits(logits: np.ndarray) -> None:
    """Refuse logits [N, C] that name no class; argmax would silently call them all 0.

    Raises SubmissionError if one is NaN or infinite, or if all values are equal for every image.
    """
    broken = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(broken):
        raise SubmissionError(
            f"the answers to {len(broken):,} of {len(logits):,} images are NaN or infinite "
            f"(first: image {broken[0] + 1}): see what the network computes there, and save it anew"
        )
    if (logits == logits[:, :1]).all():
        raise SubmissionError(
            "all values of the answer are equal, for every image: save the weights after training"
        )
