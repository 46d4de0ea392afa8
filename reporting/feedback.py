"""A page for each student: what their submission is worth, and what to do if it is not graded.

Nothing on it tells of another student: the class is a distribution, and only if it is large enough.
"""

import functools
from collections.abc import Sequence
from typing import Any

from jinja2 import Template
from markupsafe import Markup

from common.support.text import KINDS
from reporting.figures import plots
from reporting.figures.svg import MAX_NAMED
from reporting.pages import jinja_environment

# In a smaller class the distribution could tell who has which accuracy.
MIN_CLASS = 5

Row = dict[str, Any]


def render_feedback(evaluation: Row, accuracies: Sequence[float], row: Row) -> str:
    """Return the page of one row.

    ``evaluation`` is without its rows, ``accuracies`` those of all that could be graded.
    """
    threshold, dataset = evaluation["threshold"], evaluation["dataset"]
    graded = row["status"] != "error"
    page: Row = {
        "evaluation": evaluation,
        "row": row,
        "classes": dataset["classes"],
        "noun": dataset["noun"],
        "max_named": MAX_NAMED,
        "kind": KINDS.get(row["kind"]),
        "distribution": _distribution(accuracies, threshold, row["accuracy"] if graded else None),
        "num_graded": len(accuracies),
        "sources": {},
        "sections": (),
    }
    return _template().render(page)


@functools.cache
def _template() -> Template:
    return jinja_environment().get_template("feedback.html")


@functools.cache
def _distribution(
    accuracies: tuple[float, ...], threshold: float, marked: float | None
) -> Markup | None:
    if len(accuracies) < MIN_CLASS:
        return None
    return plots.accuracy_distribution(accuracies, threshold, marked)
