"""What is compared: recipes of runs, and several evaluations on one page."""

from collections import Counter
from typing import NamedTuple

from reporting.figures import dot_plots
from reporting.rendering import Row, Section, render

_SECTIONS = (
    Section("evaluations", "The evaluations", needs="evaluations"),
    Section("compared_runs", "Runs", needs="runs"),
    Section("compared_recipes", "Recipes", needs="recipes"),
    Section("compared_submissions", "Submissions", needs="submissions"),
)


class Origin(NamedTuple):
    """What a recipe differs in from the one before it that is most like it."""

    name: str
    like: str
    changes: list[tuple[str, str, str]]  # setting, its value here, its value there


def side_by_side(columns: list[dict[str, str]]) -> list[Row]:
    """Return a row for each key of any column: ``name``, ``cells``, and whether they differ."""
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [(name, [column.get(name, "–") for column in columns]) for name in names]
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


def render_comparison(
    evaluations: dict[str, Row], runs: dict[str, dict[str, Row]], sources: dict[str, str]
) -> str:
    """Return the page that compares evaluations.

    ``evaluations`` and, for each of them, the ``metrics.json`` of its ``runs`` by name are keyed by
    the label to show; ``sources`` has the SHA-256 sum of each file that was read.
    """
    measured = {
        f"{label}: {row['name']}": row | {"threshold": evaluation["threshold"]}
        for label, evaluation in evaluations.items()
        for row in evaluation["results"]
        if row["own"] and row["status"] != "error"
    }
    trained = {f"{label}: {name}": run for label, own in runs.items() for name, run in own.items()}
    page: Row = {
        "evaluations": evaluations,
        "counts": {
            label: Counter(row["status"] for row in evaluation["results"])
            for label, evaluation in evaluations.items()
        },
        "same_images": len({str(e["dataset"]["md5"]) for e in evaluations.values()}) == 1,
        "titles": list(dict.fromkeys(e["dataset"]["title"] for e in evaluations.values())),
        "runs": measured,
        "trained": trained,
        "recipes": side_by_side([flatten_recipe(run["recipe"]) for run in trained.values()]),
        "submissions": _submissions(evaluations),
        "sources": sources,
        "figures": {"accuracies": dot_plots.accuracies(measured)} if measured else {},
    }
    return render("comparison.html", page, _SECTIONS)


def _submissions(evaluations: dict[str, Row]) -> list[Row]:
    """Return a row for each name that is a submission in any evaluation, with its row in each."""
    by_name = [
        {
            row["name"]: row | {"threshold": evaluation["threshold"]}
            for row in evaluation["results"]
            if not row["own"]
        }
        for evaluation in evaluations.values()
    ]
    found = []
    for name in sorted({name for rows in by_name for name in rows}):
        rows = [rows.get(name) for rows in by_name]
        outcomes = {(row["status"], row.get("correct")) if row else None for row in rows}
        found.append({"name": name, "rows": rows, "differs": len(outcomes) > 1})
    return found
