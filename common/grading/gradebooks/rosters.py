"""A platform's own list of its students, and whose submission is whose. Never a guess."""

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from common.support.errors import UserError
from common.support.text import is_formula, quoted

# Whom a platform's name of a submission can mean: pairs of a person's name and number.
NameReader = Callable[[str], list[tuple[str, str]]]

# lastfirst[_LATE]_<user id>_<submission id>_<file>, where a student chooses only the last.
_CANVAS_NAME = re.compile(r"([^_]*?)(?:_LATE)?_(\d+)_\d+_.")
_MOODLE_NUMBER = re.compile(r"_(\d+)_assignsubmission_file")
# What Moodle leaves out of a person's name when it makes a file's of it (PARAM_FILE).
_NOT_IN_FILE_NAMES = re.compile(r"""[\x00-\x1f\x7f&<>"`|':\\/]""")


class Roster(NamedTuple):
    """A CSV file of students: the header, and the rows filled up to its length."""

    path: Path
    header: list[str]
    rows: list[list[str]]

    def column(self, name: str) -> int:
        """Return the index of a column.

        Raises UserError if there is none, or more than one, of that name.
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

    Raises UserError if it is missing, or no CSV file with a header and rows.
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

    Raises UserError if a spreadsheet would run an identifier.
    """
    known = [identifier.strip() for identifier in identifiers if identifier.strip()]
    for identifier in known:
        if is_formula(identifier):
            raise UserError(
                f"--roster {roster.path}: {quoted(identifier)} in row {line + 2} is a formula to "
                "a spreadsheet: mend it on the platform and export again"
            )
    return Student(line, number, known, [name.strip() for name in names if name.strip()])


def canvas_name(name: str) -> list[tuple[str, str]]:
    """Read a name that Canvas gave; the person's is written in small letters, without spaces."""
    found = _CANVAS_NAME.match(name)
    return [(found[1], found[2])] if found else []


def moodle_name(name: str) -> list[tuple[str, str]]:
    """Read a name that Moodle gave: <full name>_<participant>_assignsubmission_file...

    A student who can edit the full name can put such a pair into it, so there may be several.
    """
    return [(name[: found.start()], found[1]) for found in _MOODLE_NUMBER.finditer(name)]


def match(
    results: list[dict[str, Any]],
    students: list[Student],
    read_name: NameReader,
    full_names: bool = False,
) -> Matching:
    """Find the one student of each submission: by the platform's number in its name, else by name.

    A submission that fits several students, and a student whom several submissions fit, are left.
    With ``full_names`` a number counts only beside its student's name, where the roster has it.
    """
    by_number = _index(students, lambda student: [student.number] if student.number else [])
    by_word = _index(students, lambda student: [*student.identifiers, *student.names])

    def student_of(name: str) -> Student | None:
        if pairs := read_name(name):
            if not by_number:
                return _single(
                    [s for person, _ in pairs for s in by_word.get(person.casefold(), [])]
                )
            numbered = [(person, s) for person, number in pairs for s in by_number.get(number, [])]
            return _single([s for person, s in numbered if not full_names or _is_named(s, person)])
        keys = (name.casefold(), PurePath(name).stem.casefold())
        return next((student for key in keys if (student := _single(by_word.get(key, [])))), None)

    found = [(row, student_of(row["name"])) for row in results]
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


def _is_named(student: Student, person: str) -> bool:
    names = [_NOT_IN_FILE_NAMES.sub("", name).casefold() for name in student.names]
    return not names or _NOT_IN_FILE_NAMES.sub("", person).casefold() in names


def _single(candidates: list[Student]) -> Student | None:
    return candidates[0] if len(candidates) == 1 else None
