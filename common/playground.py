"""playground.json: the better model made small enough for a page, and digits to try it on."""

from pathlib import Path
from typing import Any

import numpy as np

from common.arguments import command_line
from common.confidence import confidence_and_hits
from common.image_sets import ImageSet
from common.loops import Batches, predict_logits
from common.metrics import accuracy_percent, wilson_ci95
from common.own_runs import Measured, most_confident_errors
from common.pixels import encode_pixels
from common.quantization import dequantized_network, quantize_network
from common.reference import ReferenceSet, read_part

# Training images of each digit to look for neighbours among, at 1.1 MB of page for each 100. The
# nearest of them has the test image's own digit in 88.7 % of cases with 100, in 91.7 % with 200
# (python bench/playground.py).
PER_DIGIT = 100
SEED = 42

_RECOGNISED_PER_DIGIT = 2


def describe_playground(
    best: Measured, reference: ReferenceSet, batches: Batches, data_dir: Path
) -> dict[str, Any]:
    """Return what ``playground.json`` holds.

    Parameters
    ----------
    best : Measured
        The run that was chosen, with its logits and its checkpoint.
    reference : ReferenceSet
        The test images.
    batches : Batches
        The same images in the same order, on the device that computes.
    data_dir : Path
        Where the training images are.

    Raises
    ------
    UserError
        If the training images cannot be read.
    """
    model, row = best.checkpoint.model, best.row
    layers = quantize_network(model)
    network = dequantized_network(layers).to(batches.targets.device)
    logits = predict_logits(network, batches).numpy()
    return {
        "command": command_line(),
        "run": {key: row[key] for key in ("name", "sha256", "architecture", "parameters")},
        "test_set": {
            "title": reference.image_set.title,
            "name": reference.name,
            "size": reference.size,
            "md5": reference.md5,
        },
        "float_network": _measured(best.logits, reference),
        "quantized_network": {
            **_measured(logits, reference),
            "other_answers": int((logits.argmax(axis=1) != best.logits.argmax(axis=1)).sum()),
        },
        "network": {
            "pixel_mean": reference.image_set.normalization.mean,
            "pixel_std": reference.image_set.normalization.std,
            "layers": [layer.as_json() for layer in layers],
        },
        "test_digits": {
            "misclassified": most_confident_errors(logits, reference),
            "recognised": first_recognised(logits, reference),
        },
        "training_digits": sample_training_digits(reference.image_set, data_dir),
    }


def sample_training_digits(
    image_set: ImageSet, data_dir: Path, per_digit: int = PER_DIGIT
) -> dict[str, Any]:
    """Draw ``per_digit`` of the training images of each digit at random, always the same ones.

    Raises
    ------
    UserError
        If the training images cannot be read.
    """
    images, targets, _ = read_part(image_set, data_dir, "train")
    per_digit = min(per_digit, *np.bincount(targets).tolist())
    generator = np.random.default_rng(SEED)
    chosen = [
        np.sort(generator.choice(np.flatnonzero(targets == digit), per_digit, replace=False))
        for digit in range(image_set.sizes.num_classes)
    ]
    return {
        "name": f"{image_set.title} training images",
        "size": len(targets),
        "per_digit": per_digit,
        "seed": SEED,
        "images": [
            {"index": int(i), "digit": digit, "pixels": encode_pixels(images[i])}
            for digit, indices in enumerate(chosen)
            for i in indices
        ],
    }


def first_recognised(logits: np.ndarray, reference: ReferenceSet) -> list[dict[str, Any]]:
    """Return the first test images of each digit that the network recognises."""
    confidence, correct = confidence_and_hits(logits, reference.targets)
    return [
        {
            "index": int(i),
            "truth": digit,
            "answer": digit,
            "probability": float(confidence[i]),
            "pixels": encode_pixels(reference.images[i]),
        }
        for digit in range(reference.image_set.sizes.num_classes)
        for i in np.flatnonzero(correct & (reference.targets == digit))[:_RECOGNISED_PER_DIGIT]
    ]


def _measured(logits: np.ndarray, reference: ReferenceSet) -> dict[str, Any]:
    correct = int((logits.argmax(axis=1) == reference.targets).sum())
    return {
        "correct": correct,
        "total": reference.size,
        "accuracy": accuracy_percent(correct, reference.size),
        "accuracy_ci95": wilson_ci95(correct, reference.size),
    }
