"""Whose submission is whose, by a platform's roster. Never a guess: what fits two fits none."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import PurePath
from typing import NamedTuple

from common.measuring import Row
from common.support.text import name_key, quoted
from grading.gradebooks.rosters import Student, listed

Students = dict[int, Student]  # by their lines in the roster

# lastfirst[_LATE]_<user id>_<file id>_<title>, where a student chooses only the title.
_CANVAS_FILE = re.compile(r"([^_]*?)(?:_LATE)?_(\d+)_\d+_.", re.ASCII)
# <full name>_<participant>_assignsubmission_file[_<title>], likewise.
_MOODLE_FILE = re.compile(r"_(\d+)_assignsubmission_file", re.ASCII)
# All files of a student together: the name and the number alone.
_GROUP = re.compile(r"(.*)_(\d+)", re.ASCII | re.DOTALL)

# What a file has behind its author's name; in "ann.lee" nothing is.
_SUFFIXES = re.compile(
    r"(\.(pth|pt|pt2|ckpt|bin|tar|gz|safetensors|onnx|csv|txt|npy|npz|pkl|h5|keras|zip))+$", re.I
)


class NameReader(NamedTuple):
    """How a platform names submissions."""

    # Whom the name of a file or folder can mean: pairs of a person's name and number.
    pairs: Callable[[str], list[tuple[str, str]]]
    # Whether a number counts only beside its student's name, where the roster has it.
    full_names: bool


class Matching(NamedTuple):
    """Submissions by the line of their student, and what fits nobody on either side."""

    by_line: dict[int, Row]
    left: list[tuple[Row, str]]  # each with the reason why it is not in the platform's file
    students_left: list[str]


def _canvas_pairs(name: str) -> list[tuple[str, str]]:
    found = _CANVAS_FILE.match(name)
    return [(found[1], found[2])] if found else []


def _moodle_pairs(name: str) -> list[tuple[str, str]]:
    # A student who can edit the full name can put such a pair into it, so there may be several.
    return [(name[: found.start()], found[1]) for found in _MOODLE_FILE.finditer(name)]


# Canvas shortens the person's name by rules of its own, so that the number alone decides; in Moodle
# the full name stands beside it.
CANVAS_NAMES = NameReader(_canvas_pairs, full_names=False)
MOODLE_NAMES = NameReader(_moodle_pairs, full_names=True)


def match(results: list[Row], students: list[Student], reader: NameReader) -> Matching:
    """Find the one student of each submission.

    What the platform itself says of the student (``row["student"]``) decides; else the number that
    it put into the name of the submission; else a name or identifier of the roster. Of several
    submissions of a student the only one that could be graded counts.
    """
    find = _Finder(students, reader)
    reasons: dict[int, str] = {}  # by the row's number
    rows_of: dict[int, list[int]] = defaultdict(list)
    for number, row in enumerate(results):
        found = find.students(row)
        if len(found) == 1:
            rows_of[min(found)].append(number)
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


class _Finder:
    """Finds the students that a submission may belong to."""

    def __init__(self, students: list[Student], reader: NameReader) -> None:
        self.reader = reader
        self.by_number = _index(students, lambda s: filter(None, [s.number]))
        self.by_word = _index(students, lambda s: map(name_key, [*s.identifiers, *s.names]))
        self.by_letters = _index(students, lambda s: filter(None, map(_letters, s.names)))

    def students(self, row: Row) -> Students:
        """Return all students that fit."""
        if row.get("student"):
            return self._of_identifiers(row["student"])
        name = PurePath(row["name"]).name  # of equal names the rows' have their folders
        pairs = self.reader.pairs(name)
        found: Students = {}
        for person, number in pairs:
            found |= self._of_pair(person, number, certain=True)
        if group := _GROUP.fullmatch(name):
            # Any folder may be called so. It is the platform's own if the name of its first upload
            # says the same; else it counts only beside its student's name.
            upload = row.get("upload") or row.get("source", "")
            said = self.reader.pairs(PurePath(upload).name)
            found |= self._of_pair(group[1], group[2], certain=group.groups() in said)
        if not pairs:
            for key in {name_key(name), name_key(_SUFFIXES.sub("", name))}:
                found |= self.by_word.get(key, {})
        return found

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
            if (certain and not (self.reader.full_names and student.names))
            or _letters(person) in map(_letters, student.names)
        }


def _index(
    students: list[Student], words: Callable[[Student], Iterable[str]]
) -> dict[str, Students]:
    index: dict[str, Students] = defaultdict(dict)
    for student in students:
        for word in words(student):
            index[word][student.line] = student
    return dict(index)


def _letters(name: str) -> str:
    """Return what file names keep of a person's name: letters, their marks and digits."""
    return "".join(c for c in name_key(name) if unicodedata.category(c)[0] in "LMN")
