"""What the columns of a table are: ids, labels, or a value for each class."""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from common.support.errors import SubmissionError
from common.support.text import quoted

# Names as ``plain_name`` leaves them. An index counts as ids if there are no better ones.
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
    """Return the roles of the columns, which have a header.

    Raises SubmissionError if no names, or too many, are those of labels, or of ids where there are
    other columns.
    """
    kinds = kinds_of([column.name for column in columns])
    unnamed = [columns[n] for n in kinds.indexes if any(columns[n].cells)]
    ids = _only([columns[n] for n in kinds.ids] or unnamed, "ids")
    values = [columns[n] for n in kinds.labels]
    if values:
        values = [label for label in [_only(values, "labels")] if label]
    else:
        values = [columns[n] for n in kinds.classes] if len(kinds.classes) == num_classes else []
    used = {id(column) for column in (ids, *values)}
    others = [column for column in columns if any(column.cells) and id(column) not in used]
    if not values or (others and ids is None):
        missing = "ids" if values else "labels"
        raise SubmissionError(
            f"no column is named as {missing}: found {_names(columns)}. Name them ImageId,Label "
            "(id, index and class, category, prediction, predicted, target, digit will do, too)"
        )
    if (
        ids
        and len(values) == 1
        and is_count(values[0], num_images)
        and not is_count(ids, num_images)
    ):
        header = ",".join(column.name for column in columns)
        raise SubmissionError(
            f"the first line is {quoted(header)}, but the ids are under {quoted(values[0].name)}: "
            "swap the two names"
        )
    return Roles(ids, values, [f"columns left out: {_names(others)}"] if others else [])


def choose_unnamed(columns: list[Column], num_images: int, num_classes: int) -> Roles:
    """Return the roles of the columns, which have no header: what they hold decides.

    Raises SubmissionError if none or several of two columns can be the ids, or the number of
    columns fits nothing.
    """
    columns = [column for column in columns if any(column.cells)]
    if len(columns) == 2:
        ids = _ids_of_two(columns, num_images, num_classes)
        if ids is not None:
            note = ["no header: the second column has the ids"] if ids is columns[1] else []
            return Roles(ids, [column for column in columns if column is not ids], note)
        if num_classes != 2:
            raise SubmissionError(
                "two columns without a header, and either or neither can be the ids 1 to "
                f"{num_images}: begin the file with the line ImageId,Label"
            )
    if len(columns) == 1:
        return Roles(None, columns, [])
    counts = [column for column in columns if is_count(column, num_images)]
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
    plain = [plain_name(name) for name in names]
    numbered: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for position, name in enumerate(plain):
        if found := _CLASS.fullmatch(name):
            numbered.setdefault((found[1], found[3]), []).append((int(found[2]), position))
    groups = [sorted(group) for group in numbered.values()]
    groups = [g for g in groups if [number for number, _ in g] == list(range(len(g)))]
    classes = [position for _, position in groups[0]] if len(groups) == 1 else []
    labels = [n for n, name in enumerate(plain) if _LABELS.fullmatch(name)]
    return Kinds(
        [n for n, name in enumerate(plain) if _IDS.fullmatch(name)],
        [n for n, name in enumerate(plain) if _INDEX.fullmatch(name)],
        # pandas calls a column without a name 0.
        labels or (classes if len(classes) == 1 and plain[classes[0]] == "0" else []),
        classes if len(classes) > 1 else [],
    )


def plain_name(name: str) -> str:
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


def is_count(column: Column, num_images: int) -> bool:
    """Tell whether a column has 1 to N or 0 to N - 1, each once, in any order."""
    if len(column.cells) != num_images:
        return False
    found = set()
    for cell in column.cells:
        number = whole_number(cell)
        if number is None:  # most columns of probabilities end here
            return False
        found.add(number)
    return found in (set(range(1, num_images + 1)), set(range(num_images)))


def _ids_of_two(columns: list[Column], num_images: int, num_classes: int) -> Column | None:
    counts = [column for column in columns if is_count(column, num_images)]
    if not counts:  # ids with a fault are still the ones that are no labels
        counts = [
            column
            for column in columns
            if any((whole_number(cell) or 0) >= num_classes for cell in column.cells)
        ]
    return counts[0] if len(counts) == 1 else None


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
