"""What a student reads of a row where a platform has room for a few lines only."""

from typing import Any

from common.support.text import KINDS, accuracy_text, preprocessing_text, terminal_safe
from grading.gradebooks.spreadsheets import spreadsheet_cell

Row = dict[str, Any]


def feedback_text(row: Row, threshold: float) -> str:
    """Return the verdict, the accuracy, and what was done to the file; or why there is none."""
    if row["status"] == "error":
        return spreadsheet_cell(f"Could not be graded: {row['reason']}")
    low, high = row["accuracy_ci95"]
    passed = row["status"] == "pass"
    verdict = "Passed" if passed else f"Below the threshold of {threshold:.12g} %"
    text = (
        f"{verdict}: {row['correct']} of {row['total']} images recognised, "
        f"{accuracy_text(row['accuracy'], threshold)} % (95 % interval {low:.2f} to {high:.2f})"
    )
    measured = preprocessing_text(row.get("preprocessing"))
    parts = [text, measured and f"measured with {measured}", row["notes"]]
    return terminal_safe("; ".join(filter(None, parts)))


def how_it_was_read(row: Row) -> str:
    """Return what a graded file was taken for: kind, architecture, size, inputs, checksum."""
    kind = KINDS.get(row["kind"], "a file")
    size = f"{row['parameters']:,} parameters" if row["parameters"] is not None else ""
    lines = [f"Read as {', '.join(filter(None, [kind, row['architecture'], size]))}."]
    if row.get("preprocessing"):
        inputs = preprocessing_text(row["preprocessing"]) or "as in the assignment's recipe"
        lines.append(f"How pixels became inputs: {inputs}.")
    lines += [f"Note: {row['notes']}."] if row["notes"] else []
    lines.append(f"SHA-256: {row['sha256']}")
    return "\n".join(map(terminal_safe, lines))
