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


# The schedules set these, from the rate that a run was given and its length; AdamW sets the last.
_DERIVED = {
    *("optimizer lr", "schedule max_lr", "schedule initial_lr", "schedule min_lr"),
    *("schedule total_steps", "optimizer decoupled_weight_decay"),
}

_ABSENT = "–"


class Origin(NamedTuple):
    """What a recipe differs in from the one before it that is most like it."""

    name: str
    like: str
    changes: list[tuple[str, str, str]]  # setting, its value here, its value there


def side_by_side(columns: list[dict[str, str]]) -> list[Row]:
    """Return a row for each key of any column: ``name``, ``cells``, and whether they differ."""
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [(name, [column.get(name, _ABSENT) for column in columns]) for name in names]
    return [
        {"name": name.replace("_", " "), "cells": cells, "differs": len(set(cells)) > 1}
        for name, cells in rows
    ]


def flatten_recipe(recipe: Row) -> dict[str, str]:
    """Return what was chosen of a recipe as one level of text: ``model dropout_rate`` -> ``0.3``.

    ``lr`` is the rate that ``--lr`` sets: the peak, if the schedule has one.
    """
    flat = {}
    for key, value in recipe.items():
        if isinstance(value, dict):
            flat[key] = str(value.get("name"))
            flat |= {f"{key} {k}": setting_text(v) for k, v in value.items() if k != "name"}
        else:
            flat[key] = setting_text(value)
    rate = flat.get("schedule max_lr", flat.get("optimizer lr", _ABSENT))
    return {"lr": rate} | {key: value for key, value in flat.items() if key not in _DERIVED}


def setting_text(value: object) -> str:
    """Return a setting's value as the page shows it."""
    if isinstance(value, list):
        return ", ".join(map(setting_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def compare_recipes(recipes: list[dict[str, str]]) -> list[Row]:
    """Return the rows of ``side_by_side``, the shortest first, of flat recipes.

    What all runs with one class have alike and no other class has, as the momentum of a schedule,
    is left out: the names of the classes tell as much.
    """
    rows = [row for row in side_by_side(recipes) if not _is_of_a_class(row, recipes)]
    return sorted(rows, key=lambda row: max(map(len, row["cells"]), default=0))


def _is_of_a_class(row: Row, recipes: list[dict[str, str]]) -> bool:
    part = row["name"].split(" ")[0]
    if row["name"] == part or len({*row["cells"]} - {_ABSENT}) > 1:
        return False
    having, lacking = (
        {
            recipe.get(part)
            for recipe, cell in zip(recipes, row["cells"], strict=True)
            if (cell == _ABSENT) is is_absent
        }
        for is_absent in (False, True)
    )
    return bool(lacking) and not having & lacking


def origins(recipes: dict[str, dict[str, str]]) -> list[Origin]:
    """Return for each recipe but the first what sets it apart, the least changed one first.

    ``recipes`` are flat, by name.
    """
    names = list(recipes)
    found = []
    for place, name in enumerate(names[1:], start=1):
        all_changes = {other: _changes(recipes[name], recipes[other]) for other in names[:place]}
        like = min(all_changes, key=lambda other: len(all_changes[other]))
        found.append(Origin(name, like, all_changes[like]))
    return sorted(found, key=lambda origin: len(origin.changes))


def _changes(here: dict[str, str], there: dict[str, str]) -> list[tuple[str, str, str]]:
    both = compare_recipes([here, there])
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
        "recipes": compare_recipes([flatten_recipe(run["recipe"]) for run in trained.values()]),
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
