"""Lists and dictionaries as a table: JSON, what Python printed, and what torch and numpy saved.

All cells are text. Nothing here recurses: there are two levels, and a third for batches.
"""

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from common.support.errors import SubmissionError
from grading.readers.tables.cells import whole_number
from grading.readers.tables.rows import Table, places

_MOST_COLUMNS = 300  # a column for each class takes 256 at most
_MOST_CELLS = 2**22
_MAX_DEPTH = 16
_STEP = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(n for n in range(256) if n not in b"[]{}")
_KEY = re.compile(r"([{,] ?)(-?[0-9]+) ?:")


def json_table(text: str) -> Table | None:
    """Return what JSON, lines of JSON or a printed dictionary says; None if it is none of these.

    Raises SubmissionError if there are no predictions in it.
    """
    text = text.strip()
    if not text.startswith(("{", "[")) or not text.endswith(("}", "]")):
        return None
    steps = np.frombuffer(text.encode().translate(_STEP, _NO_BRACKETS), np.int8)
    if np.cumsum(steps, dtype=np.int64).max() > _MAX_DEPTH:
        raise SubmissionError(
            "lists within lists, deeper than predictions are: save one label for each test image"
        )
    for attempt in _as_json(text):
        try:
            # Numbers stay text: a long one costs nothing.
            loaded = json.loads(attempt, parse_int=str, parse_float=str, parse_constant=str)
        except ValueError:
            continue
        if table := table_of(loaded):
            return table
        raise SubmissionError(
            "no predictions in this JSON: save a list with one label for each test image, as in "
            "json.dump(predictions.tolist(), file)"
        )
    return None


def _as_json(text: str) -> Iterator[str]:
    yield text
    if text.startswith("{"):
        yield f"[{','.join(text.splitlines())}]"
    if text.startswith(("{", "[{")):
        yield _KEY.sub(r'\1"\2":', " ".join(text.split()).replace("'", '"'))


def table_of(value: object) -> Table | None:
    """Return the table in lists and dictionaries of plain values; None if there is none."""
    if isinstance(value, dict) and isinstance(value.get("data"), list):  # pandas' other forms
        if isinstance(names := value.get("columns"), list):
            return _named(names, value["data"])  # the index counts the rows, if it says anything
        value = value["data"] if "schema" in value else value
    for _ in range(2):  # down to the only entry, such as {"results": {"labels": [...]}}
        inner = [v for v in value.values() if not _is_cell(v)] if isinstance(value, dict) else []
        if len(inner) == 1 and (_holds(inner[0], dict) or _is_nested(inner[0])):
            value = inner[0]
    if isinstance(value, dict):
        return _of_dictionary(value)
    return _of_list(value) if isinstance(value, list) else None


def _of_list(items: list[Any]) -> Table | None:
    if _holds(items, list) and all(_holds(item, list) for item in items):
        items = list(chain.from_iterable(items))  # batches
    if _holds(items, dict):
        names = list(items[0])
        if not _fits(len(names), len(items)):
            return None
        return _named(names, [[item.get(name) for name in names] for item in items])
    if items and all(map(_is_cell, items)):
        items = [[item] for item in items]
    if not _holds(items, list):
        return None
    return _table(items)


def _of_dictionary(entries: dict[Any, Any]) -> Table | None:
    values = list(entries.values())
    are_ids = all(whole_number(_text(key)) is not None for key in entries)
    if are_ids and values and all(map(_is_cell, values)):
        return _named(["id", "label"], [[key, value] for key, value in entries.items()])
    inside = len(values[0]) if values and not _is_cell(values[0]) else 0
    is_long = len(entries) > inside > 0
    if not _fits(inside if is_long else len(entries), len(entries) if is_long else inside):
        return None
    if are_ids and is_long and _holds(values, dict):
        names = list(values[0])
        rows = [[key, *map(row.get, names)] for key, row in entries.items()]
        return _named(["id", *names], rows)
    if are_ids and is_long and _holds(values, list):
        names = [str(n) for n in range(len(values[0]))] if len(values[0]) > 1 else ["label"]
        return _named(["id", *names], [[key, *row] for key, row in entries.items()])
    if _holds(values, dict):  # pandas' columns, each a dictionary from the index
        return _named(["", *entries], [[i, *(v.get(i) for v in values)] for i in values[0]])
    return _of_columns({key: value for key, value in entries.items() if isinstance(value, list)})


def _of_columns(columns: dict[Any, list[Any]]) -> Table | None:
    """Return the table of the longest columns; one of rows is as many columns as these are wide."""
    length = max(map(len, columns.values()), default=0)
    if not length:
        return None
    names: list[str] = []
    parts: list[list[list[Any]]] = []
    for name, column in columns.items():
        if len(column) != length:
            continue
        rows = [[cell] for cell in column] if _is_cell(column[0]) else column
        if not _holds(rows, list):
            return None
        width = len(rows[0])
        names += [f"{_text(name)} {n}" for n in range(width)] if width > 1 else [_text(name)]
        parts.append(rows)
    if not _fits(len(names), length):
        return None
    return _named(names, [list(chain.from_iterable(row)) for row in zip(*parts, strict=True)])


def _named(names: list[Any], rows: list[Any]) -> Table | None:
    if not _holds(rows, list) or len(names) > _MOST_COLUMNS:
        return None
    table = _table(rows)
    return table and Table([list(map(_text, names)), *table.rows], ["names", *table.places], True)


def _table(rows: list[list[Any]]) -> Table | None:
    if len(rows) > _MOST_CELLS // 4 or not all(_is_cell(cell) for row in rows for cell in row):
        return None
    named = zip(places("row", len(rows)), ([_text(c) for c in row] for row in rows), strict=True)
    filled = [(place, row) for place, row in named if any(row)]
    return Table([row for _, row in filled], [p for p, _ in filled]) if filled else None


def _holds(value: object, kind: type) -> bool:
    """Tell whether a list holds nothing but values of a kind, and is not empty."""
    return isinstance(value, list) and bool(value) and all(isinstance(v, kind) for v in value)


def _is_nested(value: object) -> bool:
    return isinstance(value, dict) and not all(map(_is_cell, value.values()))


def _fits(columns: int, rows: int) -> bool:
    """Tell whether a table has a size that predictions can have, before it is made."""
    return columns <= _MOST_COLUMNS and columns * rows <= _MOST_CELLS


def _is_cell(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()
