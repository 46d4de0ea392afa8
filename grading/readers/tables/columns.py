"""What the columns of a table are: ids, labels, or a value for each class."""

import re
import unicodedata
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from common.support.errors import SubmissionError
from common.support.text import quoted

# Names as ``_plain_name`` leaves them. An index counts as ids if there are no better ones.
_IDS = re.compile("(?:image|img|picture|test|sample)s?(?:id|index|idx|number|no|nr)?s?|ids?|no|nr")
_INDEX = re.compile("#?|index|idx|row|rowid|rownumber|level0|unnamed[0-9]+")
_LABELS = re.compile(
    "(?:pred|predicted|prediction)?(?:label|class|digit|category|target)(?:s|es|id|label|pred)?"
    "|categories|pred|preds|predicted|predictedvalues?|predictions?|outputs?|results?|answers?"
    "|guess|guesses|y|yhat|ypred|ypredicted|argmax"
)
_CLASS = re.compile(r"([^0-9]*)(0|[1-9][0-9]{0,2})([^0-9]*)")

# Not \d, which matches the digits of every script.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_MAX_CELL = 60  # characters of a number or a known name
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
    """Return the roles of the columns, which have a header. Raises SubmissionError."""
    kinds = kinds_of([column.name for column in columns])
    unnamed = [columns[n] for n in kinds.indexes if any(columns[n].cells)]
    ids = _only([columns[n] for n in kinds.ids] or unnamed, "ids")
    label = _only([columns[n] for n in kinds.labels], "labels")
    values = [label] if label else [columns[n] for n in kinds.classes]
    if not label and len(values) != num_classes:
        values = []
    used = {id(column) for column in (ids, *values)}
    others = [column for column in columns if any(column.cells) and id(column) not in used]
    if not values or (others and ids is None):
        missing = "ids" if values else "labels"
        raise SubmissionError(
            f"no column is named as {missing}: found {_names(columns)}. Name them ImageId,Label "
            "(id, index and class, category, prediction, predicted, target, digit will do, too)"
        )
    if ids and label and _is_count(label, num_images) and not _is_count(ids, num_images):
        header = ",".join(column.name for column in columns)
        raise SubmissionError(
            f"the first line is {quoted(header)}, but the ids are under {quoted(label.name)}: "
            "swap the two names"
        )
    return Roles(ids, values, [f"columns left out: {_names(others)}"] if others else [])


def choose_unnamed(columns: list[Column], num_images: int, num_classes: int) -> Roles:
    """Return the roles of columns without a header, by their cells. Raises SubmissionError."""
    columns = [column for column in columns if any(column.cells)]
    if len(columns) == 1:
        return Roles(None, columns, [])
    counts = [column for column in columns if _is_count(column, num_images)]
    if len(columns) == 2:
        ids = counts or [  # ids with a fault are still the ones that are no labels
            column
            for column in columns
            if any((whole_number(cell) or 0) >= num_classes for cell in column.cells)
        ]
        if len(ids) == 1:
            note = ["no header: the second column has the ids"] if ids[0] is columns[1] else []
            return Roles(ids[0], [column for column in columns if column is not ids[0]], note)
        if num_classes != 2:
            raise SubmissionError(
                "two columns without a header, and either or neither can be the ids 1 to "
                f"{num_images}: begin the file with the line ImageId,Label"
            )
    if len(columns) == num_classes and not counts:
        return Roles(None, columns, [])
    if len(columns) == num_classes + 1 and counts == columns[:1]:
        return Roles(columns[0], columns[1:], [])
    raise SubmissionError(
        f"{len(columns)} columns without a header, expected 2: begin the file with the line "
        f"ImageId,Label (or hand in ids and {num_classes} columns of probabilities)"
    )


class Kinds(NamedTuple):
    """The positions of columns whose names are known."""

    ids: list[int]
    indexes: list[int]  # pandas' own, named or not
    labels: list[int]
    classes: list[int]  # in the order of the classes; [] if they are not 0, 1, 2, ...


def kinds_of(names: list[str]) -> Kinds:
    """Sort the columns of a header by what their names say."""
    plain = [_plain_name(name) for name in names]
    numbered: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for position, name in enumerate(plain):
        if found := _CLASS.fullmatch(name):
            numbered.setdefault((found[1], found[3]), []).append((int(found[2]), position))
    groups = [sorted(group) for group in numbered.values()]
    groups = [g for g in groups if [number for number, _ in g] == list(range(len(g)))]
    classes = [position for _, position in groups[0]] if len(groups) == 1 else []
    labels = [n for n, name in enumerate(plain) if _LABELS.fullmatch(name)]
    # pandas calls a column without a name 0.
    if not labels and [plain[position] for position in classes] == ["0"]:
        labels = classes
    return Kinds(
        [n for n, name in enumerate(plain) if _IDS.fullmatch(name)],
        [n for n, name in enumerate(plain) if _INDEX.fullmatch(name)],
        labels,
        classes if len(classes) > 1 else [],
    )


def _plain_name(name: str) -> str:
    """Return the letters and digits of a name, in small letters: "Image_ID" is "imageid"."""
    if len(name) > _MAX_CELL:
        return "?"
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in folded if c.isalnum()) or folded


def whole_number(cell: str) -> int | None:
    """Return the whole number in a cell, which may be written as 7.0 or 7e0."""
    if len(cell) < 10 and cell.isascii() and cell.isdigit():
        return int(cell)
    if len(cell) > _MAX_CELL or not _NUMBER.fullmatch(cell):
        return None
    value = float(cell)
    return int(value) if value.is_integer() else None


def is_numeric(cell: str) -> bool:
    """Tell whether a cell is a number, a NaN or infinite."""
    return is_number(cell) or _NOT_FINITE.fullmatch(cell) is not None


def is_number(cell: str) -> bool:
    """Tell whether a cell is a number in decimal notation."""
    return len(cell) <= _MAX_CELL and _NUMBER.fullmatch(cell) is not None


def _is_count(column: Column, num_images: int) -> bool:
    """Tell whether a column has 1 to N or 0 to N - 1, each once, in any order."""
    # Most columns of probabilities end at their first cell.
    numbers = takewhile(lambda number: number is not None, map(whole_number, column.cells))
    counts = (set(range(num_images)), set(range(1, num_images + 1)))
    return len(column.cells) == num_images and set(numbers) in counts


def _only(columns: list[Column], what: str) -> Column | None:
    """Return the only column, or the first if all say the same."""
    if any(column.cells != columns[0].cells for column in columns):
        raise SubmissionError(
            f"{len(columns)} columns can be the {what} ({_names(columns)}): keep one of them"
        )
    return columns[0] if columns else None


def _names(columns: list[Column]) -> str:
    shown = [quoted(column.name[:30]) if column.name else "(no name)" for column in columns]
    more = f" and {len(shown) - _MAX_SHOWN} more" if len(shown) > _MAX_SHOWN else ""
    return ", ".join(shown[:_MAX_SHOWN]) + more
