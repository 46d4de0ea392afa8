"""Prediction files: the class, or a value for each class, that a student gives to each test image.

A file is read if it has exactly one meaning, whatever wrote it: Kaggle's ``ImageId,Label`` rows,
pandas, numpy, a spreadsheet. What had to be decided is noted.
"""

from typing import NamedTuple

import numpy as np

from common.support.errors import SubmissionError
from common.support.text import quoted, shorten
from grading.readers.tables.arrays import NPY_MAGIC, as_probabilities, read_array
from grading.readers.tables.columns import (
    Column,
    choose_named,
    choose_unnamed,
    is_number,
    is_numeric,
    kinds_of,
    whole_number,
)
from grading.readers.tables.csv_text import (
    OTHER_IMAGES,
    Table,
    first_rows,
    read_table,
    refuse_other_images,
)

_SHOWN = 5
_MAX_REASON = 600  # characters
_CORRECT = ". Correct that, and hand it in again"

# Fewer rows of numbers without a header can be anything.
_LEAST_ROWS, _MOST_CLASSES = 100, 256


class Predictions(NamedTuple):
    """What a prediction file says of each test image, and how it was read."""

    values: np.ndarray  # uint8 [N] classes, or float64 [N, C] probabilities
    notes: list[str]


class _Problems:
    """Complaints in the order of the file: the first few in words, the rest as a number."""

    def __init__(self) -> None:
        self.found: list[tuple[float, str]] = []

    def add(self, order: float, text: str) -> None:
        self.found.append((order, text))

    def raise_if_any(self) -> None:
        if self.found:
            shown = [text for _, text in sorted(self.found, key=lambda item: item[0])[:_SHOWN]]
            count = len(self.found) - _SHOWN
            more = f"; and {count:,} more" if count > 0 else ""
            text = shorten("; ".join(shown), _MAX_REASON - len(more + _CORRECT))
            raise SubmissionError(f"{text}{more}{_CORRECT}")


def parse_predictions(content: bytes, num_images: int, num_classes: int) -> Predictions:
    """Return what a prediction file says, in the order of the test images.

    ``values`` are uint8 [num_images] classes, or float64 [num_images, num_classes] probabilities,
    whose rows sum to 1 and may have zeros. ``num_classes`` is at most 256. Raises SubmissionError
    if the file has no meaning, or more than one.
    """
    expected = (num_images, num_classes)
    notes: list[str] = []
    if content.startswith(NPY_MAGIC):
        values = _from_array(read_array(content), expected, notes)
    else:
        values = _from_table(read_table(content, *expected), expected, notes)
    return Predictions(values, notes)


def looks_like_predictions(content: bytes) -> bool:
    """Tell whether a text or a .npy file may be meant as predictions, right or wrong.

    Of a text only the first 256 KB are looked at. True for a header that names labels, alone or
    beside ids, for 100 or more rows of numbers that can be labels, ids and labels, or values of
    classes, and for an array that cannot be read. False for logs, reports and tables of metrics.
    """
    if content.startswith(NPY_MAGIC):
        try:
            array = np.atleast_1d(read_array(content).squeeze())[:_LEAST_ROWS]
        except SubmissionError:
            return True
        widest = array.reshape(len(array), -1)[:, : _MOST_CLASSES + 2]
        return array.ndim <= 2 and _are_answers([list(map(str, row)) for row in widest.tolist()])
    rows = first_rows(content, _LEAST_ROWS)
    if not rows or all(map(is_numeric, filter(None, rows[0]))):
        return _are_answers([[cell] for cell in rows[0]] if len(rows) == 1 else rows)
    kinds = kinds_of(rows[0])
    has_ids = bool(kinds.ids or kinds.indexes)
    if not kinds.labels:
        return len(rows[0]) - len(kinds.classes) <= has_ids
    answers = [row[kinds.labels[0]] for row in rows[1:] if len(row) > kinds.labels[0]]
    # A list of class names has ids and labels too, but is short, and its labels are no numbers.
    are_numbers = not answers or len(rows) >= _LEAST_ROWS or any(map(is_numeric, answers))
    return (has_ids or len(rows[0]) == 1) and are_numbers


def _are_answers(rows: list[list[str]]) -> bool:
    """Tell whether rows without a header may be predictions."""
    width = max(map(len, rows), default=0)
    if len(rows) < _LEAST_ROWS or width > _MOST_CLASSES + 1:
        return False
    if width > 2:
        return all(is_numeric(cell) for row in rows for cell in row if cell)
    numbers = [[-1 if (n := whole_number(cell)) is None else n for cell in row] for row in rows]
    return sum(0 <= min(row) < _MOST_CLASSES for row in numbers) > len(rows) / 2


def _from_array(array: np.ndarray, expected: tuple[int, int], notes: list[str]) -> np.ndarray:
    """Read an array [N], [N, 1] or [1, N] of labels, [N, 2] with ids, or [N, C] of values."""
    images, classes = expected
    flat = array.squeeze()
    refuse_other_images(flat.size if flat.ndim < 2 else len(flat), images)
    if expected in (array.shape, flat.shape) and not _has_ids(array.reshape(expected)):
        return as_probabilities(array.reshape(expected).astype(np.float64), notes)
    if array.dtype == bool:
        raise SubmissionError("an array of True and False: save the predicted classes instead")
    if flat.size == images and flat.ndim < 2:
        flat = flat.reshape(images, 1)
    elif flat.ndim != 2 or len(flat) != images or flat.shape[1] not in (2, classes, classes + 1):
        raise SubmissionError(
            f"an array of the shape {quoted(str(array.shape))}, expected ({images},) for classes "
            f"or ({images}, {classes}) for probabilities: save one row for each test image"
        )
    cells = [list(map(str, row)) for row in flat.tolist()]
    return _from_table(Table(cells, _places("row", images)), expected, notes)


def _has_ids(array: np.ndarray) -> bool:
    """Tell whether a column has 0 to N - 1 or 1 to N, as no column of probabilities has."""
    ids = np.arange(len(array))
    return any(
        np.array_equal(np.sort(column) - first, ids) for column in array.T for first in (0, 1)
    )


def _from_table(table: Table, expected: tuple[int, int], notes: list[str]) -> np.ndarray:
    """Read a table, with or without a header, of labels or of a value for each class."""
    images, classes = expected
    first = _trimmed(table.rows[0])
    header = [] if all(map(is_numeric, filter(None, first))) else first
    if len(table.rows) == 1 and images > 1 and len(first) > 2 and not header:  # all in one line
        if len(first) != images:
            raise SubmissionError(
                f"{len(first):,} labels in one line, expected {images:,}: hand in one for each "
                "test image"
            )
        table = Table([[cell] for cell in first], _places("value", images))
    elif header or _is_counted(first, len(table.rows), images):
        if not header:
            notes.append(f"the first line, {quoted(','.join(first))}, was read as pandas' header")
        table = Table(table.rows[1:], table.places[1:])
    if not table.rows:
        raise SubmissionError(
            f"0 rows of predictions, expected {images:,}: hand in one for each test image"
        )
    refuse_other_images(len(table.rows), images)
    problems = _Problems()
    columns = _columns(header, table, problems)
    roles = (choose_named if header else choose_unnamed)(columns, *expected)
    notes.extend(roles.notes)
    if len(table.rows) != images:
        problems.add(-1, f"{len(table.rows):,} rows of predictions, expected {images:,}")
    positions = _positions(roles.ids, table.places, images, problems, notes)
    if len(roles.values) == 1:
        answers = _labels(roles.values[0], table.places, classes, problems)
    else:
        answers = _numbers(roles.values, table.places, problems)
    problems.raise_if_any()
    ordered = np.empty_like(answers)
    ordered[positions] = answers
    return ordered if ordered.ndim == 1 else as_probabilities(ordered, notes)


def _places(unit: str, count: int) -> list[str]:
    return [f"{unit} {number}" for number in range(1, count + 1)]


def _trimmed(row: list[str]) -> list[str]:
    """Return a row without the empty cells at its end."""
    return row[: max((n for n, cell in enumerate(row, start=1) if cell), default=0)]


def _is_counted(first: list[str], rows: int, images: int) -> bool:
    """Tell whether the first row is what pandas writes above columns without names: 0, 1, 2."""
    has_index = first[0] == ""
    names = first[has_index:]
    # A single 0 can be a label, and 0,1 an id and its label.
    is_certain = has_index or len(names) > 2 or rows - 1 in (images, *OTHER_IMAGES)
    return is_certain and names == [str(n) for n in range(len(names))]


def _columns(header: list[str], table: Table, problems: _Problems) -> list[Column]:
    """Return the columns that have a name or, without a header, those of the first two rows."""
    names = header or [""] * max(len(_trimmed(row)) for row in table.rows[:2])
    width = len(names)
    expected = f"{width}: {quoted(','.join(header))}" if header else width
    rows = []
    for order, (place, cells) in enumerate(zip(table.places, table.rows, strict=True)):
        if any(cells[width:]):
            problems.add(order, f"{place} has {len(_trimmed(cells))} cells, expected {expected}")
        rows.append((cells + [""] * (width - len(cells)))[:width])
    return [Column(*pair) for pair in zip(names, zip(*rows, strict=True), strict=True)]


def _positions(
    ids: Column | None, places: list[str], images: int, problems: _Problems, notes: list[str]
) -> list[int]:
    """Return for each row which image it answers, counted from 0."""
    if ids is None:
        notes.append("no ids: the rows were taken in the order of the test images")
        return list(range(len(places)))
    numbers = [whole_number(cell) for cell in ids.cells]
    first = 0 if 0 in numbers and images not in numbers else 1
    last = images - 1 + first
    seen: dict[int, str] = {}  # the place of each id
    for order, (place, number) in enumerate(zip(places, numbers, strict=True)):
        if number is None or not first <= number <= last:
            cell = quoted(ids.cells[order])
            problems.add(order, f"{place}: id {cell} is not {first} to {last}")
        elif number in seen:
            problems.add(order, f"{place}: id {number} was on {seen[number]} already")
        else:
            seen[number] = place
    for number in range(first, last + 1):
        if number not in seen:
            problems.add(len(places), f"id {number} is missing")
    if first == 0:
        notes.append(f"ids 0 to {last:,} were counted from 0")
    return [(number or 0) - first for number in numbers]


def _labels(column: Column, places: list[str], classes: int, problems: _Problems) -> np.ndarray:
    """Return labels, uint8 [rows]; 0 where there is a problem."""
    labels = np.zeros(len(places), dtype=np.uint8)
    for order, cell in enumerate(column.cells):
        number = whole_number(cell)
        if number is not None and 0 <= number < classes:
            labels[order] = number
            continue
        whole = "a whole number from " if number is None and is_number(cell) else ""
        place = f"{places[order]}: label"
        problems.add(order, f"{place} {quoted(cell)} is not {whole}0 to {classes - 1}")
    return labels


def _numbers(columns: list[Column], places: list[str], problems: _Problems) -> np.ndarray:
    """Return the values of the classes, float64 [rows, classes]; 0 where there is a problem."""
    values = np.zeros((len(places), len(columns)))
    for order, cells in enumerate(zip(*(column.cells for column in columns), strict=True)):
        bad = next((c for c in cells if not is_number(c) or abs(float(c)) == np.inf), None)
        if bad is None:
            values[order] = [float(cell) for cell in cells]
        else:
            problems.add(order, f"{places[order]}: {quoted(bad)} is not a finite number")
    return values
