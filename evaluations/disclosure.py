"""What is shown of submissions that were graded on a private test set: a whole percent.

Whatever its answers are, a hand-in then tells of the labels its accuracy, rounded down to a whole
percent, and whether it passed. Those are at most 102 outcomes: 101 percents, of which the threshold
can divide one. An error tells nothing, since no label decides it. So k hand-ins, each planned after
the ones before, have at most 102**k outcomes, and of C classes their outcomes name no more than
k * log(102) / log(C) labels: about two a hand-in for ten classes, 100 labels for fifty hand-ins.
(A student who names m labels, each equally likely and independent, is right with a probability of
at most 102**k / C**m.) A confusion matrix, an exact count or a loss would tell far more.

The evaluation itself has every figure. It, and the report of it, are for whoever grades.
"""

from typing import Any

Row = dict[str, Any]

# All that does not depend on a label. Whatever comes to a row later is left out until it is here.
_WITHOUT_LABELS = (
    *("name", "source", "kind", "own", "status", "reason", "total", "notes", "isolation"),
    *("sha256", "files_sha256", "predictions_sha256", "duplicates", "duplicate_of"),
    *("student", "upload", "owner", "submitted_at", "late_on_canvas", "late", "rank"),
    *("architecture", "parameters", "epoch", "preprocessing"),
)


def disclosed(evaluation: dict[str, Any]) -> dict[str, Any]:
    """Return an evaluation as students, gradebooks and the terminal may have it.

    Of submissions on a private test set, each graded row keeps what does not depend on a label, and
    its ``accuracy`` is a whole percent. All other rows stay.
    """
    if evaluation["dataset"]["public"]:
        return evaluation
    return evaluation | {"results": [disclosed_row(row) for row in evaluation["results"]]}


def disclosed_row(row: Row) -> Row:
    """Return what is shown of a row on a private test set."""
    if row["own"] or row["status"] == "error":
        return row
    kept = {key: value for key, value in row.items() if key in _WITHOUT_LABELS}
    return kept | {"accuracy": float(100 * row["correct"] // row["total"])}


def is_rounded(row: Row) -> bool:
    """Tell whether the accuracy of a graded row is rounded down, and its other figures left out."""
    return "correct" not in row
