"""One's own training runs: measured in this process, since they are no stranger's, and compared.

Reading, checks and counting are those of any submission (``common.checkpoints``,
``common.grading``); only here can a run be chosen as the better model.
"""

import hashlib
import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from common import metrics
from common.answers import Answers, check_logits
from common.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from common.confidence import confidence_and_hits, describe_confidence
from common.data import LabelledImages
from common.errors import SubmissionError, UserError
from common.escaping import quoted
from common.files import read_json, readable
from common.grading import ungraded_row, with_answers
from common.loops import Batches, predict_logits
from common.models import count_parameters
from common.pixels import encode_pixels
from common.reference import ReferenceSet

_GALLERY_SIZE = 24
_COMPARED_SIZE = 12


class Measured(NamedTuple):
    """A row of the evaluation and, where the run could be measured, what later steps need."""

    row: dict[str, Any]
    logits: np.ndarray | None = None  # float32 [N, C]
    checkpoint: Checkpoint | None = None


def find_own_runs(folders: list[Path]) -> list[Path]:
    """Return those of ``folders`` that hold a training run.

    Raises
    ------
    UserError
        If none does.
    """
    runs = [folder for folder in folders if (folder / "metrics.json").exists()]
    if not runs:
        raise UserError(
            f"no training run in {' or '.join(map(str, folders))}: run train_base.py or "
            "train_improved.py first, or name the files to grade"
        )
    return runs


def batches_of(reference: ReferenceSet, device: torch.device) -> Batches:
    """Return the images in batches, in their order, on the device that computes."""
    images = torch.from_numpy(reference.images.copy())
    targets, image_set = torch.from_numpy(reference.targets), reference.image_set
    data = LabelledImages(images, targets, image_set.normalization)
    return Batches(data, batch_size=1000, device=device)


def measure_run(
    folder: Path, reference: ReferenceSet, batches: Batches, threshold: Fraction
) -> Measured:
    """Measure a run on the test images; what cannot be measured becomes an error row.

    Parameters
    ----------
    folder : Path
        With ``metrics.json`` and ``checkpoint.pth``.
    reference : ReferenceSet
        The test images, whose labels decide.
    batches : Batches
        The same images in the same order, on the device that computes.
    threshold : Fraction
        Percent of the images that must be recognised to pass.
    """
    row = ungraded_row(readable(folder.name), folder, "run", own=True)
    path = folder / "checkpoint.pth"
    try:
        if not path.exists():
            raise SubmissionError("the folder has no checkpoint.pth")
        row["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        metrics_path = folder / "metrics.json"
        row["metrics_sha256"] = hashlib.sha256(metrics_path.read_bytes()).hexdigest()
        document = _metrics_of(row["sha256"], metrics_path)
        _require_same_data(document, metrics_path, reference)
        checkpoint = load_checkpoint(path, reference.image_set.sizes)
        logits = predict_logits(checkpoint.model.to(batches.targets.device), batches).numpy()
        check_logits(logits)
        row["validation"] = _validation(document, metrics_path)
        temperature = _temperature(document, metrics_path)
    except (SubmissionError, UserError) as error:
        return Measured({**row, "reason": str(error)})
    except OSError as error:
        return Measured({**row, "reason": f"cannot be read: {error.strerror}"})
    answers = Answers(
        logits=logits,
        architecture=checkpoint.architecture,
        parameters=count_parameters(checkpoint.model),
        epoch=checkpoint.epoch,
        # What the file claims is the validation accuracy, which has its own place in the row.
        claimed_accuracy=None,
    )
    row = with_answers(row, answers, reference, threshold)
    row["confidence"] = describe_confidence(logits, reference.targets, temperature)
    row["misclassified"] = most_confident_errors(logits, reference)
    return Measured(row, logits, checkpoint)


def most_confident_errors(logits: np.ndarray, reference: ReferenceSet) -> list[dict[str, Any]]:
    """Return the wrong answers that the network was most sure of, with the images themselves."""
    _, correct = confidence_and_hits(logits, reference.targets)
    return _pictured(np.flatnonzero(~correct), logits, reference, limit=_GALLERY_SIZE)


def _pictured(
    indices: np.ndarray, logits: np.ndarray, reference: ReferenceSet, limit: int
) -> list[dict[str, Any]]:
    """Return those of ``indices`` whose answers are the most certain: images and answers."""
    confidence, _ = confidence_and_hits(logits, reference.targets)
    # A stable sort: equal confidences stay in the order of the images on every machine.
    chosen = indices[np.argsort(-confidence[indices], kind="stable")][:limit]
    return [
        {
            "index": int(index),
            "truth": int(reference.targets[index]),
            "answer": int(logits[index].argmax()),
            "probability": float(confidence[index]),
            "pixels": encode_pixels(reference.images[index]),
        }
        for index in chosen
    ]


def choose_best(measured: list[Measured]) -> Measured | None:
    """Return the run of one's own with the highest validation accuracy; the first of equals.

    The test set has no say in the choice, so the accuracy measured on it stays an honest estimate.
    """
    candidates = [item for item in measured if item.checkpoint and item.row["validation"]]
    return max(candidates, key=lambda item: item.row["validation"]["accuracy"], default=None)


def save_best(best: Measured, path: Path) -> None:
    """Save the better model with the accuracy that was measured on the test images."""
    model = best.checkpoint.model
    checkpoint = {
        "model_state_dict": {name: tensor.cpu() for name, tensor in model.state_dict().items()},
        "model_architecture": best.checkpoint.architecture,
        "model_args": model.model_args,
        "accuracy": best.row["accuracy"],
        "epoch": best.checkpoint.epoch,
    }
    save_checkpoint(path, checkpoint)


def compare_runs(measured: list[Measured], reference: ReferenceSet) -> list[dict[str, Any]]:
    """Return McNemar's exact test for each pair of one's own runs, and the images that decide it.

    ``indices_only_a`` are the images that ``a`` alone recognises, and ``missed_by_b`` shows those
    of them on which ``b`` was the most certain of its wrong answer; likewise the other way round.
    """
    known = [item for item in measured if item.logits is not None]
    return [_compare(a, b, reference) for a, b in itertools.combinations(known, 2)]


def _compare(a: Measured, b: Measured, reference: ReferenceSet) -> dict[str, Any]:
    _, correct_a = confidence_and_hits(a.logits, reference.targets)
    _, correct_b = confidence_and_hits(b.logits, reference.targets)
    only_a, only_b = np.flatnonzero(correct_a & ~correct_b), np.flatnonzero(correct_b & ~correct_a)
    return {
        "a": a.row["name"],
        "b": b.row["name"],
        **metrics.mcnemar_exact(correct_a, correct_b),
        "indices_only_a": only_a.tolist(),
        "indices_only_b": only_b.tolist(),
        "missed_by_a": _pictured(only_b, a.logits, reference, limit=_COMPARED_SIZE),
        "missed_by_b": _pictured(only_a, b.logits, reference, limit=_COMPARED_SIZE),
    }


def _metrics_of(checkpoint_sha256: str, path: Path) -> dict[str, Any]:
    """Return what metrics.json says, if it tells of this very checkpoint."""
    document = read_json(path)
    if document.get("checkpoint_sha256") != checkpoint_sha256:
        raise UserError(
            f"{path} tells of another checkpoint.pth: a write was cut short, or a file exchanged; "
            "go on with --resume, or train again"
        )
    return document


def _require_same_data(document: dict[str, Any], path: Path, reference: ReferenceSet) -> None:
    """Refuse a run that learned from another data set than the one it would be measured on."""
    data, image_set = document.get("data"), reference.image_set
    if not isinstance(data, dict) or data.keys().isdisjoint({"key", "normalization"}):
        raise UserError(f"{path} does not say what it was trained on: train again")
    if data.get("key") != image_set.key or data["normalization"] != list(image_set.normalization):
        raise UserError(
            f"trained on {quoted(data.get('name'))}, whose images are not those of "
            f"{image_set.title}: give the --dataset and --data-dir that it was trained with"
        )


def _temperature(document: dict[str, Any], path: Path) -> float | None:
    """Return the temperature that the training fitted on the validation images, if it did."""
    temperature = document.get("temperature")
    if temperature is None or (type(temperature) is float and 1e-6 < temperature < 1e6):
        return temperature
    raise UserError(f"{path} has a temperature that cannot be: train again")


def _validation(document: dict[str, Any], path: Path) -> dict[str, Any] | None:
    """Return the validation accuracy of a run's last epoch; null if it held nothing out."""
    try:
        accuracy, total = document["history"][-1]["val_accuracy"], document["data"]["val_size"]
        if accuracy is None:
            return None
        correct = round(accuracy * total / 100)
        interval = metrics.wilson_ci95(correct, total)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(f"{path} lacks its history or data: train again") from error
    return {
        "accuracy": accuracy,
        "accuracy_ci95": interval,
        "correct": correct,
        "total": total,
    }
