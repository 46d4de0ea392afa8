"""Grades as files beside the evaluation: grades.csv for people, and one for a course platform."""

import csv
import io
import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from common.grading.gradebooks.platforms import Canvas, Moodle, gradescope_results, unmatched
from common.grading.gradebooks.rosters import read_roster
from common.support.errors import UserError
from common.support.files import atomic_write
from common.support.text import accuracy_text, spreadsheet_cell

COLUMNS = ("name", "status", "accuracy", "interval", "correct", "total", "reason", "sha256")
FORMATS = ("canvas", "moodle", "gradescope")

Row = dict[str, Any]


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
            raise UserError(f"--format {platform} needs --roster, the platform's own export")
        if not kind and (roster or assignment):
            raise UserError("--roster and --assignment go with --format canvas or moodle")
        self.platform = platform
        self.roster = kind(read_roster(roster), assignment) if kind and roster else None

    def write(self, document: dict[str, Any], folder: Path) -> list[str]:
        """Write every file into ``folder``; return lines that say what was written."""
        results, threshold = document["results"], document["threshold"]
        lines = [_write(folder / "grades.csv", grades_csv(results, threshold))]
        if self.roster is not None:
            table, matching = self.roster.table(results, threshold)
            lines.append(_write(folder / f"{self.platform}.csv", csv_text(table)))
            lines += unmatched(matching)
        if self.platform == "gradescope":
            for row in results:
                result = json.dumps(gradescope_results(row, document), indent=2, allow_nan=False)
                place = folder / "gradescope" / _folder_name(row["name"])
                _write(place / "results.json", f"{result}\n")
            lines.append(f"Wrote {len(results)} results.json in {folder / 'gradescope'}")
        return lines


def grades_csv(results: list[Row], threshold: float) -> str:
    """Return one line a submission, sorted by name, every cell quoted and none a formula."""
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
        lines.append([name, row["status"], *figures, reason, row.get("sha256", "")])
    return csv_text([COLUMNS, *lines])


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Return rows as CSV with every cell quoted."""
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def _write(path: Path, text: str) -> str:
    atomic_write(path, text.encode())
    return f"Wrote {path}"


def _folder_name(name: str) -> str:
    # Percent signs for all that is odd in a path; a checksum keeps long names apart, behind a sign
    # that no name can have here.
    safe = quote(name, safe=" ")
    return safe if len(safe) <= 150 else f"{safe[:100]}@{sha256(name.encode()).hexdigest()[:16]}"
