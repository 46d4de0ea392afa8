"""A class over time: who changed since the last grading, appended to a CSV file."""

import csv
import io
import os
from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import filelock

from common.support.errors import UserError
from common.support.files import atomic_write, require_target
from common.support.text import accuracy_text
from grading.gradebooks.gradebook import csv_text
from grading.gradebooks.spreadsheets import spreadsheet_cell

COLUMNS = (
    *("graded_at", "student", "status_before", "accuracy_before", "status", "accuracy"),
    *("file_of", "sha256"),
)

# What evaluate.py itself writes beside an evaluation.
_TAKEN = ("grades.csv", "canvas.csv", "moodle.csv")

_NOBODY = dict.fromkeys(COLUMNS, "")

Row = dict[str, Any]


class History:
    """A history that may be there already, checked before anything is graded.

    Raises UserError if ``path`` is no history, or no place for one, such as that of the evaluation
    at ``output``.
    """

    def __init__(self, path: Path, output: Path) -> None:
        self.path = path.resolve()  # a link stays one
        if path.name in _TAKEN or path.suffix != ".csv" or self.path == output.resolve():
            raise UserError(
                f"--history {path} is another file's place: name one of its own, ending in .csv"
            )
        require_target(self.path)
        if not os.access(self.path.parent, os.W_OK):
            raise UserError(f"--history {path}: its folder cannot be written to: name another one")
        self._read()

    def _read(self) -> tuple[str, dict[str, dict[str, str]]]:
        """Return the text, and the last line of each student."""
        try:
            text = self.path.read_bytes().decode("utf-8-sig")
            lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        except FileNotFoundError:
            return "", {}
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(self._not_ours()) from error
        if lines[:1] not in ([], [list(COLUMNS)]) or {len(line) for line in lines} - {len(COLUMNS)}:
            raise UserError(self._not_ours())
        return text, {line[1]: dict(zip(COLUMNS, line, strict=True)) for line in lines[1:]}

    def _not_ours(self) -> str:
        return (
            f"--history {self.path} is no history as evaluate.py wrote it: put back the file as it "
            "was, without another program's changes, or name another one"
        )

    def append(self, rows: list[Row], threshold: float) -> str:
        """Add a line for each student whose grade or file changed; return a line that says so."""
        # Another grading may have added lines in the meantime.
        with filelock.FileLock(self.path.with_name(f".{self.path.name}.lock")):
            text, latest = self._read()
            added = [
                change
                for row, student in zip(rows, _students(rows), strict=True)
                if (change := _change(row, student, latest.get(student, _NOBODY), threshold))
            ]
            if added or not text:
                # An editor may have left out the last line's end.
                end = "\n" if text and not text.endswith("\n") else ""
                table = [*([] if text else [COLUMNS]), *added]
                atomic_write(self.path, f"{text}{end}{csv_text(table)}".encode())
        changed = "1 student" if len(added) == 1 else f"{len(added)} students"
        return f"History: {changed} changed since the last grading, in {self.path}"


def _change(row: Row, student: str, before: dict[str, str], threshold: float) -> list[str] | None:
    """Return the line that says how a student changed; None if nothing did."""
    graded = row["status"] != "error"
    accuracy = accuracy_text(row["accuracy"], threshold) if graded else ""
    checksum = row.get("sha256", "")
    now = (row["status"], accuracy, checksum)
    if now == (before["status"], before["accuracy"], before["sha256"]):
        return None
    graded_at = datetime.now(UTC).isoformat(timespec="seconds")
    then = (before["status"], before["accuracy"])
    return [graded_at, student, *then, row["status"], accuracy, _day_of_file(row), checksum]


def _students(rows: list[Row]) -> list[str]:
    """Return who each row is of: a resubmission has another name, but the same owner."""
    owners = [str(row.get("owner", row["name"])) for row in rows]
    times = Counter(owners)
    names = [
        owner if times[owner] == 1 else str(row["name"])
        for owner, row in zip(owners, rows, strict=True)
    ]
    cells = [spreadsheet_cell(name) for name in names]
    times = Counter(cells)
    # Two names can be the same in a cell; a checksum keeps the students apart.
    return [
        cell if times[cell] == 1 else f"{cell} ({sha256(name.encode()).hexdigest()[:8]})"
        for cell, name in zip(cells, names, strict=True)
    ]


def _day_of_file(row: Row) -> str:
    """Return the day that the platform's time stamp has; without one, that of the file here."""
    if stamp := row.get("submitted_at"):
        return datetime.fromisoformat(stamp).date().isoformat()
    try:
        return datetime.fromtimestamp(Path(row["source"]).stat().st_mtime).date().isoformat()
    except (OSError, ValueError, OverflowError):
        return ""
