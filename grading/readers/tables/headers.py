"""What stands above the rows of a table: names, and what some tools write beside them."""

import re
from typing import NamedTuple

from common.support.errors import SubmissionError
from common.support.text import quoted
from grading.readers.tables.cells import first_of_count, is_numeric, spelled_number
from grading.readers.tables.foreign import OTHER_IMAGES
from grading.readers.tables.names import kinds_of
from grading.readers.tables.rows import Table

# Orange's second line and those of DuckDB, polars and tibbles say the types.
_TYPE = re.compile(
    "continuous|discrete|string|time|[cdst]|u?(?:big|small|tiny|huge)?int(?:eger)?[0-9]*|-+"
    "|[iuf](?:8|16|32|64)|double|float[0-9]*|varchar|str|text|<(?:int|dbl|fct|chr|lgl)>"
    "|[^ ]+(?: [^ ]+)+",
    re.IGNORECASE,
)
_FLAG = re.compile("|class|meta|ignore|[imc]")
_MAX_TYPE = 1000  # characters


class Titled(NamedTuple):
    """A header, empty if there is none, and the rows below it."""

    names: list[str]
    table: Table


def split_header(table: Table, num_images: int, num_classes: int, notes: list[str]) -> Titled:
    """Return the names of the columns and the rows below; what was decided is noted."""
    first = trimmed(table.rows[0])
    if not table.has_names and is_headless(table.rows):
        _refuse_counted_from_1(first, len(table.rows), num_images, num_classes)
        if not _is_counted(first, len(table.rows), num_images, num_classes):
            return Titled([], table)
        if first[:1] != [""] and kinds_of(first).groups == []:
            notes.append(f"the first line, {quoted(','.join(first))}, was read as pandas' header")
    rest = _below(table, 1)
    for _ in range(2):  # the lines of types, as frames have one below the names
        if rest.rows and len(first) >= len(rest.rows[0]) and _are_types(rest.rows[0]):
            rest = _below(rest, 1)
            if rest.rows and any(rest.rows[0]) and all(map(_FLAG.fullmatch, rest.rows[0])):
                truths = {n for n, flag in enumerate(rest.rows[0]) if flag in ("class", "c")}
                first = [f"c#{name}" if n in truths else name for n, name in enumerate(first)]
                rest = _below(rest, 1)
    return Titled(_with_row_names(first, rest), rest)


def trimmed(row: list[str]) -> list[str]:
    """Return a row without the empty cells at its end."""
    return row[: max((n for n, cell in enumerate(row, start=1) if cell), default=0)]


def _below(table: Table, lines: int) -> Table:
    return Table(table.rows[lines:], table.places[lines:])


def is_headless(rows: list[list[str]]) -> bool:
    """Tell whether the first row has numbers and no names, unless it counts columns or classes."""
    if not all(is_numeric(c) or spelled_number(c) is not None for c in rows[0] if c):
        return False
    # Classes like "0 - zero" may be the names of columns.
    spelled = [sum(spelled_number(cell) is not None for cell in row) for row in rows[:2]]
    return spelled[0] < 2 or spelled[1:] != [0]


def _is_counted(first: list[str], rows: int, images: int, classes: int) -> bool:
    """Tell whether the first row has the numbers of columns or of classes, in any order."""
    has_index = first[0] == ""
    names = [name.removesuffix(".0") for name in first[has_index:]]
    # A single 0 can be a label, and 0,1 an id and its label.
    is_certain = has_index or len(names) > 2 or rows - 1 in (images, *OTHER_IMAGES)
    counted = [str(n) for n in range(len(names))]
    is_order = len(names) == classes > 2 and rows != images and sorted(names) == sorted(counted)
    return is_certain and (names == counted or is_order)


def _refuse_counted_from_1(first: list[str], rows: int, images: int, classes: int) -> None:
    names = first[first[:1] == [""] :]
    if (
        rows == images + 1
        and classes > 2
        and sorted(names) == sorted(map(str, range(1, classes + 1)))
    ):
        raise SubmissionError(
            f"the columns are named 1 to {classes}, expected 0 to {classes - 1}: name them 0 to "
            f"{classes - 1} instead, with 0 for {classes} if that stands for the digit 0, or each "
            "one less if they are positions"
        )


def _are_types(row: list[str]) -> bool:
    cells = [cell for cell in row if cell]
    return bool(cells) and all(
        len(cell) <= _MAX_TYPE and not is_numeric(cell) and _TYPE.fullmatch(cell) for cell in cells
    )


def _with_row_names(names: list[str], rest: Table) -> list[str]:
    """Return the names with an empty one in front if R's or pandas' row names stand below it."""
    width = len(names) + 1
    wide = [row for row in rest.rows if len(trimmed(row)) == width]
    if 2 * len(wide) <= len(rest.rows):
        return names
    columns = [[row[n] for row in wide] for n in range(min(width, 2))]
    counts = [first_of_count(column) is not None for column in columns]
    has_ids = bool(kinds_of(names[:1]).ids)
    return ["", *names] if counts[0] and (counts[1] or not has_ids) else names
