"""A platform's own list of its students, and whose submission is whose. Never a guess."""

import csv
import io
import re
from collections import Counter, defaultdict
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from common.errors import UserError
from common.escaping import is_formula, quoted

# Names that platforms give to what their students hand in; a student chooses only what follows.
# Canvas: lastfirst[_LATE]_<user id>_<submission id>_<file>; Moodle: <name>_<participant>_assign...
_PLATFORM_NAMES = (
    re.compile(r"[^_]*(?:_LATE)?_(\d+)_\d+_."),
    re.compile(r".+?_(\d+)_assignsubmission_"),
)


class Roster(NamedTuple):
    """A CSV file of students: the header, and the rows filled up to its length."""

    path: Path
    header: list[str]
    rows: list[list[str]]

    def column(self, name: str) -> int:
        """Return the index of a column.

        Raises
        ------
        UserError
            If there is none, or more than one, of that name.
        """
        if self.header.count(name) != 1:
            raise UserError(
                f"--roster {self.path} has {self.header.count(name)} columns called "
                f"{quoted(name)}, expected one: is it the platform's own export?"
            )
        return self.header.index(name)


class Student(NamedTuple):
    """A row of the roster that can be graded."""

    line: int  # index into the rows
    number: str  # that the platform puts into the names of submissions
    identifiers: list[str]  # any of which a submission may be named after


class Matching(NamedTuple):
    """Submissions by the line of their student, and what fits nobody on either side."""

    by_line: dict[int, dict[str, Any]]
    submissions_left: list[str]
    students_left: list[str]


def read_roster(path: Path) -> Roster:
    """Read a roster, separated by commas or semicolons.

    Raises
    ------
    UserError
        If it is missing, or no CSV file with a header and rows.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(f"--roster {path}: no such file") from error
    except UnicodeDecodeError as error:
        raise UserError(f"--roster {path} is not UTF-8: export it as CSV (UTF-8)") from error
    first_line = text.partition("\n")[0]
    delimiter = ";" if first_line.count(";") > first_line.count(",") else ","
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise UserError(f"--roster {path} is not CSV: {error}") from error
    rows = [row for row in rows if any(row)]
    if len(rows) < 2 or any(len(row) > len(rows[0]) for row in rows):
        raise UserError(f"--roster {path} must have a header and rows of no more cells than that")
    header = [cell.strip() for cell in rows[0]]
    return Roster(path, header, [row + [""] * (len(header) - len(row)) for row in rows[1:]])


def make_student(
    roster: Roster, line: int, number: str, identifiers: list[str], names: list[str]
) -> Student:
    """Return a student; identifiers go into the platform's file as they are, so none may be odd.

    Names are shown to people alone, and can be made harmless there.

    Raises
    ------
    UserError
        If a spreadsheet would run an identifier.
    """
    known = [identifier.strip() for identifier in identifiers if identifier.strip()]
    for identifier in known:
        if is_formula(identifier):
            raise UserError(
                f"--roster {roster.path}: {quoted(identifier)} in row {line + 2} is a formula to "
                "a spreadsheet: mend it on the platform and export again"
            )
    return Student(line, number, [*known, *(name.strip() for name in names if name.strip())])


def match(results: list[dict[str, Any]], students: list[Student]) -> Matching:
    """Find the one student of each submission: by the platform's number in its name, else by name.

    A submission that fits several students, and a student whom several submissions fit, are left.
    """
    by_number = {student.number: student for student in students if student.number}
    by_identifier: dict[str, list[Student]] = defaultdict(list)
    for student in students:
        for identifier in {word.casefold() for word in student.identifiers}:
            by_identifier[identifier].append(student)
    found = []
    for row in results:
        student = _student_of(row["name"], by_number, by_identifier)
        found.append((row, student.line if student else None))
    times = Counter(line for _, line in found if line is not None)
    by_line = {line: row for row, line in found if times[line] == 1}
    return Matching(
        by_line,
        [row["name"] for row, line in found if line not in by_line],
        [s.identifiers[0] for s in students if s.line not in by_line and s.identifiers],
    )


def _student_of(
    name: str, by_number: dict[str, Student], by_identifier: dict[str, list[Student]]
) -> Student | None:
    for pattern in _PLATFORM_NAMES:
        if found := pattern.match(name):
            return by_number.get(found[1])
    for key in (name, PurePath(name).stem):
        candidates = by_identifier.get(key.casefold(), [])
        if len(candidates) == 1:
            return candidates[0]
    return None
