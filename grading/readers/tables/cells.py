"""What a cell of a table says: a number, or a class that a tool spelled out."""

import re
from collections.abc import Sequence

# Not \d, which matches the digits of every script.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
# Weka writes position and label (8:7), torchvision's classes have a number and a word (7 - seven),
# and a batch of one image has a list of one answer ([7]).
_SPELLED = re.compile(r"[0-9]{1,3}:([0-9]{1,3})|([0-9]{1,3}) ?[-–:(] ?[^\W\d_].*|\[([0-9]{1,3})\]")
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MAX_CELL = 60  # characters of a number or a known name


def whole_number(cell: str) -> int | None:
    """Return the whole number in a cell, which may be written as 7.0 or 7e0."""
    if len(cell) < 10 and cell.isascii() and cell.isdigit():
        return int(cell)
    if len(cell) > MAX_CELL or not _NUMBER.fullmatch(cell):
        return None
    value = float(cell)
    return int(value) if value.is_integer() else None


def spelled_number(cell: str) -> int | None:
    """Return the class in a cell like 8:7, 7 - seven, seven or [7]."""
    if (word := cell[:MAX_CELL].casefold()) in _WORDS:
        return _WORDS.index(word)
    found = _SPELLED.fullmatch(cell) if len(cell) <= MAX_CELL else None
    return int(found[found.lastindex or 0]) if found else None


def label_number(cell: str) -> int | None:
    """Return the label in a cell, which may be spelled out."""
    number = whole_number(cell)
    return spelled_number(cell) if number is None else number


def is_numeric(cell: str) -> bool:
    """Tell whether a cell is a number, a NaN or infinite."""
    return is_number(cell) or _NOT_FINITE.fullmatch(cell) is not None


def is_number(cell: str) -> bool:
    """Tell whether a cell is a number in decimal notation."""
    return len(cell) <= MAX_CELL and _NUMBER.fullmatch(cell) is not None


def first_of_count(cells: Sequence[str]) -> int | None:
    """Return the lowest of consecutive whole numbers, each once, in any order; None for others."""
    numbers: set[int] = set()
    for cell in cells:  # most columns of probabilities end at their first cell
        number = whole_number(cell)
        if number is None or number in numbers:
            return None
        numbers.add(number)
    lowest = min(numbers, default=None)
    return lowest if lowest is not None and max(numbers) - lowest < len(numbers) else None
