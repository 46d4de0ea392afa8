"""What a student reads of a row: a few lines on any platform, or Gradescope's results.json.

The rules of the latter are those of its documentation, specs.md and leaderboards.md in
https://github.com/gradescope/autograder_samples/tree/master/docs. No live platform was tried.
"""

import json
from typing import Any

from common.support import text
from evaluations import words
from evaluations.disclosure import is_rounded
from evaluations.rows import Row
from grading.gradebooks.points import points
from grading.gradebooks.spreadsheets import spreadsheet_cell

_BELOW = (
    "Train it better and hand in again. If you measured more yourself, see above how pixels became "
    "inputs: a file can declare its normalisation."
)


def feedback_text(row: Row, threshold: float) -> str:
    """Return the verdict, the accuracy, and what was done to the file; or why there is none."""
    if row["status"] == "error":
        return spreadsheet_cell(f"Could not be graded: {row['reason']}")
    passed = row["status"] == "pass"
    verdict = "Passed" if passed else f"Below the threshold of {threshold:.12g} %"
    accuracy = words.accuracy_words(row, threshold)
    if is_rounded(row):
        counted = f"{verdict}: {accuracy} of {row['total']} images recognised"
    else:
        low, high = row["accuracy_ci95"]
        counted = (
            f"{verdict}: {row['correct']} of {row['total']} images recognised, "
            f"{accuracy} (95 % interval {low:.2f} to {high:.2f})"
        )
    measured = words.preprocessing_text(row.get("preprocessing"))
    parts = [counted, measured and f"measured with {measured}", row["notes"]]
    return text.terminal_safe("; ".join(filter(None, parts)))


def gradescope_results(row: Row, threshold: float) -> str:
    """Return what students see of a row: its score is the accuracy, ``threshold`` is in percent.

    Nothing in it tells of another submission. Of a private test set ``row`` is as it is disclosed.
    """
    graded, passed = row["status"] != "error", row["status"] == "pass"
    feedback = feedback_text(row, threshold)
    read = _how_it_was_read(row) if graded else text.terminal_safe(row["reason"])
    advice = f"\n{_BELOW}" if graded and not passed else ""
    tests = [
        ("The file can be graded", graded, read),
        (f"Accuracy of at least {threshold:.12g} %", passed, f"{feedback}{advice}"),
    ]
    result: dict[str, Any] = {
        "score": float(points(row, threshold)) if graded else 0,
        "output": feedback,
        "output_format": "text",
        "stdout_visibility": "hidden",
        "tests": [
            {
                "name": name,
                "status": "passed" if is_passed else "failed",
                "output": output,
                "output_format": "text",
                "visibility": "visible",
            }
            for name, is_passed, output in tests
        ],
    }
    if graded:
        board = [("Accuracy", row["accuracy"], "desc"), ("Parameters", row["parameters"], "asc")]
        result["leaderboard"] = [
            {"name": name, "value": value, "order": order}
            for name, value, order in board
            if value is not None
        ]
    return json.dumps(result, indent=2, allow_nan=False) + "\n"


def _how_it_was_read(row: Row) -> str:
    kind = words.KINDS.get(row["kind"], "a file")
    size = f"{row['parameters']:,} parameters" if row["parameters"] is not None else ""
    lines = [f"Read as {', '.join(filter(None, [kind, row['architecture'], size]))}."]
    if row.get("preprocessing"):
        inputs = words.preprocessing_text(row["preprocessing"]) or "as in the assignment's recipe"
        lines.append(f"How pixels became inputs: {inputs}.")
    lines += [f"Note: {row['notes']}."] if row["notes"] else []
    lines.append(f"SHA-256: {row['sha256']}")
    return "\n".join(map(text.terminal_safe, lines))
