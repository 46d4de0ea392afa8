"""One's own training runs: measured in this process, since they are trusted, and compared.

Their answers are counted as any submission's are. Only here can a run be chosen as the better
model.
"""

import hashlib
import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from common import metrics
from common.checkpoints import describe_model, load_checkpoint, save_checkpoint
from common.data.arrays import LabelledImages
from common.data.catalog import Dataset
from common.data.pixels import encode_pixels
from common.loops import Batches, predict_logits
from common.models import count_parameters
from common.support.errors import SubmissionError, UserError
from common.support.files import read_json
from common.support.text import json_text, quoted
from evaluations import rows
from evaluations.validation import check_metrics
from own_runs.corruptions import CORRUPTIONS

_COMPARED_SIZE, _ERRORS_SHOWN = 12, 5

# What measuring on changed images costs grows with both.
_SAMPLE_SIZE = 1000
_MAX_CHANGED = 4  # runs


class Measured(NamedTuple):
    """A run that was measured: its row, and what later steps need."""

    row: rows.Row
    answers: rows.LogitAnswers
    model: nn.Module


class Unmeasured(NamedTuple):
    """A run that could not be measured: its row has the reason."""

    row: rows.Row


def measure_run(
    folder: Path, test_set: LabelledImages, batches: Batches, threshold: Fraction
) -> Measured | Unmeasured:
    """Measure a run on the test images: ``batches`` has them in order; threshold in percent."""
    row = rows.ungraded_row(json_text(folder.name), folder, "run", own=True)
    path = folder / "checkpoint.pth"
    try:
        if not path.exists():
            raise SubmissionError("the folder has no checkpoint.pth")
        row["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        metrics_path = folder / "metrics.json"
        row["metrics_sha256"] = hashlib.sha256(metrics_path.read_bytes()).hexdigest()
        document = read_json(metrics_path)
        check_metrics(document, metrics_path)
        _require_match(document, metrics_path, row["sha256"], test_set.dataset)
        model = load_checkpoint(path).model
        logits = predict_logits(model.to(batches.targets.device), batches).numpy()
        rows.check_logits(logits)
    except (SubmissionError, UserError) as error:
        return Unmeasured({**row, "reason": str(error)})
    except OSError as error:
        return Unmeasured({**row, "reason": f"cannot be read: {error.strerror}"})
    last_epoch = document["history"][-1]
    info = rows.FileInfo(
        architecture=type(model).__name__,
        parameters=count_parameters(model),
        epoch=last_epoch["epoch"],
    )
    answers = rows.LogitAnswers(logits, info)
    row = rows.graded_row(row, answers, test_set, threshold)
    val_correct, val_total = last_epoch["val_correct"], last_epoch["val_total"]
    # Null if the run held nothing out.
    row["validation"] = metrics.proportion(val_correct, val_total) if val_total else None
    row["confidence"] = metrics.describe_confidence(
        logits, test_set.targets, document["temperature"]
    )
    row["misclassified"] = rows.most_confident_errors(answers, test_set, _ERRORS_SHOWN)
    row["confused"] = rows.of_each_confusion(answers, test_set)
    return Measured(row, answers, model)


def by_validation(measured: list[Measured]) -> list[Measured]:
    """Return those that held out validation images, the highest accuracy on them first."""
    candidates = [run for run in measured if run.row["validation"]]
    return sorted(candidates, key=lambda run: -run.row["validation"]["accuracy"])


def choose_best(measured: list[Measured]) -> Measured | None:
    """Return the run of one's own with the highest validation accuracy; the first of equals.

    The test images have no say in the choice, so the accuracy on them stays an honest estimate.
    """
    return next(iter(by_validation(measured)), None)


def save_best(best: Measured | None, dataset: Dataset, path: Path) -> None:
    """Save the better model with the accuracy that was measured on the test images.

    Without one an earlier file is removed: it would contradict the evaluation beside it.
    """
    if best is None:
        path.unlink(missing_ok=True)
        return
    more = {"accuracy_total": best.row["total"]}
    more |= {key: best.row[key] for key in ("accuracy", "epoch")}
    described = describe_model(best.model, dataset.normalization, dataset.classes)
    save_checkpoint(path, {**described, **more})


def compare_runs(
    measured: list[Measured], best: Measured | None, test_set: LabelledImages
) -> list[dict[str, Any]]:
    """Return McNemar's exact test of each run against the best, and the images that decide it.

    Without a best one they are compared with the first. In each pair ``a`` is the run that comes
    first in ``measured``. ``indices_only_a`` are the images that ``a`` alone recognises, and
    ``missed_by_b`` shows those of them on which ``b`` was the most certain of its wrong answer;
    likewise the other way round.
    """
    comparisons, reference = [], best or next(iter(measured), None)
    for a, b in itertools.combinations(measured, 2):
        if not any(run is reference for run in (a, b)):
            continue
        correct_a, correct_b = (run.answers.classes == test_set.targets for run in (a, b))
        only_a = np.flatnonzero(correct_a & ~correct_b)
        only_b = np.flatnonzero(correct_b & ~correct_a)
        comparisons.append(
            {
                "a": a.row["name"],
                "b": b.row["name"],
                **metrics.mcnemar_exact(correct_a, correct_b),
                "indices_only_a": only_a.tolist(),
                "indices_only_b": only_b.tolist(),
                "missed_by_a": rows.pictured(only_b, a.answers, test_set, _COMPARED_SIZE),
                "missed_by_b": rows.pictured(only_a, b.answers, test_set, _COMPARED_SIZE),
            }
        )
    return comparisons


def measure_robustness(
    measured: list[Measured],
    test_set: LabelledImages,
    device: torch.device,
    size: int = _SAMPLE_SIZE,
) -> dict[str, Any]:
    """Measure runs on ``size`` test images, the same each time, that are changed in several ways.

    The choice of a run never uses this. Of more than four runs, those with the highest validation
    accuracy are measured: each takes about half a second. ``corruptions`` has a row for each of
    ``CORRUPTIONS``, with the accuracy of each run, and ``pixels``: the first image, changed.
    """
    ranked = sorted(measured, key=_validation_accuracy, reverse=True)[:_MAX_CHANGED]
    order = np.random.default_rng(0).permutation(len(test_set))
    sample = test_set.select(order[:size])
    corrupted = []
    for corruption in CORRUPTIONS:
        changed = replace(sample, images=corruption.apply(sample.images))
        batches = Batches(changed, batch_size=1000, device=device)
        corrupted.append(
            {
                "name": corruption.name,
                "group": corruption.group,
                "pixels": encode_pixels(changed.images[0]),
                "runs": [
                    {"run": run.row["name"], **_accuracy(run.model, batches)} for run in ranked
                ],
            }
        )
    return {"size": len(sample), "corruptions": corrupted}


def _validation_accuracy(run: Measured) -> float:
    return run.row["validation"]["accuracy"] if run.row["validation"] else 0.0


def _accuracy(model: nn.Module, batches: Batches) -> dict[str, Any]:
    predicted = predict_logits(model, batches).argmax(dim=1)
    return metrics.proportion(int((predicted == batches.targets.cpu()).sum()), len(predicted))


def _require_match(document: dict[str, Any], path: Path, checksum: str, dataset: Dataset) -> None:
    """Refuse a metrics.json of another checkpoint, or of another data set than the one measured on.

    ``checksum`` is the checkpoint's.
    """
    if document["checkpoint_sha256"] != checksum:
        raise UserError(
            f"{path} describes another checkpoint.pth: a write was cut short, or a file replaced; "
            "continue with --resume, or train again"
        )
    data = document["data"]
    now = {"normalization": list(dataset.normalization), "classes": list(dataset.classes)}
    if any(data[key] != value for key, value in {"key": dataset.key, **now}.items()):
        raise UserError(
            f"trained on {quoted(data['name'])}, whose images are not those of {dataset.title}: "
            "give the --dataset and --data-dir that it was trained with"
        )
