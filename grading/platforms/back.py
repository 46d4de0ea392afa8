"""How a platform takes grades back, as data; what fills it in is in grading/gradebooks."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

Pairs = list[tuple[str, str]]  # a person's or team's name, and a number
Cells = Sequence[str]


def no_pairs(name: str) -> Pairs:
    """Return nothing: the platform puts no number beside a name."""
    return []


def as_it_is(header: Cells, rows: Sequence[Cells]) -> Cells:
    """Return the titles of a list as they are."""
    return header


class Back(NamedTuple):
    """A platform's list of students and what is written of it; columns go by their titles.

    Rows without a grade are left out unless said otherwise, so that no import changes them.
    """

    keys: tuple[str, ...]  # what the import knows a student by; those in the list are written
    grade: str = ""  # the pattern of the grade's column; empty: a new one behind the keys
    example: str = ""  # such a column, where there is one for each assignment
    needs: str = ""  # the list, and where to get it; empty: none, the download has the keys
    names: tuple[str, ...] = ()  # that together are a person's name
    also: tuple[str, ...] = ()  # that a submission may be named after, beside the keys
    team: str = ""  # the same for all who hand in together
    maximum: str = ""  # has the points; else the pattern's group "max", else they are 100
    comment: str = ""  # gets the verdict as a text
    # What else is written with a grade: title, below the threshold, passed.
    fill: tuple[tuple[str, str, str], ...] = ()
    is_whole: bool = False  # all columns of the list are written
    until: str = ""  # the columns up to this one are written
    keeps: bool = False  # rows without a grade are written as they are
    always: str = ""  # rows that begin with it are written, though they are no student's
    lines_before: int = 0  # of the list, above the header; written as they are
    translate: Callable[[Cells, Sequence[Cells]], Cells] = as_it_is  # titles known by place
    pairs: Callable[[str], Pairs] = no_pairs  # whom a file's name can mean
    is_numbered: bool = False  # the first key ends in the number of such a pair
    are_named: bool = False  # that number counts only beside the person's name
    called: str = "{}"  # what the download makes of the key
    mark: str = ""  # stands before keys in the list, and is no part of them
    unit: str = ""  # behind the grade
    decimals: int = 9  # at most
    is_local: bool = False  # separator and decimal sign are those of the list
    is_quoted: bool = True  # else no cell may have a separator, a quote or a line's end
    has_header: bool = True
    encoding: str = "utf-8"
    zipped: str = ""  # the file's name in a zip file, which the platform takes instead
