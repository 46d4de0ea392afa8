"""Grades as files beside the evaluation: grades.csv for people, and one for a course platform."""

import csv
import io
import zipfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from common.support import text
from common.support.errors import UserError
from common.support.files import atomic_write
from common.support.text import quoted
from evaluations import words
from evaluations.names import folder_names
from evaluations.rows import Row
from grading.gradebooks.feedback import gradescope_results
from grading.gradebooks.filled import Form, fill_in, form_without_list, read_form, stamp
from grading.gradebooks.late import mark_late
from grading.gradebooks.matching import Matching, listed
from grading.gradebooks.spreadsheets import spreadsheet_cell
from grading.platforms.known import PLATFORMS
from grading.platforms.upload import Platform

COLUMNS = (
    *("name", "status", "accuracy", "interval", "correct", "total", "reason", "sha256"),
    "preprocessing",
)
# The last column beside a file made from a roster: why a submission is not in that file.
GRADEBOOK_COLUMN = "gradebook"
# Those whose import is a file, and Gradescope, whose results are a file for each submission.
FORMATS = (*sorted(name for name in PLATFORMS if PLATFORMS[name].backs), "gradescope")

_MAX_LISTED = 20
_MAX_REASON = 100  # characters


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
        block = [
            f"{count} submission{'s' * (count > 1)} could not be put into {self.gradebook}: enter "
            "the grades by hand, or correct the names or the roster and run the same command again",
            *(f"  {line}" for line in self.lost[:_MAX_LISTED]),
        ]
        if count > _MAX_LISTED:
            block.append(
                f"  and {count - _MAX_LISTED} more: all {count} are in grades.csv, in the column "
                f'"{GRADEBOOK_COLUMN}"'
            )
        return block


class Gradebook:
    """The files to write, checked before anything is graded.

    Without a platform (one of FORMATS) that is grades.csv alone. Most platforms need their roster,
    since grades go in under their own ids; the others' downloads have these. ``assignment`` is the
    column for the grades.

    Raises UserError if the three do not go together, or the roster is not the platform's.
    """

    def __init__(self, platform: str | None, roster: Path | None, assignment: str | None) -> None:
        self.platform = PLATFORMS[platform] if platform else None
        self.form: Form | None = None
        if self.platform and _needs_roster(self.platform):
            if roster is None:
                needed = "--roster FILE, the platform's own CSV export"
                raise UserError(f"--format {platform} needs {needed}")
            self.form = read_form(self.platform, roster, assignment)
        elif roster or assignment:
            names = [name for name in FORMATS if _needs_roster(PLATFORMS[name])]
            raise UserError(f"--roster and --assignment go with --format {' or '.join(names)}")

    def mark_late(self, rows: list[Row], due: datetime | None) -> list[str]:
        """Mark in each row whether it came after ``due``; return the lines that say so."""
        if due is None:
            return []
        if self.form:
            stamp(self.form, rows, due)
        return [mark_late(rows, due)]

    def write(self, document: dict[str, Any], folder: Path) -> Written:
        """Write every file into ``folder``; return what was written and what is not in it."""
        results, threshold = document["results"], document["threshold"]
        if self.platform is None or not self.platform.backs:
            lines = [_write(folder / "grades.csv", grades_csv(results, threshold))]
            if self.platform:
                lines.append(_write_gradescope(results, threshold, folder / "gradescope"))
            return Written(lines, [])
        form = self.form or form_without_list(self.platform, results)
        content, matching = fill_in(form, results, threshold)
        name = f"{self.platform.name}.{'zip' if form.back.zipped else 'csv'}"
        reasons = {row["name"]: f"not in {name}: {why}" for row, why in matching.left}
        reasons |= {
            row["name"]: f"taken for {quoted(who)}, written without accents"
            for row, who in matching.without_accents
        }
        data = content.encode(form.back.encoding)
        if form.back.zipped:
            data = _zip(form.back.zipped, data)
        lines = [
            _write(folder / "grades.csv", grades_csv(results, threshold, reasons)),
            _write(folder / name, data),
            *_notes(form, matching),
        ]
        grades_first = sorted(matching.left, key=lambda item: item[0]["status"] == "error")
        return Written(lines, [_lost_line(row, why, threshold) for row, why in grades_first], name)


def _needs_roster(platform: Platform) -> bool:
    return any(back.needs for back in platform.backs)


def _notes(form: Form, matching: Matching) -> list[str]:
    notes = [form.roster.note] if form.roster.note else []
    for row, who in matching.without_accents:
        notes.append(f"{quoted(row['name'])} was taken for {quoted(who)}, written without accents")
    if labels := matching.students_left:
        who = "student of the roster has" if len(labels) == 1 else "students of the roster have"
        notes.append(f"{len(labels)} {who} no submission: {listed(labels, _MAX_LISTED)}")
    return notes


def _write_gradescope(results: list[Row], threshold: float, place: Path) -> str:
    names = folder_names([row["name"] for row in results])
    for row, name in zip(results, names, strict=True):
        _write(place / name / "results.json", gradescope_results(row, threshold))
    return f"Wrote {len(results)} results.json in {place}"


def _zip(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        # Of no time of its own, so that the same grades are the same bytes.
        archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def grades_csv(results: list[Row], threshold: float, lost: dict[str, str] | None = None) -> str:
    """Return one line a submission, sorted by name, every cell quoted and none a formula.

    ``lost`` gives the last column, by the names of rows; without it there is no such column. Nor is
    there one for what no row has: whose it is by the platform's word, and with a due date whether
    it was late, which is empty without a known time.
    """
    columns = [*COLUMNS]
    columns += [name for name in ("student", "late") if any(name in row for row in results)]
    columns += [GRADEBOOK_COLUMN] * (lost is not None)
    lines = []
    for row in sorted(results, key=lambda row: row["name"]):
        cells = {
            "name": spreadsheet_cell(row["name"]),
            "status": row["status"],
            "reason": spreadsheet_cell(row["reason"] or ""),
            "sha256": row.get("sha256", ""),
            "preprocessing": spreadsheet_cell(words.preprocessing_text(row.get("preprocessing"))),
            "student": spreadsheet_cell(_student(row)),
            "late": {True: "yes", False: "no", None: ""}[row.get("late")],
            GRADEBOOK_COLUMN: spreadsheet_cell((lost or {}).get(row["name"], "")),
        }
        if row["status"] != "error":
            cells["accuracy"] = words.accuracy_text(row["accuracy"], threshold)
            cells["interval"] = words.interval_words(row)
            cells |= {"correct": row.get("correct", ""), "total": row["total"]}
        lines.append([cells.get(name, "") for name in columns])
    return csv_text([columns, *lines])


def _student(row: Row) -> str:
    said = row.get("student", "")
    return said if isinstance(said, str) else ", ".join(said)


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Return rows as CSV with every cell quoted."""
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def _lost_line(row: Row, why: str, threshold: float) -> str:
    if row["status"] == "error":
        grade = f"error: {text.shorten(text.terminal_safe(row['reason']), _MAX_REASON)}"
    else:
        grade = f"{words.accuracy_words(row, threshold)}, {row['status']}"
    return f"{text.quoted(row['name'])} ({grade}): {why}"


def _write(path: Path, content: str | bytes) -> str:
    atomic_write(path, content.encode() if isinstance(content, str) else content)
    return f"Wrote {path}"
