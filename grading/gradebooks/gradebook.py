"""Grades as files beside the evaluation: grades.csv for people, and one for a course platform."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from common.support.errors import UserError
from common.support.files import atomic_write
from common.support.text import (
    accuracy_text,
    folder_names,
    preprocessing_text,
    quoted,
    shorten,
    terminal_safe,
)
from grading.gradebooks.gradescope import gradescope_results
from grading.gradebooks.late import mark_late
from grading.gradebooks.matching import Left
from grading.gradebooks.platforms import Canvas, Moodle
from grading.gradebooks.rosters import read_roster
from grading.gradebooks.spreadsheets import spreadsheet_cell

COLUMNS = (
    *("name", "status", "accuracy", "interval", "correct", "total", "reason", "sha256"),
    "preprocessing",
)
# Where the platform says whose a submission is; and with a due date, empty without a known time.
STUDENT_COLUMN, LATE_COLUMN = "student", "late"
# The last column beside a file made from a roster: why a submission is not in that file.
GRADEBOOK_COLUMN = "gradebook"
FORMATS = ("canvas", "moodle", "gradescope")

_MAX_LISTED = 20
_MAX_REASON = 100  # characters

Row = dict[str, Any]


class Written(NamedTuple):
    """What was written, and what could not be put into the platform's file."""

    lines: list[str]
    lost: list[str]  # one line a submission: name, grade and reason
    gradebook: str = ""  # the platform's file; empty if none was made from a roster

    def lost_block(self) -> list[str]:
        """Return a heading and the first of the lost submissions, to be printed last."""
        if not self.lost:
            return []
        count = len(self.lost)
        submissions = f"{count} submission{'s' * (count > 1)}"
        block = [
            f"{submissions} could not be put into {self.gradebook}: enter the grades by hand, or "
            "correct the names or the roster and run the same command again",
            *(f"  {line}" for line in self.lost[:_MAX_LISTED]),
        ]
        if count > _MAX_LISTED:
            more = count - _MAX_LISTED
            block.append(
                f"  and {more} more: all {count} are in grades.csv, in the column "
                f'"{GRADEBOOK_COLUMN}"'
            )
        return block


class Gradebook:
    """The files to write, checked before anything is graded.

    Without a platform (one of FORMATS) that is grades.csv alone. Canvas and Moodle need their
    roster, since grades go in under their own ids; ``assignment`` is the column for the grades.

    Raises UserError if the three do not go together, or the roster is not the platform's.
    """

    def __init__(self, platform: str | None, roster: Path | None, assignment: str | None) -> None:
        kinds: dict[str | None, type[Canvas] | type[Moodle]] = {"canvas": Canvas, "moodle": Moodle}
        kind = kinds.get(platform)
        if kind and roster is None:
            raise UserError(
                f"--format {platform} needs --roster FILE, the platform's own CSV export"
            )
        if not kind and (roster or assignment):
            raise UserError("--roster and --assignment go with --format canvas or moodle")
        self.platform = platform
        self.roster = kind(read_roster(roster), assignment) if kind and roster else None

    def mark_late(self, rows: list[Row], due: datetime | None) -> list[str]:
        """Mark in each row whether it came after ``due``; return the lines that say so."""
        if due is None:
            return []
        if isinstance(self.roster, Moodle):
            self.roster.stamp(rows, due)
        return [mark_late(rows, due)]

    def write(self, document: dict[str, Any], folder: Path) -> Written:
        """Write every file into ``folder``; return what was written and what is not in it."""
        results, threshold = document["results"], document["threshold"]
        if self.platform == "gradescope":
            return Written(
                [_write_grades(folder, document), _write_gradescope(folder, document)], []
            )
        if self.roster is None:
            return Written([_write_grades(folder, document)], [])
        name = f"{self.platform}.csv"
        table, matching = self.roster.table(results, threshold)
        why = {item.row["name"]: f"not in {name}: {item.why}" for item in matching.left}
        lines = [_write_grades(folder, document, why), _write(folder / name, csv_text(table))]
        if note := self.roster.roster.note:
            lines.append(note)
        if labels := matching.students_left:
            lines.append(_without_submission(labels))
        grades_first = sorted(matching.left, key=lambda item: item.row["status"] == "error")
        return Written(lines, [_lost_line(item, threshold) for item in grades_first], name)


def grades_csv(results: list[Row], threshold: float, lost: dict[str, str] | None = None) -> str:
    """Return one line a submission, sorted by name, every cell quoted and none a formula.

    ``lost`` gives the last column, by the names of rows; without it there is no such column.
    """
    has_students = any("student" in row for row in results)
    has_due = any("late" in row for row in results)
    header = [*COLUMNS, *[STUDENT_COLUMN] * has_students, *[LATE_COLUMN] * has_due]
    header += [GRADEBOOK_COLUMN] * (lost is not None)
    lines = []
    for row in sorted(results, key=lambda row: row["name"]):
        graded = row["status"] != "error"
        figures = ["", "", "", ""]
        if graded:
            interval = "{:.2f} - {:.2f}".format(*row["accuracy_ci95"])
            accuracy = accuracy_text(row["accuracy"], threshold)
            figures = [accuracy, interval, row["correct"], row["total"]]
        reason = spreadsheet_cell(row["reason"] or "")
        name = spreadsheet_cell(row["name"])
        measured = spreadsheet_cell(preprocessing_text(row.get("preprocessing")))
        line = [name, row["status"], *figures, reason, row.get("sha256", ""), measured]
        if has_students:
            line.append(spreadsheet_cell(", ".join(row.get("student", []))))
        if has_due:
            line.append({True: "yes", False: "no", None: ""}[row["late"]])
        if lost is not None:
            line.append(spreadsheet_cell(lost.get(row["name"], "")))
        lines.append(line)
    return csv_text([header, *lines])


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Return rows as CSV with every cell quoted."""
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def _write_grades(
    folder: Path, document: dict[str, Any], lost: dict[str, str] | None = None
) -> str:
    return _write(
        folder / "grades.csv", grades_csv(document["results"], document["threshold"], lost)
    )


def _write_gradescope(folder: Path, document: dict[str, Any]) -> str:
    folders = folder_names([row["name"] for row in document["results"]])
    for row, name in zip(document["results"], folders, strict=True):
        results = gradescope_results(row, document["threshold"])
        _write(folder / "gradescope" / name / "results.json", results)
    return f"Wrote {len(document['results'])} results.json in {folder / 'gradescope'}"


def _without_submission(labels: list[str]) -> str:
    named = ", ".join(map(quoted, labels[:_MAX_LISTED]))
    more = f" and {len(labels) - _MAX_LISTED} more" if len(labels) > _MAX_LISTED else ""
    who = "student of the roster has" if len(labels) == 1 else "students of the roster have"
    return f"{len(labels)} {who} no submission: {named}{more}"


def _lost_line(item: Left, threshold: float) -> str:
    row = item.row
    if row["status"] == "error":
        grade = f"error: {shorten(terminal_safe(row['reason']), _MAX_REASON)}"
    else:
        grade = f"{accuracy_text(row['accuracy'], threshold)} %, {row['status']}"
    return f"{quoted(row['name'])} ({grade}): {item.why}"


def _write(path: Path, text: str) -> str:
    atomic_write(path, text.encode())
    return f"Wrote {path}"
