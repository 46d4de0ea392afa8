"""From paths to rows: find what is to be measured, measure it, decide pass or fail."""

import hashlib
import itertools
import os
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common import metrics
from common.checkpoints import Checkpoint, CheckpointError, load_checkpoint
from common.data import NUM_CLASSES, LabelledImages
from common.errors import UserError
from common.files import read_json, readable
from common.loops import Batches, predict_logits
from common.models import count_parameters
from common.pixels import encode_pixels

SUFFIXES = (".pth", ".pt")

# A claim further from the measured accuracy than this many percentage points is marked.
_CLAIM_TOLERANCE = 0.5

_GALLERY_SIZE = 24
_CONFUSED_PAIRS = 6


class Submission(NamedTuple):
    """Something to be measured: one checkpoint file, and the name of its row."""

    name: str
    source: Path  # as given: a file, or a run's folder
    own: bool  # a run of one's own, which may be chosen as the better model

    @property
    def is_run(self) -> bool:
        """Whether the source is a run's folder, in which ``checkpoint.pth`` counts."""
        return self.source.is_dir()

    @property
    def checkpoint(self) -> Path:
        """The file to load."""
        return self.source / "checkpoint.pth" if self.is_run else self.source


class Graded(NamedTuple):
    """A row of the evaluation and, where it could be measured, what later steps need."""

    row: dict[str, Any]
    correct: np.ndarray | None = None  # bool [N]: which images were recognised
    checkpoint: Checkpoint | None = None


def find_own_runs(folders: list[Path]) -> list[Submission]:
    """Return those of ``folders`` that hold a training run.

    Raises
    ------
    UserError
        If none does.
    """
    runs = [folder for folder in folders if (folder / "metrics.json").exists()]
    if not runs:
        raise UserError(
            f"no training run in {' or '.join(map(str, folders))}: run train_base.py or "
            "train_improved.py first, or name the files to grade"
        )
    return [Submission(folder.name, folder, own=True) for folder in runs]


def find_submissions(paths: list[Path]) -> list[Submission]:
    """Return what is to be graded under ``paths``, sorted within each.

    A file or a run's folder is one submission; any other folder is a collection of them, whose
    hidden files are left out.

    Raises
    ------
    UserError
        If a path does not exist, or a folder is empty.
    """
    found: list[tuple[str, Path]] = []
    for path in paths:
        if not os.path.lexists(path):
            raise UserError(f"{path}: no such file or folder")
        if not path.is_dir() or (path / "metrics.json").exists():
            found.append((path.name or str(path), path))
            continue
        entries = sorted(p for p in path.iterdir() if not p.name.startswith("."))
        if not entries:
            raise UserError(f"{path}: nothing to grade in this folder")
        found += [(entry.name, entry) for entry in entries]
    found = list(dict.fromkeys(found))
    times_named = Counter(name for name, _ in found)
    return [
        Submission(readable(name if times_named[name] == 1 else str(path)), path, own=False)
        for name, path in found
    ]


def grade(
    submission: Submission, test: LabelledImages, batches: Batches, threshold: Fraction
) -> Graded:
    """Measure a submission on the test images; what cannot be measured becomes an error row.

    Parameters
    ----------
    submission : Submission
    test : LabelledImages
        The test images, whose labels decide.
    batches : Batches
        The same images in the same order, on the device that computes.
    threshold : Fraction
        Percent of the images that must be recognised to pass.
    """
    row = {
        "name": submission.name,
        "source": readable(submission.source),
        "kind": "run" if submission.is_run else "checkpoint",
        "own": submission.own,
        "status": "error",
        "reason": None,
    }
    try:
        _check_kind(submission)
        row["sha256"] = hashlib.sha256(submission.checkpoint.read_bytes()).hexdigest()
        checkpoint = load_checkpoint(submission.checkpoint)
        logits = predict_logits(checkpoint.model.to(batches.targets.device), batches).numpy()
        if not np.isfinite(logits).all():
            raise CheckpointError("the network's answers are not all finite numbers")
        if submission.own:
            row["validation"] = _validation(submission.source)
    except (CheckpointError, UserError) as error:
        return Graded({**row, "reason": str(error)})
    except OSError as error:
        return Graded({**row, "reason": f"cannot be read: {error.strerror}"})
    row |= _measured(logits, test, threshold)
    row |= _said_by_file(checkpoint, row["accuracy"])
    targets = test.targets.numpy()
    if submission.own:
        row["misclassified"] = most_confident_errors(logits, test)
    return Graded(row, correct=logits.argmax(axis=1) == targets, checkpoint=checkpoint)


def _check_kind(submission: Submission) -> None:
    if submission.is_run:
        if not submission.checkpoint.exists():
            raise CheckpointError("the folder has no checkpoint.pth")
    elif not submission.source.is_file():
        raise CheckpointError("not a regular file")
    elif submission.source.suffix.lower() not in SUFFIXES:
        raise CheckpointError(f"unknown kind of file: hand in one of {', '.join(SUFFIXES)}")


def _measured(logits: np.ndarray, test: LabelledImages, threshold: Fraction) -> dict[str, Any]:
    targets = test.targets.numpy()
    matrix = metrics.count_confusions(targets, logits.argmax(axis=1), NUM_CLASSES)
    correct, total = int(matrix.trace()), int(matrix.sum())
    return {
        "status": "pass" if metrics.passes(correct, total, threshold) else "fail",
        "correct": correct,
        "total": total,
        "accuracy": metrics.accuracy_percent(correct, total),
        "accuracy_ci95": metrics.wilson_ci95(correct, total),
        "loss": metrics.cross_entropy(logits, targets),
        "per_class": metrics.per_class(matrix),
        "confusion_matrix": matrix.tolist(),
        "most_confused": metrics.most_confused(matrix, _CONFUSED_PAIRS),
        "named_confusions": metrics.named_confusions(matrix),
    }


def _said_by_file(checkpoint: Checkpoint, measured: float) -> dict[str, Any]:
    claim = checkpoint.claimed_accuracy
    return {
        "architecture": checkpoint.architecture,
        "parameters": count_parameters(checkpoint.model),
        "epoch": checkpoint.epoch,
        "claimed_accuracy": claim,
        "claim_differs": claim is not None and abs(claim - measured) > _CLAIM_TOLERANCE,
    }


def _validation(run: Path) -> dict[str, Any] | None:
    """Return the validation accuracy of a run's last epoch; null if it held nothing out."""
    document = read_json(run / "metrics.json")
    try:
        accuracy, total = document["history"][-1]["val_accuracy"], document["data"]["val_size"]
        if accuracy is None:
            return None
        correct = round(accuracy * total / 100)
        interval = metrics.wilson_ci95(correct, total)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(f"{run / 'metrics.json'} lacks its history or data: train again") from error
    return {
        "accuracy": accuracy,
        "accuracy_ci95": interval,
        "correct": correct,
        "total": total,
    }


def most_confident_errors(logits: np.ndarray, test: LabelledImages) -> list[dict[str, Any]]:
    """Return the wrong answers that the network was most sure of, with the images themselves."""
    probabilities = np.exp(metrics.log_softmax(logits))
    answers, targets = probabilities.argmax(axis=1), test.targets.numpy()
    confidence = probabilities.max(axis=1)
    wrong = np.flatnonzero(answers != targets)
    # A stable sort: equal confidences stay in the order of the images on every machine.
    chosen = wrong[np.argsort(-confidence[wrong], kind="stable")][:_GALLERY_SIZE]
    return [
        {
            "index": int(index),
            "truth": int(targets[index]),
            "answer": int(answers[index]),
            "probability": float(confidence[index]),
            "pixels": encode_pixels(test.images[index].numpy()),
        }
        for index in chosen
    ]


def choose_best(graded: list[Graded]) -> Graded | None:
    """Return the run of one's own with the highest validation accuracy; the first of equals.

    The test set has no say in the choice, so the accuracy measured on it stays an honest estimate.
    """
    candidates = [
        item for item in graded if item.row["own"] and item.checkpoint and item.row["validation"]
    ]
    return max(candidates, key=lambda item: item.row["validation"]["accuracy"], default=None)


def compare_runs(graded: list[Graded]) -> list[dict[str, Any]]:
    """Return McNemar's exact test for each pair of one's own runs."""
    own = [item for item in graded if item.row["own"] and item.correct is not None]
    return [
        {"a": a.row["name"], "b": b.row["name"], **metrics.mcnemar_exact(a.correct, b.correct)}
        for a, b in itertools.combinations(own, 2)
    ]
