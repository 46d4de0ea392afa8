"""What the columns of a table say of each image, with a complaint for each cell that is wrong."""

import numpy as np

from common.support.errors import SubmissionError
from common.support.text import quoted, shorten
from grading.readers.tables.cells import (
    first_of_count,
    is_number,
    label_number,
    whole_number,
)
from grading.readers.tables.columns import Column

_SHOWN = 5
_MAX_REASON = 600  # characters
_BOOLEANS = {"false": "0", "true": "1"}
CORRECT = ". Correct that, and hand it in again"


class Problems:
    """Complaints in the order of the file: the first few in words, the rest as a number."""

    def __init__(self) -> None:
        self.found: list[tuple[float, str]] = []

    def add(self, order: float, text: str) -> None:
        """Keep a complaint, at its place in the file."""
        self.found.append((order, text))

    def raise_if_any(self) -> None:
        """Raise SubmissionError with all complaints."""
        if self.found:
            shown = [text for _, text in sorted(self.found, key=lambda item: item[0])[:_SHOWN]]
            count = len(self.found) - _SHOWN
            more = f"; and {count:,} more" if count > 0 else ""
            text = shorten("; ".join(shown), _MAX_REASON - len(more + CORRECT))
            raise SubmissionError(f"{text}{more}{CORRECT}")


def positions_of(
    ids: Column | None, places: list[str], images: int, problems: Problems, notes: list[str]
) -> list[int]:
    """Return for each row which image it answers, counted from 0."""
    if ids is None:
        notes.append("no ids: the rows were taken in the order of the test images")
        return list(range(len(places)))
    numbers = [whole_number(cell) for cell in ids.cells]
    first = _first_id(ids, numbers, images)
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
    if first != 1:
        notes.append(f"ids {first} to {last:,} were counted from {first}")
    return [(number or 0) - first for number in numbers]


def _first_id(ids: Column, numbers: list[int | None], images: int) -> int:
    counted = first_of_count(ids.cells) if len(numbers) == images else None
    if counted is not None:
        return counted
    known = {number for number in numbers if number is not None}
    if known and sum(0 <= number <= images for number in known) < len(known) / 2:
        return min(known)
    return 0 if 0 in known and images not in known else 1


def labels_of(column: Column, places: list[str], classes: int, problems: Problems) -> np.ndarray:
    """Return labels, uint8 [rows]; 0 where there is a problem. Raises SubmissionError."""
    labels = np.zeros(len(places), dtype=np.uint8)
    found = [label_number(cell) for cell in column.cells]
    known = [number for number in found if number is not None]
    if len(known) == len(found) > 1 and min(known) == 1 and max(known) == classes > 2:
        raise SubmissionError(
            f"labels run from 1 to {classes}, expected 0 to {classes - 1}: hand in label % "
            f"{classes} if {classes} stands for the digit 0 (Octave, MATLAB, Vowpal Wabbit), or "
            "label - 1 if they are positions (in R as.character(factor) has the digits)"
        )
    for order, (cell, number) in enumerate(zip(column.cells, found, strict=True)):
        if number is not None and 0 <= number < classes:
            labels[order] = number
            continue
        whole = "a whole number from " if number is None and is_number(cell) else ""
        place = f"{places[order]}: label"
        problems.add(order, f"{place} {quoted(cell)} is not {whole}0 to {classes - 1}")
    return labels


def numbers_of(columns: list[Column], places: list[str], problems: Problems) -> np.ndarray:
    """Return the values of the classes, float64 [rows, classes]; 0 where there is a problem."""
    values = np.zeros((len(places), len(columns)))
    for order, cells in enumerate(zip(*(column.cells for column in columns), strict=True)):
        if cells[0].lower() in _BOOLEANS:  # one-hot rows of pandas
            cells = tuple(_BOOLEANS.get(cell.lower(), cell) for cell in cells)
        bad = next((c for c in cells if not is_number(c) or abs(float(c)) == np.inf), None)
        if bad is None:
            values[order] = [float(cell) for cell in cells]
        else:
            problems.add(order, f"{places[order]}: {quoted(bad)} is not a finite number")
    return values
