"""The report as a page: figures and numbers go into the templates, one HTML text comes out."""

from collections import defaultdict
from typing import Any

from common.data.catalog import MNIST_SPEC
from reporting.comparison import (
    compare_recipes,
    flatten_recipe,
    origins,
    setting_text,
    side_by_side,
)
from reporting.figures import counts, curves, dot_plots
from reporting.figures.plane import plane
from reporting.figures.published import PUBLISHED_RESULTS
from reporting.figures.svg import MARKS, MAX_NAMED, with_styles
from reporting.pictures import sheet_of
from reporting.rendering import Row, Section, command_text, render
from reporting.terminal import beyond_test_set

_CONFUSED_PAIRS = 6

# Runs that are shown in all detail: those with the highest validation accuracy.
_DETAILED = 4

# Images behind the cells of the confusion matrices: of all runs together, or at least of each.
_ON_SHEETS, _LEAST_ON_SHEET = 320, 60

_MNIST_MD5 = {name: MNIST_SPEC.md5[name] for name in MNIST_SPEC.files["test"]}

# In their order. A new one is a partial and a line here.
_SECTIONS = (
    Section("learning", "How they learned", needs="histories"),
    Section("models", "Models", needs="own"),
    Section("learned", "What they learned", needs="inspected"),
    Section("errors", "Errors", needs="measured"),
    Section("confidence", "Confidence", needs="measured"),
    Section("robustness", "Beyond the test set", needs="robustness"),
    Section("history", "Published results", needs="published"),
    Section("data", "Data", needs="data"),
    Section("recipes", "Recipes and environment", needs="runs"),
    Section("ungraded", "Could not be graded", needs="ungraded"),
    Section("hardest", "What is hardest", needs="hardest"),
    Section("graded", "Graded", needs="graded"),
    Section("grading", "How it was graded", needs="submissions"),
)


def render_report(
    evaluation: Row, runs: dict[str, Row], sources: dict[str, str], playground: str = ""
) -> str:
    """Return the whole page.

    ``runs`` has the ``metrics.json`` of runs by name; a run without one has no curves and no
    recipe. ``sources`` has the SHA-256 sum of each file that was read: the page holds them, so that
    ``bench.checks.verify`` can tell what it was made of. ``playground`` is the address of the page
    to draw on, if there is one.
    """
    rows, dataset = evaluation["results"], evaluation["dataset"]
    own = [row for row in rows if row["own"]]
    measured = _by_validation({row["name"]: row for row in own if row["status"] != "error"})
    detailed = dict(list(measured.items())[:_DETAILED])
    runs = {name: runs[name] for name in measured if name in runs}
    recipes = {name: flatten_recipe(run["recipe"]) for name, run in runs.items()}
    submissions = [row for row in rows if not row["own"]]
    graded = [row for row in submissions if row["status"] != "error"]
    # A command stands elsewhere on the page.
    environments = [
        {k: setting_text(v) for k, v in run["environment"].items() if k != "command"}
        for run in runs.values()
    ]
    page = {
        "evaluation": evaluation,
        "rows": rows,
        "own": own,
        "measured": measured,
        "detailed": detailed,
        "inspected": {n: row["inspection"] for n, row in measured.items() if row.get("inspection")},
        "broken": [row for row in own if row["status"] == "error"],
        "best": measured.get(evaluation["best"]),
        "closest": _closest(evaluation["comparisons"], measured),
        "pairs": _confused_pairs(detailed, len(dataset["classes"])),
        "sheets": {
            name: sheet_of(row["confused"], max(_LEAST_ON_SHEET, _ON_SHEETS // len(detailed)))
            for name, row in detailed.items()
        },
        "beyond": beyond_test_set(evaluation),
        "robustness": evaluation.get("robustness") if measured else None,
        "submissions": submissions,
        "graded": sorted(
            graded, key=lambda row: (row["status"] != "pass", row.get("rank") or 0, row["name"])
        ),
        "ungraded": _by_reason([row for row in submissions if row["status"] == "error"]),
        "hardest": counts.hardest_first([row["per_class"] for row in graded])
        if len(graded) > 1
        else {},
        "runs": runs,
        "histories": {name: run["history"] for name, run in runs.items()},
        "sources": sources,
        "playground": playground,
        "data": next((run["data"] for run in runs.values()), None),
        "splits": _by_split(runs),
        "recipes": compare_recipes(list(recipes.values())),
        "origins": origins(recipes) if len(recipes) > 2 else [],
        "environments": side_by_side(environments),
        "commands": _commands(evaluation, runs),
        # On other images they would compare what cannot be compared.
        "published": PUBLISHED_RESULTS if measured and dataset["md5"] == _MNIST_MD5 else (),
        "min_drawn": curves.MIN_DRAWN,
        "max_named": MAX_NAMED,
        "max_dashed": curves.MAX_DASHED,
        "marks": list(MARKS.values()),
        "classes": dataset["classes"],
        "noun": dataset["noun"],
    }
    page["figures"] = _figures(page)
    return render("report.html", page, _SECTIONS)


def _by_validation(measured: dict[str, Row]) -> dict[str, Row]:
    """Return many runs in the order of their validation accuracy, a few in the order they have."""
    if len(measured) <= _DETAILED:
        return measured
    return dict(sorted(measured.items(), key=lambda item: -_validation_accuracy(item[1])))


def _validation_accuracy(row: Row) -> float:
    return row["validation"]["accuracy"] if row["validation"] else 0.0


def _closest(comparisons: list[Row], measured: dict[str, Row]) -> Row | None:
    """Return the comparison of the two runs that did best on validation images."""
    known = [pair for pair in comparisons if {pair["a"], pair["b"]} <= measured.keys()]
    return max(
        known,
        key=lambda pair: sum(_validation_accuracy(measured[pair[end]]) for end in "ab"),
        default=None,
    )


def _by_reason(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    """Return the rows of each reason, the most frequent reason first, and rows by name."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["name"]):
        groups[row["reason"]].append(row)
    return sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))


def _by_split(runs: dict[str, Row]) -> list[tuple[Row, list[str]]]:
    """Return the data of runs that hold out as many images, with their names."""
    groups: dict[int, list[str]] = defaultdict(list)
    for name, run in runs.items():
        groups[run["data"]["val_size"]].append(name)
    return [(runs[names[0]]["data"], names) for names in groups.values()]


def _figures(page: Row) -> dict[str, Any]:
    """Return the figures whose data the page has, by name; those of each run by its name too."""
    measured, histories, classes = page["measured"], page["histories"], page["classes"]
    threshold = page["evaluation"]["threshold"]
    figures: dict[str, Any] = {
        "changes": {},
        "reliability": {
            name: curves.reliability_diagram(
                row["confidence"]["before"], row["confidence"]["after"], name, style
            )
            for name, row, style in with_styles(page["detailed"])
        },
    }
    if page["graded"]:
        accuracies = [row["accuracy"] for row in page["graded"]]
        figures["distribution"] = counts.accuracy_distribution(accuracies, threshold)
    if page["hardest"]:
        figures["hardest"] = counts.hardest_classes(page["hardest"], classes, page["noun"])
    if histories:
        figures["loss"] = curves.loss_curves(histories)
        figures["accuracy"] = curves.accuracy_curves(histories)
        figures["learning_rate"] = curves.learning_rates(histories)
    if measured:
        detailed = page["detailed"]
        per_class = {name: row["per_class"] for name, row in detailed.items()}
        coverage = {name: row["confidence"]["coverage"] for name, row in detailed.items()}
        figures["accuracies"] = dot_plots.accuracies(measured, threshold)
        figures["per_class"] = dot_plots.per_class_accuracy(per_class, classes, page["noun"])
        figures["coverage"] = curves.accuracy_against_coverage(coverage)
    figures["planes"] = {
        name: plane(seen["plane"], classes, name) for name, seen in page["inspected"].items()
    }
    if page["data"]:
        data = page["data"]
        figures["counts"] = counts.class_counts(data["class_counts"], data["classes"], page["noun"])
    if page["best"] and len(classes) <= counts.MAX_CELLS:
        figures["changes"] = {
            name: counts.confusion_difference(page["best"], row, classes, page["noun"])
            for name, row in page["detailed"].items()
            if counts.confusion_changes(page["best"], row).any()
        }
    if page["robustness"]:
        corruptions = page["robustness"]["corruptions"]
        figures["robustness"] = dot_plots.robustness(corruptions, measured)
    if page["published"]:
        figures["published"] = dot_plots.compare_with_published(page["published"], page["detailed"])
    return figures


def _confused_pairs(measured: dict[str, Row], num_classes: int) -> list[Row]:
    """Return the pairs of classes that are confused most, and those that people expect."""
    matrices = [row["confusion_matrix"] for row in measured.values()]
    expected = {
        (error["true"], error["predicted"])
        for row in measured.values()
        for error in row["named_confusions"]
    }
    pairs = [
        {
            "a": a,
            "b": b,
            "expected": (a, b) in expected,
            "counts": [(matrix[a][b], matrix[b][a]) for matrix in matrices],
        }
        for b in range(num_classes)
        for a in range(b)
    ]
    pairs.sort(key=_times, reverse=True)
    return [
        pair
        for place, pair in enumerate(pairs)
        if pair["expected"] or (place < _CONFUSED_PAIRS and _times(pair))
    ]


def _times(pair: Row) -> int:
    return sum(map(sum, pair["counts"]))


def _commands(evaluation: Row, runs: dict[str, Row]) -> list[str]:
    trainings = [run["environment"]["command"] for run in runs.values()]
    own = [[word for word in words if word != "--resume"] for words in trainings]
    rendering = ["report.py", evaluation["output"]]
    return [command_text(words) for words in [*own, evaluation["command"], rendering]]
