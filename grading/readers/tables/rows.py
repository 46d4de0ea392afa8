"""A table as rows of cells, whatever file it came from."""

from typing import NamedTuple


class Table(NamedTuple):
    """The rows that are not empty, with stripped cells. They may differ in length."""

    rows: list[list[str]]
    places: list[str]  # of each row, for messages: "line 3", or a row or value of something else
    has_names: bool = False  # the first row is a header, even if all its names are numbers


def places(unit: str, count: int) -> list[str]:
    """Return what a message calls each row or value of a table without lines."""
    return [f"{unit} {number}" for number in range(1, count + 1)]
