"""What the recipes of training runs say, side by side, and what sets one apart from the others."""

from typing import Any, NamedTuple

Row = dict[str, Any]
_MISSING = "–"


class Origin(NamedTuple):
    """What a recipe differs in from the one before it that is most like it."""

    name: str
    like: str
    changes: list[tuple[str, str, str]]  # setting, its value here, its value there


def side_by_side(columns: list[dict[str, str]]) -> list[Row]:
    """Return a row for each key of any column: ``name``, ``cells``, and whether they differ."""
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [(name, [column.get(name, _MISSING) for column in columns]) for name in names]
    return [
        {"name": name.replace("_", " "), "cells": cells, "differs": len(set(cells)) > 1}
        for name, cells in rows
    ]


def flatten_recipe(recipe: Row) -> dict[str, str]:
    """Return a recipe's nested settings as one level of text: ``optimizer lr`` -> ``0.001``."""
    flat = {}
    for key, value in recipe.items():
        if isinstance(value, dict):
            flat[key] = str(value.get("name"))
            flat |= {f"{key} {k}": setting_text(v) for k, v in value.items() if k != "name"}
        else:
            flat[key] = setting_text(value)
    return flat


def setting_text(value: object) -> str:
    """Return a setting's value as the page shows it."""
    if isinstance(value, list):
        return ", ".join(map(setting_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def origins(recipes: dict[str, dict[str, str]]) -> list[Origin]:
    """Return for each recipe but the first what sets it apart; ``recipes`` are flat, by name."""
    names = list(recipes)
    found = []
    for place, name in enumerate(names[1:], start=1):
        all_changes = {other: _changes(recipes[name], recipes[other]) for other in names[:place]}
        like = min(all_changes, key=lambda other: len(all_changes[other]))
        found.append(Origin(name, like, all_changes[like]))
    return found


def _changes(here: dict[str, str], there: dict[str, str]) -> list[tuple[str, str, str]]:
    both = side_by_side([here, there])
    return [(row["name"], *row["cells"]) for row in both if row["differs"]]
