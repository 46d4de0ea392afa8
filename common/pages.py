"""The report as a page: figures and numbers go into the templates, one HTML text comes out."""

import base64
import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from common import plots
from common.escaping import printable
from common.history import PUBLISHED_RESULTS
from common.pixels import decode_pixels
from common.terminal import remarks

_TEMPLATES = Path(__file__).parent.parent / "templates"


def render_report(
    evaluation: dict[str, Any], runs: dict[str, dict[str, Any]], sources: dict[str, str]
) -> str:
    """Return the whole page.

    Parameters
    ----------
    evaluation : dict
        What evaluate.py wrote.
    runs : dict
        ``metrics.json`` of the runs in it, by name; a run without one has no curves and no recipe.
    sources : dict
        SHA-256 sums of the files that all this was read from, by name: the page holds them, so that
        it can be told later what it was made of (``bench/verify.py``).
    """
    # Every string of a file is a stranger's: autoescape is on, and only our own SVG is Markup.
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": _percent,
        "interval": _interval,
        "digit_uri": _digit_uri,
        "duration": _duration,
        "sure": _sure,
        "shown": printable,
        "remarks": remarks,
    }
    rows = evaluation["results"]
    measured = {row["name"]: row for row in rows if row["own"] and row["status"] != "error"}
    histories = {name: run["history"] for name, run in runs.items() if name in measured}
    submissions = [row for row in rows if not row["own"] or row["status"] == "error"]
    graded = [row for row in submissions if row["status"] != "error"]
    return environment.get_template("report.html").render(
        evaluation=evaluation,
        rows=rows,
        measured=measured,
        best=measured.get(evaluation["best"]),
        submissions=sorted(submissions, key=_by_verdict),
        runs=runs,
        sources=sources,
        data=next((run["data"] for run in runs.values()), None),
        recipes={name: _flatten(run["recipe"]) for name, run in runs.items()},
        published=PUBLISHED_RESULTS,
        figures=_figures(measured, histories, graded, evaluation["threshold"]),
    )


def _by_verdict(row: dict[str, Any]) -> tuple[int, str]:
    return ("pass", "fail", "error").index(row["status"]), row["name"]


def _figures(
    measured: dict[str, dict[str, Any]],
    histories: dict[str, plots.History],
    graded: list[dict[str, Any]],
    threshold: float,
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    if graded:
        accuracies = [row["accuracy"] for row in graded]
        figures["distribution"] = plots.accuracy_distribution(accuracies, threshold)
    if histories:
        figures["loss"] = plots.learning_curves(histories, "loss", "loss")
        figures["accuracy"] = plots.learning_curves(histories, "accuracy", "accuracy, %")
        figures["learning_rate"] = plots.learning_rates(histories)
    if measured:
        per_class = {name: row["per_class"] for name, row in measured.items()}
        figures["per_class"] = plots.per_class_accuracy(per_class)
        figures["published"] = plots.compare_with_published(PUBLISHED_RESULTS, measured)
    figures = {name: Markup(svg) for name, svg in figures.items()}
    figures["confusion"] = {
        name: Markup(plots.confusion_heatmap(row["confusion_matrix"], name))
        for name, row in measured.items()
    }
    return figures


def _flatten(recipe: dict[str, Any]) -> dict[str, str]:
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


def _percent(value: float) -> str:
    # A no-break space keeps the number and its unit on one line.
    return f"{value:.2f}\N{NO-BREAK SPACE}%"


def _interval(ends: list[float]) -> str:
    return f"{ends[0]:.2f}\N{EN DASH}{ends[1]:.2f}"


def _sure(probability: float) -> str:
    # Rounded down, so that only certainty is called 100 %.
    return _percent(math.floor(10_000 * probability) / 100)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes}\N{NO-BREAK SPACE}min {rest:02d}\N{NO-BREAK SPACE}s"
        if minutes
        else f"{seconds:.1f}\N{NO-BREAK SPACE}s"
    )


def _digit_uri(pixels: str) -> str:
    png = plots.digit_png(decode_pixels(pixels))
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
