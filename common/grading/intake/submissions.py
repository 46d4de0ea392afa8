"""Which submissions a path holds: one a student, with the files that may count.

Which of several files counts is decided by their content, in the submission's own process.
"""

import itertools
import os
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from common.grading.intake.platform_names import (
    canvas_group,
    canvas_order,
    gradescope_students,
    moodle_group,
)
from common.support.errors import UserError
from common.support.text import json_text

# What operating systems and programs leave in folders, and nobody hands in.
_LITTER = re.compile(
    r"__MACOSX|\._.*|\.DS_Store|Thumbs\.db|desktop\.ini|~\$.*|submission_metadata\.yml", re.I
)

# All that a training script leaves in its folder.
_RUN_FILES = {"checkpoint.pth", "metrics.json", "training_state.pth"}


class Submission(NamedTuple):
    """What a student handed in, and gets one row."""

    name: str  # of the row
    source: Path  # as given; of several files side by side, the first
    limit: Path | None  # no link may lead outside of this folder; None: the user named the file
    files: tuple[tuple[str, Path], ...] = ()  # several files side by side, by what they are called
    student: tuple[str, ...] = ()  # what the platform says of whose it is

    @property
    def is_run(self) -> bool:
        """Whether the source is a run's folder, in which ``checkpoint.pth`` counts."""
        # Unlike Path's method, this is False for whatever the system refuses to look at.
        return all(
            os.path.isfile(self.source / name) for name in ("metrics.json", "checkpoint.pth")
        )


class Found(NamedTuple):
    """What is to be graded, and what was left out because nobody hands it in."""

    submissions: list[Submission]
    left_out: list[str]


def require_outside(output: Path, paths: list[Path]) -> None:
    """Refuse to write among the submissions, which could overwrite one.

    Raises UserError if ``output`` would be in a folder that is graded, or replace a graded file.
    """
    folder = output.parent.resolve()
    for path in paths:
        real = path.resolve()
        if real in (output.resolve(), folder / "grades.csv") or (
            os.path.isdir(path) and folder.is_relative_to(real)
        ):
            raise UserError(
                f"{output} would be written among the submissions of {path}: "
                "name another place with --output"
            )


def find_submissions(paths: list[Path]) -> Found:
    """Return what is to be graded under ``paths``, sorted within each.

    A file or a run's folder is one submission; any other folder is a class's, without its hidden
    files. A folder is a run's if it holds a run's files and nothing else: one student's
    ``metrics.json`` must not make a run of everybody's folder.

    Raises UserError if a path does not exist, or a folder is empty.
    """
    found: dict[Path, Submission] = {}
    left_out: list[str] = []
    named: set[str] = set()  # absolute paths: a folder can be given in several spellings
    for path in paths:
        if not os.path.lexists(path):
            raise UserError(f"{path}: no such file or folder")
        if os.path.abspath(path) in named:
            continue
        named.add(os.path.abspath(path))
        if not os.path.isdir(path) or _is_run_and_nothing_else(path):
            found.setdefault(path, Submission(path.name or str(path), path, None))
            continue
        submissions, litter = _of_class(path)
        left_out += litter
        if not submissions:
            raise UserError(f"{path}: nothing to grade in this folder")
        for submission in submissions:
            found.setdefault(submission.source, submission)
    return Found(_with_distinct_names(list(found.values())), left_out)


def _is_run_and_nothing_else(folder: Path) -> bool:
    inside = {entry.name for entry in folder.iterdir() if not entry.name.startswith(".")}
    return "metrics.json" in inside and inside <= _RUN_FILES


def _of_class(folder: Path) -> tuple[list[Submission], list[str]]:
    """Return the submissions in a class's folder, and the names of what nobody hands in."""
    entries = sorted(folder.iterdir())
    students = gradescope_students(folder / "submission_metadata.yml")
    litter = [entry.name for entry in entries if _LITTER.fullmatch(entry.name)]
    entries = [e for e in entries if not e.name.startswith(".") and e.name not in litter]
    names = {entry.name for entry in entries}
    group_of = moodle_group
    # One name of this form may be a coincidence, and one of another may have been put beside them.
    if sum(canvas_group(name) is not None for name in names) > len(names) / 2:
        group_of = canvas_group
        entries.sort(key=lambda entry: canvas_order(entry.name))
    groups: dict[str, list[tuple[str, Path]]] = {}
    for entry in entries:
        group = group_of(entry.name)
        if group is not None and group.is_text:
            litter.append(entry.name)
            continue
        owner = group.owner if group else entry.name.removesuffix(".data")
        key = owner if group or owner in names else entry.name
        groups.setdefault(key, []).append((group.title if group else entry.name, entry))
    submissions = []
    for owner, files in groups.items():
        newest = dict(files)  # of versions of a title the last one, which is the highest
        first = next(iter(newest.values()))
        several = tuple(newest.items()) if len(newest) > 1 else ()
        name = owner if several else first.name
        student = students.get(first.name, ())
        submissions.append(Submission(name, first, folder, several, student))
    return submissions, litter


def _with_distinct_names(submissions: list[Submission]) -> list[Submission]:
    times_named = Counter(json_text(submission.name) for submission in submissions)
    names = [
        json_text(s.name if times_named[json_text(s.name)] == 1 else s.source) for s in submissions
    ]
    return [s._replace(name=n) for s, n in zip(submissions, _distinct(names), strict=True)]


def _distinct(names: list[str]) -> list[str]:
    r"""Number equal names, such as the byte FF and the four characters ``\xff``."""
    taken = Counter(names)
    for index, name in enumerate(names):
        if taken[name] > 1:
            numbered = (f"{name} ({number})" for number in itertools.count(2))
            names[index] = next(other for other in numbered if other not in taken)
            taken[name] -= 1
            taken[names[index]] = 1
    return names
