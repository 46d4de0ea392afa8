"""Documents are checked before anything is rendered from them or taken over from them.

So an exception later on is a bug of ours, and not the fault of a user's file. The types are those
of ``evaluations.schemas``; here is checked what the fields say of each other.
"""

import functools
from fractions import Fraction
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from common.support.errors import UserError
from common.support.text import terminal_safe
from evaluations.schemas import ErrorRow, Evaluation, GradedRow, Metrics, OwnRow


def check(document: dict[str, Any], kind: type, path: Path, advice: str) -> None:
    """Refuse a document that is not of a kind, by a UserError with the first place that differs."""
    if problem := _type_problem(document, kind):
        raise UserError(f"{path}: {problem}: {advice}")


def check_evaluation(evaluation: dict[str, Any], path: Path) -> None:
    """Refuse an evaluation that evaluate.py cannot have written: a verdict above all.

    Raises UserError, naming the file and the first thing that is wrong.
    """
    advice = "run evaluate.py again"
    check(evaluation, Evaluation, path, advice)
    num_classes = len(evaluation["dataset"]["classes"])
    for number, row in enumerate(evaluation["results"], start=1):
        if problem := row_problem(row, evaluation["threshold"], num_classes):
            raise UserError(f"{path}: row {number}: {problem}: {advice}")
    own = [row for row in evaluation["results"] if row["own"]]
    measured = [row for row in own if row["status"] != "error"]
    names = [row["name"] for row in own]
    pictures = [p for c in evaluation["comparisons"] for p in c["missed_by_a"] + c["missed_by_b"]]
    chosen = [row["name"] for row in measured if row["validation"]]
    coverages = {tuple(p["coverage"] for p in row["confidence"]["coverage"]) for row in measured}
    if len(set(names)) < len(names):
        raise UserError(f"{path}: two runs have the same name: {advice}")
    if evaluation["best"] not in [None, *chosen]:
        raise UserError(f"{path}: the better model is no run that was measured: {advice}")
    if _highest_class(pictures) >= num_classes or len(coverages) > 1:
        raise UserError(f"{path}: the comparisons do not fit the rows: {advice}")


def row_problem(row: object, threshold: float, num_classes: int) -> str | None:
    """Return what is wrong with a row of an evaluation; None if evaluate.py can have written it."""
    if not isinstance(row, dict):
        return "is no row"
    is_graded = row.get("status") != "error"
    kind = (OwnRow if row.get("own") is True else GradedRow) if is_graded else ErrorRow
    if problem := _type_problem(row, kind):
        return problem
    if not is_graded:
        return None
    matrix, correct, total = row["confusion_matrix"], row["correct"], row["total"]
    confused = row["confused"] if row["own"] else []
    pairs = row["most_confused"] + row["named_confusions"] + row["misclassified"] + confused
    if [len(line) for line in matrix] != [num_classes] * num_classes:
        return f"confusion_matrix is not {num_classes} x {num_classes}"
    if [entry["class"] for entry in row["per_class"]] != list(range(num_classes)):
        return f"per_class does not list {num_classes} classes"
    if any(e["total"] and None in (e["accuracy"], e["accuracy_ci95"]) for e in row["per_class"]):
        return "per_class has no accuracy for a class that has images"
    if row["own"] and not _inspection_fits(row, num_classes):
        return "inspection does not fit its row"
    if _highest_class(pairs) >= num_classes:
        return f"an error names a class that is not 0 to {num_classes - 1}"
    if len({len(picture["pixels"]) for picture in confused}) > 1:
        return "confused has images of several sizes"
    if sum(map(sum, matrix)) != total or sum(matrix[i][i] for i in range(num_classes)) != correct:
        return "confusion_matrix does not add up to correct and total"
    if row["accuracy"] != 100 * correct / total:
        return f"accuracy is not {correct} of {total}"
    # A float prints as the decimal number that --threshold was given as.
    passed = 100 * correct >= Fraction(str(threshold)) * total
    if (row["status"] == "pass") != passed:
        status = row["status"]
        return f"status is {status} for {correct} of {total} at a threshold of {threshold:.12g} %"
    return None


def _inspection_fits(row: dict[str, Any], num_classes: int) -> bool:
    inspection = row.get("inspection")
    if inspection is None:
        return True
    classes = [unit["class"] for unit in inspection["units"]]
    highest = max([*classes, _highest_class(inspection["plane"])])
    return highest < num_classes and len(inspection["decisive"]) == len(row["misclassified"])


def check_metrics(metrics: dict[str, Any], path: Path) -> None:
    """Refuse a run's metrics.json that a training script cannot have written.

    Raises UserError, naming the file and the first thing that is wrong.
    """
    advice = "train again"
    check(metrics, Metrics, path, advice)
    data = metrics["data"]
    num_classes = len(data["classes"])
    counts = [len(data["class_counts"][split]) for split in ("train", "val")]
    samples = [sample["class"] for sample in data["samples"]]
    validations = [_validation_problem(epoch) for epoch in metrics["history"]]
    if counts != [num_classes] * 2 or max(samples, default=-1) >= num_classes:
        raise UserError(f"{path}: data does not fit its {num_classes} classes: {advice}")
    if len(data.get("distorted", [])) > len(samples):
        raise UserError(f"{path}: data has more distorted images than samples: {advice}")
    if problem := next(filter(None, validations), None):
        raise UserError(f"{path}: {problem}: {advice}")
    if len({epoch["val_total"] is None for epoch in metrics["history"]}) > 1:
        raise UserError(f"{path}: only some epochs were validated: {advice}")


def _validation_problem(epoch: dict[str, Any]) -> str | None:
    correct, total = epoch["val_correct"], epoch["val_total"]
    values = (epoch["val_loss"], epoch["val_accuracy"], correct, total)
    if None in values:
        return None if set(values) == {None} else "an epoch was validated only in part"
    if correct > total or epoch["val_accuracy"] != 100 * correct / total:
        return f"val_accuracy is not {correct} of {total}"
    return None


def _type_problem(document: object, kind: type) -> str | None:
    try:
        _adapter(kind).validate_python(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = terminal_safe(".".join(str(part)[:40] for part in first["loc"]))
        if first["type"] == "missing":
            return f"{place} is missing"
        return terminal_safe(f"{place or 'the document'}: {first['msg']}")
    return None


@functools.cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _highest_class(pairs: list[dict[str, Any]]) -> int:
    return max((pair[key] for pair in pairs for key in ("true", "predicted")), default=-1)
