"""Prediction files: the class, or a value for each class, that a student gives to each test image.

A file is read if it has exactly one meaning, whatever wrote it: Kaggle's ``ImageId,Label`` rows,
pandas, numpy, a spreadsheet. What had to be decided is noted.
"""

from typing import NamedTuple

import numpy as np

from common.support.errors import SubmissionError
from common.support.text import quoted
from grading.readers.tables.answers import Problems, labels_of, numbers_of, positions_of
from grading.readers.tables.arrays import NPY_MAGIC, cells_of, is_npz, read_array, read_arrays
from grading.readers.tables.cells import is_numeric, label_number, whole_number
from grading.readers.tables.columns import Column, choose_named, choose_unnamed
from grading.readers.tables.foreign import refuse_other_images
from grading.readers.tables.headers import is_headless, split_header, trimmed
from grading.readers.tables.names import kinds_of
from grading.readers.tables.nested import table_of
from grading.readers.tables.rows import Table, places
from grading.readers.tables.values import as_probabilities
from grading.readers.texts.csv_text import first_rows, read_table

# Fewer rows of numbers without a header can be anything.
_LEAST_ROWS, _MOST_CLASSES = 100, 256
# Under a header: an image's label can stand behind its pixels, here up to 256 x 256 of them.
_MOST_COLUMNS = 2**16 + 2


class Predictions(NamedTuple):
    """What a prediction file says of each test image, and how it was read."""

    values: np.ndarray  # uint8 [N] classes, or float64 [N, C] probabilities
    notes: list[str]


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
    elif is_npz(content):
        values = _from_arrays(read_arrays(content), expected, notes)
    else:
        values = _from_table(read_table(content, *expected), expected, notes)
    return Predictions(values, notes)


def parse_array(array: np.ndarray, num_images: int, num_classes: int) -> Predictions:
    """Return what an array of numbers says, as of a file. Raises SubmissionError."""
    notes: list[str] = []
    return Predictions(_from_array(array, (num_images, num_classes), notes), notes)


def parse_rows(table: Table, num_images: int, num_classes: int) -> Predictions:
    """Return what a table says, as of a file. Raises SubmissionError."""
    notes: list[str] = []
    return Predictions(_from_table(table, (num_images, num_classes), notes), notes)


def looks_like_predictions(content: bytes) -> bool:
    """Tell whether a text or a .npy file may be meant as predictions, right or wrong.

    Of a text only the first 256 KB are looked at. True for a header that names labels, alone or
    beside ids, for 100 or more rows of numbers that can be labels, ids and labels, or values of
    classes, and for an array that cannot be read. False for logs, reports and tables of metrics.
    """
    if content.startswith(NPY_MAGIC) or is_npz(content):
        is_npy = content.startswith(NPY_MAGIC)
        try:
            arrays = [read_array(content)] if is_npy else list(read_arrays(content).values())
            arrays = [np.atleast_1d(array.squeeze()) for array in arrays]
        except SubmissionError:
            return True
        are_data = any(array[:1].size > _MOST_CLASSES + 1 and len(array) > 1 for array in arrays)
        return not are_data and any(map(_has_answers, arrays))
    rows = first_rows(content, _LEAST_ROWS)
    if not rows or is_headless(rows):
        return _are_answers(rows)
    rows = [row[:_MOST_COLUMNS] for row in rows]
    width, are_many = len(rows[0]), len(rows) >= _LEAST_ROWS
    has_row_names = are_many and len(trimmed(rows[1])) == width + 1
    kinds = kinds_of([""] * has_row_names + rows[0])
    width += has_row_names
    cells = [[row[n] for row in rows[1:] if len(row) > n] for n in range(width)]
    counts = [n for n in range(width) if are_many and _are_distinct(cells[n])]
    has_ids = bool(kinds.ids or kinds.indexes or counts)
    named = [*kinds.predicted, *kinds.labels]
    if not named and kinds.groups:
        return width - len(kinds.groups[0]) <= has_ids + len(kinds.truths)
    if not has_ids and width > 1 and len(named) < 2 and not kinds.truths and not kinds.groups:
        return False
    if named:
        # A list of class names has ids and labels too, but is short, and its labels are no numbers.
        answers = cells[named[0]]
        return not answers or are_many or any(map(is_numeric, answers))
    # Under an unknown name stands what answers if there is nothing else, and enough of it.
    unknown = [n for n in (*kinds.others, *kinds.truths) if n not in counts]
    return any(are_many and _are_answers([[c] for c in [*cells[n], "0"]]) for n in unknown)


def _are_distinct(cells: list[str]) -> bool:
    numbers = {whole_number(cell) for cell in cells}
    return None not in numbers and len(numbers) == len(cells)


def _has_answers(array: np.ndarray) -> bool:
    rows = array[:_LEAST_ROWS]
    widest = rows.reshape(len(rows), -1)[:, : _MOST_CLASSES + 2]
    return rows.ndim <= 2 and _are_answers(cells_of(widest))


def _are_answers(rows: list[list[str]]) -> bool:
    """Tell whether rows without a header may be predictions."""
    width = max(map(len, rows), default=0)
    if len(rows) < _LEAST_ROWS and width > 1:  # there may be several labels in a line
        rows, width = [[cell] for row in rows for cell in row], 1
    if len(rows) < _LEAST_ROWS or width > _MOST_CLASSES + 1:
        return False
    if width > 2:
        return all(is_numeric(cell) for row in rows for cell in row if cell)
    numbers = [[-1 if (n := label_number(cell)) is None else n for cell in row] for row in rows]
    return sum(0 <= min(row) < _MOST_CLASSES for row in numbers) > len(rows) / 2


def _from_array(array: np.ndarray, expected: tuple[int, int], notes: list[str]) -> np.ndarray:
    """Read an array [N], [N, 1] or [1, N] of labels, [N, 2] with ids, or [N, C] of values."""
    images, classes = expected
    flat = array.squeeze()
    refuse_other_images(flat.size if flat.ndim < 2 else len(flat), images)
    are_numbers = array.dtype.kind not in "US"
    if (
        are_numbers
        and expected in (array.shape, flat.shape)
        and not _has_ids(array.reshape(expected))
    ):
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
    return _from_table(Table(cells_of(flat), places("row", images)), expected, notes)


def _from_arrays(
    arrays: dict[str, np.ndarray], expected: tuple[int, int], notes: list[str]
) -> np.ndarray:
    """Read the only array with a row for each image, or those with names as columns."""
    rows = {name: a.reshape(len(a), -1) for name, a in arrays.items() if _answers(a, *expected)}
    if len(arrays) == 1 or not rows:
        return _from_array(next(iter(arrays.values())), expected, notes)
    if len(rows) == 1:
        ((name, array),) = rows.items()
        has_data = any(len(a) == expected[0] for a in arrays.values() if a is not array and a.ndim)
        if (kinds := kinds_of([name])).truths or (has_data and not kinds.predicted):
            truth = "is the truth by its name" if kinds.truths else "can be the true labels"
            raise SubmissionError(
                f"{quoted(name)} {truth}, and no other array has an answer for each image: save "
                "the predictions, with np.save('predictions.npy', predictions)"
            )
        notes.append(f"{quoted(name)} counted")
        return _from_array(array, expected, notes)
    table = table_of({name: cells_of(array) for name, array in rows.items()})
    if table is None:
        raise SubmissionError(f"{len(arrays)} arrays: save the one of predictions with np.save")
    return _from_table(table, expected, notes)


def _answers(array: np.ndarray, images: int, classes: int) -> bool:
    return array.ndim in (1, 2) and len(array) == images and array.size <= images * (classes + 1)


def _has_ids(array: np.ndarray) -> bool:
    """Tell whether a column has 0 to N - 1 or 1 to N, as no column of probabilities has."""
    ids = np.arange(len(array))
    return any(
        np.array_equal(np.sort(column) - first, ids) for column in array.T for first in (0, 1)
    )


def _from_table(table: Table, expected: tuple[int, int], notes: list[str]) -> np.ndarray:
    """Read a table, with or without a header, of labels or of a value for each class."""
    images, classes = expected
    header, table = split_header(table, images, classes, notes)
    if not header:
        table = _in_reading_order(table, images, classes, notes)
    if not table.rows:
        raise SubmissionError(
            f"0 rows of predictions, expected {images:,}: hand in one for each test image"
        )
    refuse_other_images(len(table.rows), images)
    problems = Problems()
    columns = _columns(header, table, problems)
    roles = (choose_named if header else choose_unnamed)(columns, *expected)
    notes.extend(roles.notes)
    if len(table.rows) != images:
        problems.add(-1, f"{len(table.rows):,} rows of predictions, expected {images:,}")
    positions = positions_of(roles.ids, table.places, images, problems, notes)
    if len(roles.values) == 1:
        answers = labels_of(roles.values[0], table.places, classes, problems)
    else:
        answers = numbers_of(roles.values, table.places, problems)
    problems.raise_if_any()
    ordered = np.empty_like(answers)
    ordered[positions] = answers
    return ordered if ordered.ndim == 1 else as_probabilities(ordered, notes)


def _in_reading_order(table: Table, images: int, classes: int, notes: list[str]) -> Table:
    """Return a row for each label of a text with several in a line; any other table as it is."""
    cells = [cell for row in table.rows for cell in trimmed(row)]
    if len(table.rows) == 1 and images > 1 and len(cells) > 2:
        if len(cells) != images:
            raise SubmissionError(
                f"{len(cells):,} labels in one line, expected {images:,}: hand in one for each "
                "test image"
            )
        return Table([[cell] for cell in cells], places("value", images))
    if len(cells) != images or len(table.rows) >= images:
        return table
    numbers = map(whole_number, cells)
    if not all(number is not None and 0 <= number <= classes for number in numbers):
        return table
    notes.append("several labels a line: they were read line by line")
    return Table([[cell] for cell in cells], places("value", images))


def _columns(header: list[str], table: Table, problems: Problems) -> list[Column]:
    """Return the columns that have a name or, without a header, those of the first two rows."""
    names = header or [""] * max(len(trimmed(row)) for row in table.rows[:2])
    width = len(names)
    expected = f"{width}: {quoted(','.join(header))}" if header else width
    rows = []
    for order, (place, cells) in enumerate(zip(table.places, table.rows, strict=True)):
        if any(cells[width:]):
            problems.add(order, f"{place} has {len(trimmed(cells))} cells, expected {expected}")
        rows.append((cells + [""] * (width - len(cells)))[:width])
    return [Column(*pair) for pair in zip(names, zip(*rows, strict=True), strict=True)]
