"""Prediction files: ``ImageId,Label`` rows, as Kaggle's Digit Recognizer has them."""

import csv
import io
import re

import numpy as np

from common.support.errors import SubmissionError
from common.support.text import quoted

HEADER = ["ImageId", "Label"]

_SHOWN = 5


class _Problems:
    """Complaints in the order of the file: the first few in words, the rest as a number."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.count = 0

    def add(self, text: str) -> None:
        self.count += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(text)

    def raise_if_any(self) -> None:
        if self.count:
            more = f"; and {self.count - _SHOWN:,} more" if self.count > _SHOWN else ""
            raise SubmissionError(f"{'; '.join(self.shown)}{more}")


def parse_predictions(content: bytes, num_images: int, num_classes: int) -> np.ndarray:
    """Return the predicted classes, uint8 [num_images], in the order of the ids.

    A byte order mark, CRLF, quoted cells and a missing header are accepted.

    Raises SubmissionError with the first five problems and how many more there are: cells that are
    no ids or labels, ids out of range, given twice or missing.
    """
    rows = _read_rows(content)
    problems = _Problems()
    if len(rows) != num_images:
        problems.add(f"{len(rows):,} rows of predictions, expected {num_images:,}")
    classes = np.zeros(num_images, dtype=np.uint8)
    seen_at = np.zeros(num_images, dtype=np.int64)  # line of each id, 0 for none
    for line, cells in rows:
        parsed = _parse_row(line, cells, (num_images, num_classes), problems)
        if parsed is None:
            continue
        image_id, label = parsed
        if seen_at[image_id - 1]:
            problems.add(f"line {line}: id {image_id} was on line {seen_at[image_id - 1]} already")
        seen_at[image_id - 1] = line
        classes[image_id - 1] = label
    for missing in np.flatnonzero(seen_at == 0) + 1:
        problems.add(f"id {missing} is missing")
    problems.raise_if_any()
    return classes


def _read_rows(content: bytes) -> list[tuple[int, list[str]]]:
    """Return line number and cells of each row that is neither blank nor the header."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SubmissionError("not a text file in UTF-8: export it as CSV (UTF-8)") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = [(reader.line_num, [c.strip() for c in cells]) for cells in reader if any(cells)]
    except csv.Error as error:
        raise SubmissionError(f"line {reader.line_num} is not CSV: {error}") from error
    if not rows:
        raise SubmissionError("the file is empty: expected the header ImageId,Label and its rows")
    first = rows[0][1]
    if [cell.lower() for cell in first] == [name.lower() for name in HEADER]:
        return rows[1:]
    if all(re.fullmatch(r"\d+", cell, re.ASCII) for cell in first):
        return rows
    raise SubmissionError(f"the first line is {quoted(','.join(first))}, expected ImageId,Label")


def _parse_row(
    line: int, cells: list[str], limits: tuple[int, int], problems: _Problems
) -> tuple[int, int] | None:
    if len(cells) != len(HEADER):
        problems.add(f"line {line} has {len(cells)} cells, expected 2: ImageId,Label")
        return None
    num_images, num_classes = limits
    image_id, label = cells
    if not re.fullmatch(r"\d{1,9}", image_id, re.ASCII) or not 1 <= int(image_id) <= num_images:
        problems.add(f"line {line}: id {quoted(image_id)} is not 1 to {num_images}")
        return None
    if not re.fullmatch(r"\d{1,3}", label, re.ASCII) or int(label) >= num_classes:
        problems.add(f"line {line}: label {quoted(label)} is not 0 to {num_classes - 1}")
        # The id is there all the same, so it is not reported as missing too.
        return int(image_id), 0
    return int(image_id), int(label)
