"""Whose submission is whose by a platform's list of students: what fits two fits none."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePath
from typing import NamedTuple

from common.support.text import quoted
from evaluations.names import name_key
from evaluations.rows import Row
from grading.gradebooks.rosters import Student
from grading.platforms.back import Back
from grading.platforms.canvas import pairs_of as canvas_pairs
from grading.platforms.moodle import pairs_of as moodle_pairs

# All files of a student together: the name and the number alone.
_GROUP = re.compile(r"(.*)_(\d+)", re.ASCII | re.DOTALL)

# What a file has behind its author's name; in "ann.lee" nothing is.
_SUFFIXES = re.compile(
    r"(\.(pth|pt|pt2|ckpt|bin|tar|gz|safetensors|onnx|csv|txt|npy|npz|pkl|h5|keras|zip))+$", re.I
)


class Matching(NamedTuple):
    """Submissions by the line of their student, and what fits nobody on either side."""

    by_line: dict[int, Row]
    left: list[tuple[Row, str]]  # each with the reason why it is not in the platform's file
    students_left: list[str]
    without_accents: list[tuple[Row, str]]  # who was found only so

    @property
    def graded(self) -> dict[int, Row]:
        """Those with a grade."""
        return {line: row for line, row in self.by_line.items() if row["status"] != "error"}


def match(
    results: list[Row],
    students: list[Student],
    back: Back,
    nobody: str = "fits no student of the roster",
) -> Matching:
    """Find the one student of each submission.

    What the platform itself says of the student (``row["student"]``) decides; else the number that
    it put into the name of the submission; else a name or identifier of the roster. Of several
    submissions of a student the only one that could be graded counts. ``nobody`` is the reason of
    those that fit nobody.
    """
    find = _Finder(students, back)
    without_accents: list[tuple[Row, str]] = []
    reasons: dict[int, str] = {}  # by the row's number
    rows_of: dict[int, list[int]] = defaultdict(list)
    for number, row in enumerate(results):
        team = find.team(row)
        found = find.students(row) | team
        if not found and len(found := find.without_accents(row)) == 1:
            without_accents += [(row, student.label) for student in found.values()]
        is_one_team = found == team and len({student.team for student in found.values()}) == 1
        if len(found) == 1 or is_one_team:
            for line in found:
                rows_of[line].append(number)
            continue
        reasons[number] = nobody
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
    students_left = [s.label for s in students if not rows_of[s.line]]
    return Matching(by_line, left, students_left, without_accents)


Students = dict[int, Student]  # by their lines in the roster


class _Finder:
    """Finds the students that a submission may belong to."""

    def __init__(self, students: list[Student], back: Back) -> None:
        # Canvas shortens the person's name by rules of its own, so that the number alone decides;
        # in Moodle the full name stands beside it.
        self.pairs_of, self.full_names = back.pairs, back.are_named
        self.by_number: dict[str, Students] = defaultdict(dict)
        self.by_word: dict[str, Students] = defaultdict(dict)
        self.by_letters: dict[str, Students] = defaultdict(dict)
        self.by_ascii: dict[str, Students] = defaultdict(dict)
        self.by_team: dict[str, Students] = defaultdict(dict)
        for student in students:
            if student.team:
                self.by_team[_letters(student.team)][student.line] = student
            self.by_number[student.number][student.line] = student
            for word in [*student.identifiers, *student.names]:
                self.by_word[name_key(word)][student.line] = student
            for name in student.names:
                self.by_letters[_letters(name)][student.line] = student
                for plain in _without_accents(name):
                    self.by_ascii[plain][student.line] = student
        for index in (self.by_number, self.by_letters, self.by_team, self.by_ascii):
            index.pop("", None)

    def students(self, row: Row) -> Students:
        key = row.get("student", "")
        if not isinstance(key, str):
            return self._of_identifiers(key)
        # The numbers of Canvas and Moodle mean nothing to another platform.
        is_number = canvas_pairs(_upload(row)) or moodle_pairs(_upload(row))
        if key and not is_number:
            return self.by_word.get(name_key(key), {})
        name = _name(row)
        pairs = self.pairs_of(name)
        found: Students = {}
        for person, number in pairs:
            found |= self._of_pair(person, number, certain=True)
        if group := _GROUP.fullmatch(name):
            # Any folder may be called so. It is the platform's own if the name of its first upload
            # says the same; else it counts only beside its student's name.
            said = self.pairs_of(_upload(row))
            found |= self._of_pair(group[1], group[2], certain=group.groups() in said)
        if not pairs and not is_number:
            for word in {name_key(name), name_key(_SUFFIXES.sub("", name))}:
                found |= self.by_word.get(word, {})
        return found

    def without_accents(self, row: Row) -> Students:
        """Return whose name it would be without accents, if it is written in ASCII."""
        key = row.get("student") or _SUFFIXES.sub("", _name(row))
        letters = _letters(key) if isinstance(key, str) else ""
        found = self.by_ascii.get(letters, {})
        return found | self.by_letters.get(letters, {}) if found else {}

    def team(self, row: Row) -> Students:
        """Return the members of the team that a submission is from, by the platform's name."""
        upload = PurePath(row.get("upload") or row["name"]).name
        names = {_letters(person) for person, _ in self.pairs_of(upload)}
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


def _name(row: Row) -> str:
    return PurePath(row["name"]).name  # of equal names the rows' have their folders


def _upload(row: Row) -> str:
    return PurePath(row.get("upload") or row.get("source", "")).name


def _letters(name: str) -> str:
    """Return what file names keep of a person's name: letters, their marks and digits."""
    return "".join(c for c in name_key(name) if unicodedata.category(c)[0] in "LMN")


# What has no plain letter within it by Unicode, or two ways to be written.
_PLAIN = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ı": "i"})
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


def _without_accents(name: str) -> set[str]:
    """Return the letters of a name as ASCII, in each way that platforms write them."""
    letters = _letters(name)
    ways = {letters, letters.translate(_UMLAUTS)}
    plain = {unicodedata.normalize("NFKD", way.translate(_PLAIN)) for way in ways}
    return {way for text in plain if (way := _letters_alone(text)).isascii()} - {letters}


def _letters_alone(text: str) -> str:
    return "".join(c for c in text if unicodedata.category(c)[0] in "LN")


def listed(names: list[str], limit: int = 3) -> str:
    """Return the first of some untrusted names, quoted, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(quoted, names[:limit])) + more
