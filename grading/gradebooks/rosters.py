"""A platform's own list of its students: its CSV export."""

import codecs
import csv
import io
import itertools
import re
from pathlib import Path
from typing import NamedTuple

from common.support.errors import UserError
from common.support.text import quoted
from grading.gradebooks.spreadsheets import is_formula

# What tells that another encoding was read as Windows-1252: words without a plain letter, symbols
# within words, and capitals between or behind small letters.
_MISREAD = re.compile(
    r"(?<![A-Za-z])[^\W\d_a-zA-Z]{2,}(?![A-Za-z])"
    r"|[^\W\d_]([^\x00-\x7f\w\s’][^\W\d_]|[‚„†‡ˆ‰‹¡¢£¤¿])"
    r"|[a-zß-öø-ÿ][À-ÖØ-ÞŒŠŽŸ]|[A-Z][À-ÖØ-ÞŒŠŽŸ][a-z]"
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
    before: tuple[list[str], ...] = ()  # the lines above the header
    delimiter: str = ","

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
            place = line + 2 + len(self.before)
            raise self.error(
                f": {quoted(odd)} in row {place} is a formula to a spreadsheet: change it on the "
                "platform and export again"
            )
        return Student(line, number, identifiers, names)


def read_roster(path: Path, lines_before: int = 0) -> Roster:
    """Read a roster, separated by commas, semicolons or tabs, with some lines above its header.

    Raises UserError if it is missing, or no CSV file with a header and rows.
    """
    try:
        text, note = _decode(path.read_bytes())
        first_line = re.sub(r'"[^"]*"', "", text).partition("\n")[0]
        delimiter = max(",;\t", key=first_line.count)
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        before = tuple(itertools.islice(lines, lines_before))
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
    note = f"--roster {path} {note}" if note else ""
    return Roster(path, header, rows, note, before, delimiter)


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
