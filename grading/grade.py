"""From submissions to rows: open each, have it read in the sandbox, count, decide pass or fail."""

import hashlib
import itertools
import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction

from common import metrics
from common.data.arrays import LabelledImages
from common.support.errors import MachineError, PassingError, SubmissionError
from common.support.text import json_text
from evaluations.rows import Row, graded_row, ungraded_row
from grading.intake.opening import open_submission
from grading.intake.submission import Submission
from grading.preprocessing import Preprocessing
from grading.sandbox import machine
from grading.sandbox.portable.base import AnySandbox
from grading.sandbox.wire import OpenFile, close_all

# Bytes that are hashed at a time; in between, those that are being read get their answers.
_PIECE = 2**22

# What a row says of whose a file is, and of when it came.
_SAID_BY_PLATFORM = ("student", "submitted_at", "late_on_canvas", "owner", "upload", "late")


def grade_all(
    submissions: dict[int, Submission],
    test_set: LabelledImages,
    threshold: Fraction,
    preprocessing: Preprocessing,
    start_sandbox: Callable[[], AnySandbox],
) -> Iterator[tuple[int, Row | MachineError]]:
    """Yield the number and row of each submission, in the order they finish.

    In place of a row comes an error if this machine could not have the submission read.
    The labels of the test set stay in this process. ``threshold`` is in percent. The sandbox is
    started only if there is a file to read.
    """
    rows: dict[int, Row] = {}  # of those that are being read
    refused: deque[tuple[int, Row | MachineError]] = deque()

    def open_files() -> Iterator[tuple[int, list[OpenFile]] | None]:
        for index, submission in submissions.items():
            kind = "run" if submission.is_run else "unknown"
            row = ungraded_row(submission.name, submission.source, kind, own=False)
            row |= _owner_of(submission)
            try:
                files = open_submission(submission)
                rows[index] = row | (yield from _fingerprints(files, submission.note))
            except MachineError as error:
                refused.append((index, error))
            except SubmissionError as error:
                refused.append((index, refused_row(row, error)))
            else:
                yield index, files

    def refused_rows() -> Iterator[tuple[int, Row | MachineError]]:
        while refused:
            yield refused.popleft()

    waiting = open_files()
    first = next(filter(None, waiting), None)
    if first is not None:
        with start_sandbox() as sandbox:
            for index, outcome in sandbox.measure(itertools.chain([first], waiting)):
                yield from refused_rows()
                row = {**rows.pop(index), "isolation": sandbox.isolation}
                if isinstance(outcome, MachineError):
                    yield index, outcome
                    continue
                try:
                    if isinstance(outcome, SubmissionError):
                        raise outcome
                    answers, trials = outcome
                    if row["kind"] != "run":
                        row["kind"] = answers.info.kind
                    row["preprocessing"] = preprocessing.describe(answers.info, trials)
                except SubmissionError as error:
                    yield index, refused_row(row, error)
                    continue
                graded = graded_row(row, answers, test_set, threshold)
                notes = [submissions[index].note, preprocessing.note(trials), graded["notes"]]
                yield index, {**graded, "notes": "; ".join(filter(None, notes))}
    yield from refused_rows()


def refused_row(row: Row, error: SubmissionError) -> Row:
    """Return a row with the reason; one that may not hold the next time says so."""
    refused = {**row, "reason": str(error)}
    return refused | {"try_again": True} if isinstance(error, PassingError) else refused


def _owner_of(submission: Submission) -> Row:
    said: Row = {
        "student": json_text(submission.key) or list(submission.handed.students),
        "submitted_at": submission.handed.submitted_at,
        "late_on_canvas": submission.handed.is_late,
        "owner": json_text(submission.owner) if submission.owner != submission.name else "",
        "upload": json_text(submission.upload),
    }
    return {key: value for key, value in said.items() if value not in ("", [], None)}


def _fingerprints(files: list[OpenFile], note: str) -> Generator[None, None, dict[str, str]]:
    """Return the checksum of the only file, and of all that a row depends on.

    That is all files with their names, and what was noted when they were found. Of several files
    the first one's stands for the submission: others may have handed it in too.
    Yields None between pieces. Raises SubmissionError if one cannot be read; all are closed then.
    """
    sums = []
    try:
        for file in files:
            digest = hashlib.sha256()
            os.lseek(file.descriptor, 0, os.SEEK_SET)
            for start in range(0, file.size, _PIECE):
                # No more than its process is given.
                digest.update(os.read(file.descriptor, min(_PIECE, file.size - start)))
                yield
            sums.append((file.name, digest.hexdigest()))
    except OSError as error:
        close_all(files)
        if machine.lacks(error):
            raise machine.lack(error) from error
        raise SubmissionError(f"cannot be read: {error.strerror}; upload it again") from error
    return {
        "sha256": sums[0][1],
        "files_sha256": hashlib.sha256(repr((sums, note)).encode()).hexdigest(),
    }


def _at_once(pieces: Generator[None, None, dict[str, str]]) -> dict[str, str]:
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            found: dict[str, str] = end.value
            return found


def reuse_rows(
    submissions: list[Submission], earlier: list[Row], threshold: Fraction
) -> dict[int, Row]:
    """Return the rows of an earlier evaluation that still hold, by the submission's number.

    A row holds for the same files under the same names; pass or fail is decided anew.
    """
    known = {row["files_sha256"]: row for row in earlier if row.get("files_sha256")}
    reused: dict[int, Row] = {}
    for index, submission in enumerate(submissions if known else []):
        try:
            files = open_submission(submission)
            sums = _at_once(_fingerprints(files, submission.note))
            row = known.get(sums["files_sha256"])
        except (SubmissionError, MachineError):
            continue  # it gets its reason anew
        close_all(files)
        if row is not None and (row["kind"] == "run") == submission.is_run:
            # Not the rank among the earlier submissions, nor whoever handed the same file in then.
            kept = {k: v for k, v in row.items() if k not in ("rank", *_SAID_BY_PLATFORM)}
            said = {"name": submission.name, "source": json_text(submission.source)}
            reused[index] = kept | said | _owner_of(submission)
            if row["status"] != "error":
                passed = metrics.passes(row["correct"], row["total"], threshold)
                reused[index]["status"] = "pass" if passed else "fail"
    return reused
