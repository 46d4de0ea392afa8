"""Several evaluations on one page: what each of them says of one's own runs and of submissions."""

from collections import Counter

from reporting.figures import dot_plots
from reporting.recipes import flatten_recipe, side_by_side
from reporting.rendering import Row, Section, render

_SECTIONS = (
    Section("evaluations", "The evaluations", needs="evaluations"),
    Section("compared_runs", "Runs", needs="runs"),
    Section("compared_recipes", "Recipes", needs="recipes"),
    Section("compared_submissions", "Submissions", needs="submissions"),
)


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
