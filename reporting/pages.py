"""The report as a page: figures and numbers go into the templates, one HTML text comes out."""

import base64
import functools
import io
import math
import shlex
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from matplotlib import image as matplotlib_image

import common
from common.data.catalog import MNIST_SPEC
from common.data.pixels import decode_pixels
from common.support.text import accuracy_text, terminal_safe
from reporting.figures import counts, curves, dot_plots
from reporting.figures.svg import MAX_NAMED, label_text, with_styles
from reporting.published import PUBLISHED_RESULTS
from reporting.terminal import remarks

TEMPLATES = Path(common.__path__[0]).parent / "templates"

_CONFUSED_PAIRS = 6

_MNIST_MD5 = {name: MNIST_SPEC.md5[name] for name in MNIST_SPEC.files["test"]}

# A no-break space keeps a number and its unit on one line.
_NBSP = "\N{NO-BREAK SPACE}"
_PERCENT = f"{{:.2f}}{_NBSP}%"


class Section(NamedTuple):
    """A part of the page: ``templates/sections/<name>.html`` under a heading."""

    name: str
    title: str
    needs: str  # the variable of the page that has to hold something for it to be shown


# In their order. A new one is a partial and a line here.
_SECTIONS = (
    Section("learning", "How they learned", needs="histories"),
    Section("models", "Models", needs="own"),
    Section("errors", "Errors", needs="measured"),
    Section("confidence", "Confidence", needs="measured"),
    Section("history", "Published results", needs="published"),
    Section("data", "Data", needs="data"),
    Section("recipes", "Recipes and environment", needs="runs"),
    Section("ungraded", "Could not be graded", needs="ungraded"),
    Section("graded", "Graded", needs="graded"),
    Section("grading", "How it was graded", needs="submissions"),
)

Row = dict[str, Any]


def render_report(evaluation: Row, runs: dict[str, Row], sources: dict[str, str]) -> str:
    """Return the whole page.

    ``runs`` has the ``metrics.json`` of runs by name; a run without one has no curves and no
    recipe. ``sources`` has the SHA-256 sum of each file that was read: the page holds them, so that
    ``bench.checks.verify`` can tell what it was made of.
    """
    rows, dataset = evaluation["results"], evaluation["dataset"]
    own = [row for row in rows if row["own"]]
    measured = {row["name"]: row for row in own if row["status"] != "error"}
    submissions = [row for row in rows if not row["own"]]
    graded = [row for row in submissions if row["status"] != "error"]
    # A command stands elsewhere on the page.
    environments = [
        {k: _setting(v) for k, v in run["environment"].items() if k != "command"}
        for run in runs.values()
    ]
    page = {
        "evaluation": evaluation,
        "rows": rows,
        "own": own,
        "measured": measured,
        "broken": [row for row in own if row["status"] == "error"],
        "best": measured.get(evaluation["best"]),
        "pairs": _confused_pairs(measured, len(dataset["classes"])),
        "submissions": submissions,
        "graded": sorted(
            graded, key=lambda row: (row["status"] != "pass", row.get("rank") or 0, row["name"])
        ),
        "ungraded": _by_reason([row for row in submissions if row["status"] == "error"]),
        "runs": runs,
        "histories": {name: run["history"] for name, run in runs.items() if name in measured},
        "sources": sources,
        "data": next((run["data"] for run in runs.values()), None),
        "recipes": side_by_side([flatten_recipe(run["recipe"]) for run in runs.values()]),
        "environments": side_by_side(environments),
        "commands": _commands(evaluation, runs),
        # On other images they would compare what cannot be compared.
        "published": PUBLISHED_RESULTS if measured and dataset["md5"] == _MNIST_MD5 else (),
        "min_drawn": curves.MIN_DRAWN,
        "max_named": MAX_NAMED,
        "classes": dataset["classes"],
        "noun": dataset["noun"],
    }
    page["figures"] = _figures(page)
    return render("report.html", page, _SECTIONS)


@functools.cache
def _template(name: str) -> Template:
    """Return a template, with the filters that it uses."""
    # Every string of a file is a stranger's: autoescape is on, and only our own SVG is Markup.
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= _FILTERS
    return environment.get_template(name)


def render(name: str, page: Row, sections: Sequence[Section] = ()) -> str:
    """Return a template filled with a page's variables, with the sections that need no others."""
    shown = [section for section in sections if page[section.needs]]
    return _template(name).render(page, sections=shown)


def command_text(words: list[str]) -> str:
    """Return a script's name and arguments as a line to put into a shell."""
    return terminal_safe(shlex.join(["python", *words]))


def side_by_side(columns: list[dict[str, str]]) -> list[Row]:
    """Return a row for each key of any column: ``name``, ``cells``, and whether they differ."""
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [(name, [column.get(name, "–") for column in columns]) for name in names]
    return [
        {"name": name.replace("_", " "), "cells": cells, "differs": len(set(cells)) > 1}
        for name, cells in rows
    ]


def _by_reason(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    """Return the rows of each reason, the most frequent reason first, and rows by name."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["name"]):
        groups[row["reason"]].append(row)
    return sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))


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
            for name, row, style in with_styles(measured)
        },
    }
    if page["graded"]:
        accuracies = [row["accuracy"] for row in page["graded"]]
        figures["distribution"] = counts.accuracy_distribution(accuracies, threshold)
    if histories:
        figures["loss"] = curves.loss_curves(histories)
        figures["accuracy"] = curves.accuracy_curves(histories)
        figures["learning_rate"] = curves.learning_rates(histories)
    if measured:
        per_class = {name: row["per_class"] for name, row in measured.items()}
        coverage = {name: row["confidence"]["coverage"] for name, row in measured.items()}
        figures["accuracies"] = dot_plots.accuracies(measured, threshold)
        figures["per_class"] = dot_plots.per_class_accuracy(per_class, classes, page["noun"])
        figures["coverage"] = curves.accuracy_against_coverage(coverage)
    if page["data"]:
        data = page["data"]
        figures["counts"] = counts.class_counts(data["class_counts"], data["classes"], page["noun"])
    if page["best"] and len(classes) <= counts.MAX_CELLS:
        figures["changes"] = {
            name: counts.confusion_difference(page["best"], row, classes, page["noun"])
            for name, row in measured.items()
            if counts.confusion_changes(page["best"], row).any()
        }
    if page["published"]:
        figures["published"] = dot_plots.compare_with_published(page["published"], measured)
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


def flatten_recipe(recipe: Row) -> dict[str, str]:
    """Return a recipe's nested settings as one level of text: ``optimizer lr`` -> ``0.001``."""
    flat = {}
    for key, value in recipe.items():
        if isinstance(value, dict):
            flat[key] = str(value.get("name"))
            flat |= {f"{key} {k}": _setting(v) for k, v in value.items() if k != "name"}
        else:
            flat[key] = _setting(value)
    return flat


def _setting(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_setting, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _points(value: float) -> str:
    # What is not 0 is not shown as 0.00.
    shown = f"{value:.2f}" if value == 0 or abs(value) >= 0.005 else f"{value:.1g}"
    return f"{shown}{_NBSP}points"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}{_NBSP}min {rest:02d}{_NBSP}s" if minutes else f"{seconds:.1f}{_NBSP}s"


def image_png(image: np.ndarray) -> bytes:
    """Return an image (uint8, shape [side, side], 255 is ink) as a PNG of dark ink on white."""
    buffer = io.BytesIO()
    metadata: Any = {"Software": None}  # the page should not depend on matplotlib's version
    style: Any = {"cmap": "gray_r", "vmin": 0, "vmax": 255}
    matplotlib_image.imsave(buffer, image, format="png", metadata=metadata, **style)
    return buffer.getvalue()


def _image_uri(pixels: str) -> str:
    png = image_png(decode_pixels(pixels))
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


# The filters that the templates use.
_FILTERS = {
    "percent": _PERCENT.format,
    "accuracy": lambda row, threshold: f"{accuracy_text(row['accuracy'], threshold)}{_NBSP}%",
    # Rounded down, so that only certainty is called 100 %.
    "sure": lambda probability: _PERCENT.format(math.floor(10_000 * probability) / 100),
    "points": _points,
    "signed": lambda value: f"{value:+.3f}".replace("-", "\N{MINUS SIGN}"),
    "interval": "{0[0]:.2f}\N{EN DASH}{0[1]:.2f}".format,
    "duration": _duration,
    "plural": lambda noun: f"{noun}es" if noun.endswith("s") else f"{noun}s",
    "image_uri": _image_uri,
    "label": lambda value: label_text(str(value)),
    "remarks": remarks,
}
