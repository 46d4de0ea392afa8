"""From submissions to rows: open, measure behind the boundary, count, decide pass or fail."""

import functools
import hashlib
import itertools
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from common import metrics
from common.answers import Answers
from common.boundary import Boundary, Opened
from common.errors import SubmissionError
from common.files import readable
from common.image_sets import ImageSet
from common.reference import ReferenceSet
from common.submissions import Submission, open_submission

# A claim further from the measured accuracy than this many percentage points is marked.
_CLAIM_TOLERANCE = 0.5

_CONFUSED_PAIRS = 6

# What two submissions must not have in common: bytes, or answers to every image.
_FINGERPRINTS = ("sha256", "predictions_sha256")
_DUPLICATES_NAMED = 5

Row = dict[str, Any]


def ungraded_row(name: str, source: Path, kind: str, own: bool) -> Row:
    """Return the row of something that has not been measured."""
    return {
        "name": name,
        "source": readable(source),
        "kind": kind,
        "own": own,
        "status": "error",
        "reason": None,
    }


def with_answers(row: Row, answers: Answers, reference: ReferenceSet, threshold: Fraction) -> Row:
    """Return ``row`` with what the answers are worth, and what the file says of itself."""
    logits, targets, image_set = answers.logits, reference.targets, reference.image_set
    classes = logits.argmax(axis=1) if logits is not None else answers.classes
    matrix = metrics.count_confusions(targets, classes, image_set.sizes.num_classes)
    correct, total = int(matrix.trace()), int(matrix.sum())
    accuracy, claim = metrics.accuracy_percent(correct, total), answers.claimed_accuracy
    return {
        **row,
        "status": "pass" if metrics.passes(correct, total, threshold) else "fail",
        "correct": correct,
        "total": total,
        "accuracy": accuracy,
        "accuracy_ci95": metrics.wilson_ci95(correct, total),
        "loss": metrics.cross_entropy(logits, targets) if logits is not None else None,
        "per_class": metrics.per_class(matrix),
        "confusion_matrix": matrix.tolist(),
        "most_confused": metrics.most_confused(matrix, _CONFUSED_PAIRS),
        "named_confusions": metrics.named_confusions(matrix, image_set.named_pairs),
        "predictions_sha256": hashlib.sha256(classes.astype(np.uint8).tobytes()).hexdigest(),
        "architecture": answers.architecture,
        "parameters": answers.parameters,
        "epoch": answers.epoch,
        "claimed_accuracy": claim,
        "suspicious": _is_suspicious(accuracy, total, image_set),
        "claim_differs": claim is not None and abs(claim - accuracy) > _CLAIM_TOLERANCE,
        "notes": answers.text,
    }


def _is_suspicious(accuracy: float, total: int, image_set: ImageSet) -> bool:
    # On few images chance can do what no network does on many.
    known = image_set.suspicious is not None and total >= 10_000
    return known and accuracy > image_set.suspicious


def grade_all(
    submissions: dict[int, Submission],
    reference: ReferenceSet,
    threshold: Fraction,
    start_boundary: Callable[[], Boundary],
) -> Iterator[tuple[int, Row]]:
    """Yield the number and row of each submission, in the order they finish.

    Parameters
    ----------
    submissions : dict
        By number.
    reference : ReferenceSet
        Its labels stay in this process.
    threshold : Fraction
        Percent of the images that must be recognised to pass.
    start_boundary : callable
        Called only if there is a file to be read.
    """
    rows = {
        index: ungraded_row(s.name, s.source, "run" if s.is_run else "unknown", own=False)
        for index, s in submissions.items()
    }
    refused: deque[int] = deque()

    def opened() -> Iterator[Opened]:
        for index, submission in submissions.items():
            try:
                descriptor, size, kind = open_submission(submission)
                rows[index]["sha256"] = _sha256(descriptor)
            except SubmissionError as error:
                rows[index]["reason"] = str(error)
                refused.append(index)
                continue
            if not submission.is_run:
                rows[index]["kind"] = kind
            yield Opened(index, descriptor, size, kind)

    def finished() -> Iterator[tuple[int, Row]]:
        while refused:
            index = refused.popleft()
            yield index, rows[index]

    waiting = opened()
    first = next(waiting, None)
    if first is not None:
        with start_boundary() as boundary:
            for index, outcome in boundary.measure(itertools.chain([first], waiting)):
                yield from finished()
                rows[index]["isolation"] = boundary.isolation
                if isinstance(outcome, SubmissionError):
                    yield index, {**rows[index], "reason": str(outcome)}
                else:
                    yield index, with_answers(rows[index], outcome, reference, threshold)
    yield from finished()


def reuse_rows(
    submissions: list[Submission], earlier: list[Row], threshold: Fraction
) -> dict[int, Row]:
    """Return the rows of an earlier evaluation that still hold, by the submission's number.

    A row holds for a file of the same bytes and kind; what it is worth is decided anew.
    """
    known = {(row["sha256"], row["kind"]): row for row in earlier if row.get("sha256")}
    reused: dict[int, Row] = {}
    for index, submission in enumerate(submissions if known else []):
        try:
            descriptor, _, kind = open_submission(submission)
            sha256 = _sha256(descriptor)
        except SubmissionError:
            continue  # it gets its reason anew
        os.close(descriptor)
        row = known.get((sha256, "run" if submission.is_run else kind))
        if row is not None:
            row.pop("rank", None)  # of the earlier set of submissions
            reused[index] = {**row, "name": submission.name, "source": readable(submission.source)}
            if row["status"] != "error":
                passed = metrics.passes(row["correct"], row["total"], threshold)
                reused[index]["status"] = "pass" if passed else "fail"
    return reused


def mark_duplicates(rows: list[Row]) -> None:
    """Mark in each row the others with the same bytes or the same predictions; verdicts stay.

    ``duplicates`` is how many there are, ``duplicate_of`` the names of the first of them: a class
    that hands in one file would else fill gigabytes with its names.
    """
    same: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for key in _FINGERPRINTS:
            if row.get(key):
                same[row[key]].add(row["name"])

    @functools.cache
    def names(*fingerprints: str | None) -> list[str]:
        return sorted(set().union(*(same.get(value, ()) for value in fingerprints)))

    for row in rows:
        twins = names(*(row.get(key) for key in _FINGERPRINTS))
        row["duplicates"] = max(0, len(twins) - 1)
        first = [name for name in twins[: _DUPLICATES_NAMED + 1] if name != row["name"]]
        row["duplicate_of"] = first[:_DUPLICATES_NAMED]


def rank(rows: list[Row]) -> None:
    """Give each graded row its rank by images recognised; equals share one, and leave a gap."""
    scores = sorted((row["correct"] for row in rows if row["status"] != "error"), reverse=True)
    for row in rows:
        row["rank"] = scores.index(row["correct"]) + 1 if row["status"] != "error" else None


def _sha256(descriptor: int) -> str:
    """Return the checksum of an open file; one that cannot be read is closed."""
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        os.close(descriptor)
        raise SubmissionError(f"cannot be read: {error.strerror}") from error
