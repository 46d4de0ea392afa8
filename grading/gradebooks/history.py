"""A class over time: who changed since the last grading, appended to a CSV file."""

import csv
import io
import os
from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import filelock

from common.support.errors import UserError
from common.support.files import atomic_write, require_target
from evaluations.rows import Row
from evaluations.words import accuracy_text
from grading.gradebooks.gradebook import csv_text
from grading.gradebooks.spreadsheets import spreadsheet_cell
from grading.platforms.known import PLATFORMS

COLUMNS = [
    *("graded_at", "student", "status_before", "accuracy_before", "status", "accuracy"),
    *("file_of", "sha256"),
]

# What evaluate.py itself writes beside an evaluation.
_TAKEN = ("grades.csv", *(f"{name}.csv" for name in PLATFORMS))


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
            if lines and (lines[0] != COLUMNS or any(len(line) != len(COLUMNS) for line in lines)):
                raise ValueError("no history")
        except FileNotFoundError:
            return "", {}
        except (OSError, ValueError, csv.Error) as error:
            raise UserError(
                f"--history {self.path} is no history as evaluate.py wrote it: put back the file "
                "as it was, without another program's changes, or name another one"
            ) from error
        return text, {line[1]: dict(zip(COLUMNS, line, strict=True)) for line in lines[1:]}

    def append(self, rows: list[Row], threshold: float) -> str:
        """Add a line for each student whose grade or file changed; return a line that says so."""
        # Another grading may have added lines in the meantime.
        with filelock.FileLock(self.path.with_name(f".{self.path.name}.lock")):
            text, latest = self._read()
            added = []
            for row, student in zip(rows, _students(rows), strict=True):
                before = latest.get(student, dict.fromkeys(COLUMNS, ""))
                now = _line_of(row, student, before, threshold)
                if any(now[key] != before[key] for key in ("status", "accuracy", "sha256")):
                    added.append([now[column] for column in COLUMNS])
            if added or not text:
                # An editor may have left out the last line's end.
                end = "\n" if text and not text.endswith("\n") else ""
                table = added if text else [COLUMNS, *added]
                atomic_write(self.path, f"{text}{end}{csv_text(table)}".encode())
        changed = f"{len(added)} student{'s' * (len(added) != 1)}"
        return f"History: {changed} changed since the last grading, in {self.path}"


def _line_of(row: Row, student: str, before: dict[str, str], threshold: float) -> dict[str, str]:
    graded = row["status"] != "error"
    return {
        "graded_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "student": student,
        "status_before": before["status"],
        "accuracy_before": before["accuracy"],
        "status": row["status"],
        "accuracy": accuracy_text(row["accuracy"], threshold) if graded else "",
        "file_of": _day_of_file(row),
        "sha256": row.get("sha256", ""),
    }


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
