"""Which columns of a table count: ids, labels, or a value for each class."""

from collections.abc import Sequence
from typing import NamedTuple

from common.support.errors import SubmissionError
from common.support.text import quoted
from grading.readers.tables.cells import (
    first_of_count,
    is_number,
    label_number,
    whole_number,
)
from grading.readers.tables.names import kinds_of, plain_name

_MAX_SHOWN = 5


class Column(NamedTuple):
    """A column under its header; the name is empty if there is none."""

    name: str
    cells: Sequence[str]


class Roles(NamedTuple):
    """The columns that count."""

    ids: Column | None  # None: the rows are in the order of the images
    values: list[Column]  # the labels alone, or a column for each class, in order
    notes: list[str]


def choose_named(columns: list[Column], num_images: int, num_classes: int) -> Roles:
    """Return the roles of the columns, which have a header.

    What a model predicted counts, by its name or as the only column of labels; never what can be
    the true labels beside it. Raises SubmissionError.
    """
    if len(columns) == 1:
        return Roles(None, columns, [])
    filled = [column for column in columns if any(column.cells)]
    ids = _ids_of(filled, num_images)
    rest = [c for c in filled if c is not ids] or [c for c in columns if c is not ids]
    values = _values_of(rest, num_classes)
    used = {id(column) for column in values}
    others = [column for column in rest if id(column) not in used]
    if ids is None and any(map(_names_rows, others)):
        raise SubmissionError(
            f"no column has the ids 1 to {num_images:,}: found {_names(columns)}. Hand in the ids "
            "under ImageId and the labels under Label, or the labels alone, in the order of the "
            "test images"
        )
    if ids and first_of_count(values[0].cells) is not None and first_of_count(ids.cells) is None:
        header = ",".join(column.name for column in columns)
        raise SubmissionError(
            f"the first line is {quoted(header)}, but the ids are under {quoted(values[0].name)}: "
            "swap the two names"
        )
    notes = [f"columns left out: {_names(others)}"] if others else []
    if len(values) > 1 and plain_name(values[0].name)[-1:] != "0":
        notes.append(f"{_names(values[:1])} was taken as class 0, as the first of {len(values)}")
    return Roles(ids, values, notes)


def choose_unnamed(columns: list[Column], num_images: int, num_classes: int) -> Roles:
    """Return the roles of columns without a header, by their cells. Raises SubmissionError."""
    columns = [column for column in columns if any(column.cells)]
    if len(columns) == 1:
        return Roles(None, columns, [])
    counts = _counts(columns, num_images)
    if len(columns) == 2:
        ids = counts or [  # ids with a fault are still the ones that are no labels
            column
            for column in columns
            if any((whole_number(cell) or 0) > num_classes for cell in column.cells)
        ]
        if len(ids) == 1:
            note = ["no header: the second column has the ids"] if ids[0] is columns[1] else []
            return Roles(ids[0], [column for column in columns if column is not ids[0]], note)
        if num_classes != 2:
            raise SubmissionError(
                "two columns without a header, and either or neither can be the ids 1 to "
                f"{num_images}: begin the file with the line ImageId,Label, or hand in the "
                "predicted labels alone"
            )
    if len(columns) == num_classes and not counts:
        return Roles(None, columns, [])
    if len(columns) == num_classes + 1 and counts == columns[:1]:
        return Roles(columns[0], columns[1:], [])
    raise SubmissionError(
        f"{len(columns)} columns without a header, expected ids and labels: hand in these two, "
        f"ids and {num_classes} columns of probabilities, or the labels alone"
    )


def _ids_of(columns: list[Column], num_images: int) -> Column | None:
    """Return the column of ids: by name, or as the only one that counts the images."""
    kinds = kinds_of([column.name for column in columns])
    if kinds.ids:
        return only([columns[n] for n in kinds.ids], "ids")
    if kinds.indexes:
        return only([columns[n] for n in kinds.indexes], "ids")
    answers = {*kinds.labels, *kinds.predicted}
    unknown = [column for n, column in enumerate(columns) if n not in answers]
    return next(iter(_counts(unknown, num_images)), None) if len(columns) > 1 else None


def _counts(columns: list[Column], num_images: int) -> list[Column]:
    """Return the columns that count the images, from 0 or 1 if there are such."""
    if num_images == 1:  # any number counts to one
        return [column for column in columns if column.cells[0] in ("0", "1")]
    firsts = [first_of_count(column.cells) for column in columns]
    usual = [c for c, first in zip(columns, firsts, strict=True) if first in (0, 1)]
    return usual or [c for c, first in zip(columns, firsts, strict=True) if first is not None]


def _values_of(columns: list[Column], num_classes: int) -> list[Column]:
    """Return the labels, or the columns for each class. Raises SubmissionError."""
    kinds = kinds_of([column.name for column in columns])
    groups = [group for group in kinds.groups if len(group) == num_classes]
    split_up = [n for group in kinds.groups if len(group) != num_classes for n in group]
    predicted = [columns[n] for n in kinds.predicted]
    if len(predicted) > 1:  # such as Weka's "predicted" beside "prediction", a probability
        predicted = [c for c in predicted if _has_labels(c, num_classes)] or predicted
    labels = [columns[n] for n in kinds.labels]
    unnamed = [columns[n] for n in [*kinds.others, *split_up]]
    others = [column for column in unnamed if _has_labels(column, num_classes)]
    if predicted:
        return [only(predicted, "predictions")]
    if groups:
        if len(groups) > 1:
            raise SubmissionError(
                f"{len(groups)} sets of {num_classes} columns for the classes (beginning with "
                f"{_names([columns[group[0]] for group in groups])}): keep one of them"
            )
        classes = [columns[n] for n in groups[0]]
        _refuse_truth(labels, classes)
        return classes
    unnamed += [columns[n] for n in kinds.aside if "prob" in plain_name(columns[n].name)]
    values = [column for column in unnamed if not _has_labels(column, num_classes)]
    if len(values) >= num_classes:  # of the classes, under names that do not say so, or features
        _refuse_truth(labels or others, values)
    if labels:
        likely = [column for column in unnamed if _may_answer(column, num_classes)]
        rivals = [column for column in likely if column.cells != labels[0].cells]
        if rivals:
            raise SubmissionError(
                f"{_names(labels[:1])} can be the true labels, beside the predictions of "
                f"{_names(rivals)}: keep the ids and one column, what your model predicted"
            )
        return [only(labels, "labels")]
    if others or len(columns) == 1:
        return [only(others or columns, "predictions")]
    raise SubmissionError(
        f"no column is named as labels: found {_names(columns)}. Hand in two columns, named "
        "ImageId,Label"
    )


def _has_labels(column: Column, num_classes: int) -> bool:
    """Tell whether all cells of a column can be labels, counted from 0 or from 1."""
    for cell in column.cells:
        number = label_number(cell)
        if number is None or not 0 <= number <= num_classes:
            return False
    return True


def _may_answer(column: Column, num_classes: int) -> bool:
    """Tell whether most cells of a column are labels, or lists such as of probabilities."""
    numbers = [-1 if (n := label_number(cell)) is None else n for cell in column.cells]
    likely = sum(0 <= n <= num_classes for n in numbers)
    likely += sum(cell.startswith("[") for cell in column.cells)
    return likely > len(numbers) / 2


def _refuse_truth(labels: list[Column], classes: list[Column]) -> None:
    if labels and not _are_largest(labels[0], classes):
        raise SubmissionError(
            f"{_names(labels[:1])} is not the class of the largest value in {_names(classes[:1])} "
            "and so on, and can be the true labels: keep only what the model predicted"
        )


def _are_largest(label: Column, classes: list[Column]) -> bool:
    """Tell whether a label is the class of the largest value in each row."""
    rows = zip(label.cells, *(column.cells for column in classes), strict=True)
    for cell, *values in rows:
        if not all(map(is_number, values)):
            return True  # a problem of its own, which is told with its line
        numbers = list(map(float, values))
        number = whole_number(cell)
        if number is None or not 0 <= number < len(numbers) or numbers[number] < max(numbers):
            return False
    return True


def _names_rows(column: Column) -> bool:
    """Tell whether a column may be ids that cannot be read, such as names of files."""
    if len(set(column.cells)) < len(column.cells) or len(column.cells) < 2:
        return False
    return not all(is_number(cell) and whole_number(cell) is None for cell in column.cells)


def only(columns: list[Column], what: str) -> Column:
    """Return the only column, or the first if all say the same. Raises SubmissionError."""
    if any(column.cells != columns[0].cells for column in columns):
        raise SubmissionError(
            f"{len(columns)} columns can be the {what} ({_names(columns)}): keep one of them"
        )
    return columns[0]


def _names(columns: list[Column]) -> str:
    shown = [quoted(column.name[:30]) if column.name else "(no name)" for column in columns]
    more = f" and {len(shown) - _MAX_SHOWN} more" if len(shown) > _MAX_SHOWN else ""
    return ", ".join(shown[:_MAX_SHOWN]) + more
