"""Gradescope's results.json for one submission.

The rules are those of its documentation, specs.md and leaderboards.md in
https://github.com/gradescope/autograder_samples/tree/master/docs. No live platform was tried.
"""

import json
from typing import Any

from common.support.text import accuracy_text, terminal_safe
from grading.gradebooks.feedback_text import feedback_text, how_it_was_read

_BELOW = (
    "Train it better and hand in again. If you measured more yourself, see above how pixels became "
    "inputs: a file can declare its normalisation."
)

Row = dict[str, Any]


def gradescope_results(row: Row, threshold: float) -> str:
    """Return what students see of a row: its score is the accuracy, ``threshold`` is in percent.

    Nothing in it tells of a single test image, or of another submission.
    """
    graded, passed = row["status"] != "error", row["status"] == "pass"
    feedback = feedback_text(row, threshold)
    tests = [
        {
            "name": "The file can be graded",
            "status": "passed" if graded else "failed",
            "output": how_it_was_read(row) if graded else terminal_safe(row["reason"]),
        },
        {
            "name": f"Accuracy of at least {threshold:.12g} %",
            "status": "passed" if passed else "failed",
            "output": f"{feedback}\n{_BELOW}" if graded and not passed else feedback,
        },
    ]
    result: dict[str, Any] = {
        "score": float(accuracy_text(row["accuracy"], threshold)) if graded else 0,
        "output": feedback,
        "output_format": "text",
        "stdout_visibility": "hidden",
        "tests": [{**test, "output_format": "text", "visibility": "visible"} for test in tests],
    }
    if graded:
        result["leaderboard"] = [{"name": "Accuracy", "value": row["accuracy"], "order": "desc"}]
        if row["parameters"] is not None:
            entry = {"name": "Parameters", "value": row["parameters"], "order": "asc"}
            result["leaderboard"].append(entry)
    return json.dumps(result, indent=2, allow_nan=False) + "\n"
