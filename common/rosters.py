"""A platform's own list of its students, and whose submission is whose. Never a guess."""

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from common.errors import UserError
from common.escaping import is_formula, quoted

# Names that platforms give to what their students hand in; a student chooses only what follows.
# Canvas: lastfirst[_LATE]_<user id>_<submission id>_<file>; Moodle: <full name>_<participant>_...
_PLATFORM_NAMES = (
    re.compile(r"(?P<name>[^_]*?)(?:_LATE)?_(?P<number>\d+)_\d+_."),
    re.compile(r"(?P<name>.+?)_(?P<number>\d+)_assignsubmission_file"),
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
    number: str  # that the platform puts into the names of submissions; empty if unknown
    identifiers: list[str]  # any of which a submission may be named after
    names: list[str]  # the same, for people

    @property
    def label(self) -> str:
        """How the student is called in a message."""
        return " ".join([*self.names[:1], f"({', '.join(self.identifiers[:1])})"])


class Matching(NamedTuple):
    """Submissions by the line of their student, and what fits nobody on either side."""

    by_line: dict[int, dict[str, Any]]
    submissions_left: list[str]
    several: list[str]  # students with more than one submission
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
    return Student(line, number, known, [name.strip() for name in names if name.strip()])


def match(results: list[dict[str, Any]], students: list[Student]) -> Matching:
    """Find the one student of each submission: by the platform's number in its name, else by name.

    A submission that fits several students, and a student whom several submissions fit, are left.
    """
    by_number = _index(students, lambda student: [student.number] if student.number else [])
    by_word = _index(students, lambda student: [*student.identifiers, *student.names])
    found = [(row, _student_of(row["name"], by_number, by_word)) for row in results]
    times = Counter(student.line for _, student in found if student)
    by_line = {student.line: row for row, student in found if student and times[student.line] == 1}
    return Matching(
        by_line,
        [row["name"] for row, student in found if student is None],
        [student.label for student in students if times[student.line] > 1],
        [student.label for student in students if not times[student.line]],
    )


def _index(
    students: list[Student], words: Callable[[Student], list[str]]
) -> dict[str, list[Student]]:
    index: dict[str, list[Student]] = defaultdict(list)
    for student in students:
        for word in {word.casefold() for word in words(student)}:
            index[word].append(student)
    return index


def _student_of(
    name: str, by_number: dict[str, list[Student]], by_word: dict[str, list[Student]]
) -> Student | None:
    for pattern in _PLATFORM_NAMES:
        if found := pattern.match(name):
            # The number decides alone, unless the roster is one without numbers.
            if by_number:
                return _single(by_number.get(found["number"], []))
            return _single(by_word.get(found["name"].casefold(), []))
    keys = (name.casefold(), PurePath(name).stem.casefold())
    return next((student for key in keys if (student := _single(by_word.get(key, [])))), None)


def _single(candidates: list[Student]) -> Student | None:
    return candidates[0] if len(candidates) == 1 else None
