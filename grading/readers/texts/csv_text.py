"""Text as a table of cells, in any usual encoding and with any usual delimiter.

The bytes are hostile. All that is done with them takes time in proportion to their number.
"""

import codecs
import contextlib
import csv
import io
import re
from collections.abc import Iterator
from itertools import chain, islice

from common.support.errors import SubmissionError
from common.support.text import terminal_safe
from grading.readers.tables.cells import is_numeric, spelled_number
from grading.readers.tables.foreign import FIRST_LINE, refuse_foreign
from grading.readers.tables.nested import json_table
from grading.readers.tables.rows import Table, places
from grading.readers.texts.printed import (
    ONLY_ENDS,
    is_left_out,
    printed_lists,
    unframed,
    unwrapped,
)

# A row has an id and a value for each class. Spreadsheets and pandas add some more.
_EXTRA_COLUMNS = 32
# Rows up to here are counted, so that a message can say which images they answer.
_COUNTED_ROWS = 100_000
# A number as numpy writes it takes 25 characters, 50 bytes in UTF-16.
_BYTES_PER_CELL = 64
_MOST_CELLS = 2**20  # in a line; as labels these answer any known set of test images
_HEAD_BYTES = 256 * 1024

_DELIMITERS = "\t;|,"  # in this order: a comma may be a decimal mark beside the others
_SEP_LINE = re.compile(r'"?sep=([\t;|,])"?[ \t]*(?=[\r\n])', re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+(?:[eE][+-]?[0-9]+)?")
_BLANK_CELL = re.compile(r'("(?:[^"]|"")*")|([^\s"]+)')
_COMMENT = re.compile(r"[ \t]*[#%]+[ \t]?([^\r\n]*)(\r\n|\r|\n)")
_KEY_AND_VALUE = re.compile(r"\w+:\s")  # as Octave's save writes them
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")

# A codec is imported when it is first used, and by then no file can be opened.
for _name in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "unicode_escape"):
    codecs.lookup(_name)


def read_table(content: bytes, num_images: int, num_classes: int) -> Table:
    """Return the cells of a text, its header line included; there is at least one row.

    A decimal comma is turned into a point where the comma does not separate cells. Raises
    SubmissionError if it is no text, no CSV, or far larger than so many predictions can be.
    """
    refuse_foreign(content)
    limit = _BYTES_PER_CELL * num_images * (num_classes + 3) + 2**20
    if len(content) > limit:
        raise SubmissionError(
            f"the file has {len(content) / 1e6:,.1f} MB, and {num_images:,} predictions take less "
            f"than {limit / 1e6:,.1f} MB: hand in one row for each test image and nothing else"
        )
    text = _decode(content)
    _refuse_binary(text)
    text = unwrapped(text)
    if printed := _printed(text):
        return printed
    widest, most_rows = num_classes + _EXTRA_COLUMNS, max(_COUNTED_ROWS, 2 * num_images)
    table, first, cells_read = Table([], []), 0, 0
    for line, cells in _rows(text):
        first = first or line
        if is_left_out(cells):
            raise SubmissionError(ONLY_ENDS)
        table.rows.append(cells)
        table.places.append(f"line {line}")
        # A row may be wide that holds many labels, or all.
        cells_read += len(cells)
        if len(table.rows) > 1 and cells_read > 2 * num_images:
            _refuse_wide(first, len(table.rows[0]), widest)
            _refuse_wide(line, len(cells), widest)
        if len(table.rows) > most_rows:
            raise SubmissionError(
                f"more than {most_rows:,} rows of predictions, expected {num_images:,}: hand in "
                "one for each test image"
            )
    if not table.rows:
        raise SubmissionError("the file is empty: hand in the header ImageId,Label and its rows")
    return table


def first_rows(content: bytes, count: int) -> list[list[str]]:
    """Return up to ``count`` rows from the first 256 KB, as far as they can be read."""
    head = content[:_HEAD_BYTES]
    rows: list[list[str]] = []
    text = _decode(head, "replace")
    if len(head) < len(content):  # the last line is cut, unless it is the only one
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1] or text
    with contextlib.suppress(SubmissionError):
        refuse_foreign(head)
        _refuse_binary(text)
        text = unwrapped(text)
        if printed := _printed(text):
            return printed.rows
        rows.extend(cells for _, cells in islice(_rows(text), count))
    return rows


def _refuse_binary(text: str) -> None:
    if _CONTROL.search(text):
        raise SubmissionError("a binary file, not text: export the predictions as CSV (UTF-8)")


def _decode(content: bytes, errors: str = "strict") -> str:
    head = content[:1000] if len(content) > 1 else b""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif head and not any(head[1::2]) and all(head[::2]):  # all that is ASCII in UTF-16
        encoding = "utf-16-le"
    elif head and not any(head[::2]) and all(head[1::2]):
        encoding = "utf-16-be"
    else:
        encoding = "utf-8-sig"
    try:
        return content.decode(encoding, errors)
    except UnicodeDecodeError as error:
        # No digit looks different in the encodings of Windows: a header may have them.
        line = FIRST_LINE.match(content)
        if encoding == "utf-8-sig" and line and content[line.end() :].isascii():
            return content.decode("latin-1")
        raise SubmissionError("not a text file in UTF-8: export it as CSV (UTF-8)") from error


def _printed(text: str) -> Table | None:
    """Return what JSON and printed lists say."""
    if table := json_table(text):
        return table
    rows = printed_lists(text)
    if rows is None:
        return None
    for row in rows:
        _refuse_wide(1, len(row))
    return Table(rows, places("row", len(rows)))


def _refuse_wide(line: int, cells: int, most: int = _MOST_CELLS) -> None:
    if cells > most:
        raise SubmissionError(f"line {line} has {cells:,} cells, expected 2: hand in ImageId,Label")


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of each row that is not empty."""
    named = _SEP_LINE.match(text)
    if named:
        text = text[named.end() :]  # its line break stays, so that lines are counted right
    text = unframed(_without_comments(text))
    lines = io.StringIO(text, newline="")  # iterates over lines that end in \n, \r\n or \r
    delimiter = named[1] if named else _guess_delimiter(list(islice(filter(str.strip, lines), 3)))
    lines.seek(0)
    if delimiter == " ":
        source: Iterator[tuple[int, list[str]]] = enumerate(map(_at_blanks, lines), start=1)
    else:
        source = _csv_rows(lines, delimiter)
    for line, cells in source:
        _refuse_wide(line, len(cells))
        if not any(cells):
            continue
        # In a CSV with commas only a cell in quotes can have one.
        cells = [
            c.replace(",", ".") if "," in c and _DECIMAL_COMMA.fullmatch(c) else c
            for c in map(str.strip, cells)
        ]
        if any(cells):
            yield line, cells


def _csv_rows(lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        # The error may quote the delimiter, which may be a tab.
        raise SubmissionError(
            f"line {reader.line_num} is not CSV: {terminal_safe(str(error))}; export the table anew"
        ) from error


def _at_blanks(line: str) -> list[str]:
    """Return the cells of a line between blanks; there may be some in quotes."""
    if '"' not in line:
        return line.split()
    cells = [quoted or bare for quoted, bare in _BLANK_CELL.findall(line)]
    return [cell.strip('"').replace('""', '"') for cell in cells]


def _without_comments(text: str) -> str:
    """Return a text whose first lines begin with # or % with these empty, all but a header.

    The last of them is the header if it has as many cells as the line below.
    """
    lines: list[str] = []
    position, last = 0, None
    while found := _COMMENT.match(text, position):
        lines.append(found[2])
        last = found[1]
        position = found.end()
    if last is None:
        return text
    if position == len(text) or last.startswith((",", ";", "\t", "|")):
        return text  # an index that is called "#"
    below = text[position : position + _HEAD_BYTES].split("\n", 1)[0]
    delimiter = _guess_delimiter([last, below])
    names, cells = (t.split(None if delimiter == " " else delimiter) for t in (last, below))
    are_data = bool(cells) and is_numeric(cells[-1].strip(' "'))
    is_header = are_data and len(names) == len(cells) and not _KEY_AND_VALUE.match(last)
    lines[-1] = (last if is_header else "") + lines[-1]
    return "".join(lines) + text[position:]


def _guess_delimiter(lines: list[str]) -> str:
    """Return what separates the cells of the first three lines; a comma if there is one cell each.

    The first of them may be a header, which is one cell short above R's row names.
    """
    if all(spelled_number(line.strip()) is not None for line in lines[1:] or lines):
        return ","
    for delimiter in _DELIMITERS:
        first, *counts = [line.count(delimiter) for line in lines] or [0]
        counts = counts or [first]
        if len(set(counts)) == 1 and counts[0] and first in (counts[0], counts[0] - 1):
            return delimiter
    in_header = [delimiter for delimiter in _DELIMITERS for line in lines[:1] if delimiter in line]
    words = {len(_at_blanks(line)) for line in lines[1:] or lines}
    are_numbers = all(map(is_numeric, chain.from_iterable(map(_at_blanks, lines[1:] or lines))))
    is_blank = words != {1} and (len(words) == 1 or are_numbers)
    return (*in_header, " " if is_blank else ",")[0]
