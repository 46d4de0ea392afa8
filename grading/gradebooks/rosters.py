"""A platform's own list of its students, and whose submission is whose by it.

The list is the platform's CSV export. Whose a submission is, is never a guess: what fits two fits
none.
"""

import codecs
import csv
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath
from typing import NamedTuple

from common.measuring import Row
from common.support.errors import UserError
from common.support.text import name_key, quoted
from grading.gradebooks.spreadsheets import is_formula

Pairs = list[tuple[str, str]]

# What tells that another encoding was read as Windows-1252: words without a plain letter, symbols
# within words, and capitals between or behind small letters.
_MISREAD = re.compile(
    r"(?<![A-Za-z])[^\W\d_a-zA-Z]{2,}(?![A-Za-z])"
    r"|[^\W\d_]([^\x00-\x7f\w\s’][^\W\d_]|[‚„†‡ˆ‰‹¡¢£¤¿])"
    r"|[a-zß-öø-ÿ][À-ÖØ-ÞŒŠŽŸ]|[A-Z][À-ÖØ-ÞŒŠŽŸ][a-z]"
)

# lastfirst[_LATE]_<user id>_<file id>_<title>, where a student chooses only the title.
_CANVAS_FILE = re.compile(r"([^_]*?)(?:_LATE)?_(\d+)_(?:\d+_.|(?:text|link)\.html$)", re.ASCII)
# <full name>_<participant>_assignsubmission_file[_<title>], likewise.
_MOODLE_FILE = re.compile(r"_(\d+)_assignsubmission_file", re.ASCII)
# All files of a student together: the name and the number alone.
_GROUP = re.compile(r"(.*)_(\d+)", re.ASCII | re.DOTALL)

# What a file has behind its author's name; in "ann.lee" nothing is.
_SUFFIXES = re.compile(
    r"(\.(pth|pt|pt2|ckpt|bin|tar|gz|safetensors|onnx|csv|txt|npy|npz|pkl|h5|keras|zip))+$", re.I
)


class Student(NamedTuple):
    """A row of the roster that can be graded."""

    line: int  # index into the rows
    number: str  # that the platform puts into the names of submissions; empty if unknown
    identifiers: list[str]  # any of which a submission may be named after
    names: list[str]  # the same, for people; the first is shown
    team: str = ""  # whose work counts for each member; empty if unknown

    @property
    def label(self) -> str:
        """How the student is called in a message."""
        return " ".join([*self.names[:1], f"({', '.join(self.identifiers[:1])})"])


class Roster(NamedTuple):
    """A CSV file of students: the header, and the rows filled up to its length."""

    path: Path
    header: list[str]
    rows: list[list[str]]
    note: str = ""  # what the reader should know of how it was read

    def error(self, problem: str) -> UserError:
        """Return the error to raise, which names the file."""
        return UserError(f"--roster {self.path}{problem}")

    def column(self, name: str) -> int:
        """Return the index of a column. Raises UserError unless exactly one has that name."""
        count = self.header.count(name)
        if count != 1:
            raise self.error(
                f" has {count or 'no'} column{'s' * (count > 1)} called {quoted(name)}, but needs "
                "one: export it from the platform again, and leave its header as it is"
            )
        return self.header.index(name)

    def student(self, line: int, number: str, identifiers: list[str], names: list[str]) -> Student:
        """Return a student; identifiers go into the platform's file as they are.

        So none may be odd, while names are shown to people alone, and can be made harmless there.
        Raises UserError if a spreadsheet would run an identifier.
        """
        identifiers, names = (
            [text.strip() for text in texts if text.strip()] for texts in (identifiers, names)
        )
        if odd := next(filter(is_formula, identifiers), None):
            raise self.error(
                f": {quoted(odd)} in row {line + 2} is a formula to a spreadsheet: change it on "
                "the platform and export again"
            )
        return Student(line, number, identifiers, names)


def read_roster(path: Path) -> Roster:
    """Read a roster, separated by commas, semicolons or tabs.

    Raises UserError if it is missing, or no CSV file with a header and rows.
    """
    try:
        text, note = _decode(path.read_bytes())
        first_line = re.sub(r'"[^"]*"', "", text).partition("\n")[0]
        delimiter = max(",;\t", key=first_line.count)
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        rows = [row for row in lines if any(row)]
    except FileNotFoundError as error:
        raise UserError(f"--roster {path}: no such file") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"--roster {path} is not UTF-8: export it again as CSV (UTF-8), without opening it in "
            "a spreadsheet program"
        ) from error
    except csv.Error as error:
        raise UserError(
            f"--roster {path} is not CSV ({error}): export it from the platform again"
        ) from error
    if len(rows) < 2 or any(len(row) > len(rows[0]) for row in rows):
        raise UserError(
            f"--roster {path} must have a header and rows, none longer than the header: export it "
            "from the platform again"
        )
    header = [cell.strip() for cell in rows[0]]
    rows = [row + [""] * (len(header) - len(row)) for row in rows[1:]]
    return Roster(path, header, rows, f"--roster {path} {note}" if note else "")


def _decode(content: bytes) -> tuple[str, str]:
    """Return a file's text, and what to say if its encoding was inferred from the text itself.

    Raises UnicodeDecodeError if it has more than one meaning, or none.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16"), ""
    start = content[:20]  # headers begin with plain letters
    for encoding, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
        if start and len(content) % 2 == 0 and not any(zeros):
            return content.decode(encoding), ""
    try:
        return content.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        text = content.decode("cp1252")
        if _MISREAD.search(text):
            raise
    return text, "is not UTF-8 and was read as Windows-1252: check the accents in the names"


class Matching(NamedTuple):
    """Submissions by the line of their student, and what fits nobody on either side."""

    by_line: dict[int, Row]
    left: list[tuple[Row, str]]  # each with the reason why it is not in the platform's file
    students_left: list[str]

    @property
    def graded(self) -> dict[int, Row]:
        """Those with a grade."""
        return {line: row for line, row in self.by_line.items() if row["status"] != "error"}


def canvas_pairs(name: str) -> Pairs:
    """Return whom a name that Canvas gave can mean: pairs of a person's name and number."""
    found = _CANVAS_FILE.match(name)
    return [(found[1], found[2])] if found else []


def moodle_pairs(name: str) -> Pairs:
    """Return whom a name that Moodle gave can mean, likewise."""
    # A student who can edit the full name can put such a pair into it, so there may be several.
    return [(name[: found.start()], found[1]) for found in _MOODLE_FILE.finditer(name)]


def match(
    results: list[Row], students: list[Student], pairs_of: Callable[[str], Pairs]
) -> Matching:
    """Find the one student of each submission.

    What the platform itself says of the student (``row["student"]``) decides; else the number that
    it put into the name of the submission; else a name or identifier of the roster. Of several
    submissions of a student the only one that could be graded counts.
    """
    find = _Finder(students, pairs_of)
    reasons: dict[int, str] = {}  # by the row's number
    rows_of: dict[int, list[int]] = defaultdict(list)
    for number, row in enumerate(results):
        found = find.students(row)
        found = found or find.team(row)
        teams = {student.team for student in found.values()}
        if len(found) == 1 or (len(teams) == 1 and teams != {""} and found == find.team(row)):
            for line in found:
                rows_of[line].append(number)
            continue
        reasons[number] = "fits no student of the roster"
        if found:
            labels = [student.label for student in found.values()]
            reasons[number] = f"fits {len(labels)} students of the roster: {listed(labels)}"
    by_line: dict[int, Row] = {}
    for student in students:
        numbers = rows_of[student.line]
        graded = [number for number in numbers if results[number]["status"] != "error"]
        why = f"{quoted(student.label)} has {len(numbers)} submissions: "
        why += listed([results[number]["name"] for number in numbers])
        taken = numbers if len(numbers) == 1 else graded if len(graded) == 1 else []
        for number in taken:
            by_line[student.line] = results[number]
            why += f"; {quoted(results[number]['name'])} counts, the only one that could be graded"
        reasons |= {number: why for number in numbers if number not in taken}
    left = [(results[number], reasons[number]) for number in sorted(reasons)]
    return Matching(by_line, left, [s.label for s in students if not rows_of[s.line]])


Students = dict[int, Student]  # by their lines in the roster


class _Finder:
    """Finds the students that a submission may belong to."""

    def __init__(self, students: list[Student], pairs_of: Callable[[str], Pairs]) -> None:
        # Canvas shortens the person's name by rules of its own, so that the number alone decides;
        # in Moodle the full name stands beside it.
        self.pairs_of, self.full_names = pairs_of, pairs_of is moodle_pairs
        self.by_number: dict[str, Students] = defaultdict(dict)
        self.by_word: dict[str, Students] = defaultdict(dict)
        self.by_letters: dict[str, Students] = defaultdict(dict)
        self.by_team: dict[str, Students] = defaultdict(dict)
        for student in students:
            if student.team:
                self.by_team[name_key(student.team)][student.line] = student
            self.by_number[student.number][student.line] = student
            for word in [*student.identifiers, *student.names]:
                self.by_word[name_key(word)][student.line] = student
            for name in student.names:
                self.by_letters[_letters(name)][student.line] = student
        for index in (self.by_number, self.by_letters):
            index.pop("", None)

    def students(self, row: Row) -> Students:
        key = row.get("student", "")
        if not isinstance(key, str):
            return self._of_identifiers(key)
        name = PurePath(row["name"]).name  # of equal names the rows' have their folders
        pairs = self.pairs_of(name)
        found: Students = {}
        for person, number in pairs:
            found |= self._of_pair(person, number, certain=True)
        if group := _GROUP.fullmatch(name):
            # Any folder may be called so. It is the platform's own if the name of its first upload
            # says the same; else it counts only beside its student's name.
            upload = row.get("upload") or row.get("source", "")
            said = self.pairs_of(PurePath(upload).name)
            found |= self._of_pair(group[1], group[2], certain=group.groups() in said)
        if not pairs:
            words = [key] if key and not group else [name, _SUFFIXES.sub("", name)]
            for word in set(map(name_key, words)):
                found |= self.by_word.get(word, {})
        return found

    def team(self, row: Row) -> Students:
        """Return the members of the team that a submission is from, by the platform's name."""
        upload = PurePath(row.get("upload") or row["name"]).name
        names = {name_key(person) for person, _ in self.pairs_of(upload)}
        return {line: s for name in names for line, s in self.by_team.get(name, {}).items()}

    def _of_identifiers(self, identifiers: Iterable[str]) -> Students:
        """Return whom all identifiers mean that the roster has: two people may share a name."""
        known = [self.by_word[key] for key in map(name_key, identifiers) if key in self.by_word]
        named = {line: student for students in known for line, student in students.items()}
        common = {line: named[line] for line in named if all(line in s for s in known)}
        return common or named  # if they contradict each other, several fit

    def _of_pair(self, person: str, number: str, certain: bool) -> Students:
        if not self.by_number:
            return self.by_letters.get(_letters(person), {})
        return {
            line: student
            for line, student in self.by_number.get(number, {}).items()
            if (certain and not (self.full_names and student.names))
            or _letters(person) in map(_letters, student.names)
        }


def _letters(name: str) -> str:
    """Return what file names keep of a person's name: letters, their marks and digits."""
    return "".join(c for c in name_key(name) if unicodedata.category(c)[0] in "LMN")


def listed(names: list[str], limit: int = 3) -> str:
    """Return the first of some untrusted names, quoted, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(quoted, names[:limit])) + more
