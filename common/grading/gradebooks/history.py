"""A class over time: who changed since the last grading, appended to a CSV file."""

import csv
import io
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.support.errors import UserError
from common.support.files import atomic_write
from common.support.text import accuracy_text, spreadsheet_cell

COLUMNS = (
    *("graded_at", "student", "status_before", "accuracy_before", "status", "accuracy"),
    *("file_of", "sha256"),
)

# What evaluate.py itself writes beside an evaluation.
_TAKEN = ("grades.csv", "canvas.csv", "moodle.csv")

Row = dict[str, Any]


class History:
    """The lines of a history that is there already, checked before anything is graded.

    Raises UserError if ``path`` is no history.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.name in _TAKEN:
            raise UserError(_no_history(path))
        try:
            self.text = path.read_bytes().decode("utf-8-sig")
            lines = list(csv.reader(io.StringIO(self.text, newline=""), strict=True))
        except FileNotFoundError:
            self.text, lines = "", []
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(_no_history(path)) from error
        is_table = {len(line) for line in lines} <= {len(COLUMNS)}
        if not is_table or lines[:1] not in ([], [list(COLUMNS)]):
            raise UserError(_no_history(path))
        self.latest = {line[1]: dict(zip(COLUMNS, line, strict=True)) for line in lines[1:]}

    def append(self, rows: list[Row], threshold: float) -> str:
        """Add a line for each student whose grade or file changed; return a line that says so."""
        graded_at = datetime.now(UTC).isoformat(timespec="seconds")
        added = []
        for row, student in zip(rows, _students(rows), strict=True):
            before = self.latest.get(student, dict.fromkeys(COLUMNS, ""))
            graded = row["status"] != "error"
            now = {
                "status": row["status"],
                "accuracy": accuracy_text(row["accuracy"], threshold) if graded else "",
                "sha256": row.get("files_sha256", row.get("sha256", "")),
            }
            if any(before[key] != value for key, value in now.items()):
                then = (before["status"], before["accuracy"])
                values = (now["status"], now["accuracy"], _day_of_file(row), now["sha256"])
                added.append([graded_at, student, *then, *values])
        buffer = io.StringIO()
        writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerows([*([] if self.text else [COLUMNS]), *added])
        if self.text and not self.text.endswith("\n"):
            self.text += "\n"  # an editor may have left it out
        if added or not self.text:
            atomic_write(self.path, (self.text + buffer.getvalue()).encode())
        changed = "1 student" if len(added) == 1 else f"{len(added)} students"
        return f"History: {changed} changed since the last grading, in {self.path}"


def _students(rows: list[Row]) -> list[str]:
    """Return who each row is of: a resubmission has another name, but the same owner."""
    owners = [str(row.get("owner", row["name"])) for row in rows]
    times = Counter(owners)
    return [
        spreadsheet_cell(owner if times[owner] == 1 else str(row["name"]))
        for owner, row in zip(owners, rows, strict=True)
    ]


def _day_of_file(row: Row) -> str:
    """Return the day that the platform's time stamp has; without one, that of the file here."""
    if stamp := row.get("submitted_at"):
        return datetime.fromisoformat(stamp).date().isoformat()
    try:
        return datetime.fromtimestamp(Path(row["source"]).stat().st_mtime).date().isoformat()
    except (OSError, ValueError, OverflowError):
        return ""


def _no_history(path: Path) -> str:
    return f"--history {path} is no history that evaluate.py wrote: name another file"
