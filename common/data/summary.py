"""What to know about a data set before training, as JSON values."""

from typing import Any

import numpy as np

from common.data.arrays import LabelledImages, pixel_moments
from common.data.pixels import encode_pixels

# Classes that are shown by an image; more would fill metrics.json with pictures.
MAX_SAMPLES = 20


def describe(
    everything: LabelledImages, train: LabelledImages, val: LabelledImages
) -> dict[str, Any]:
    """Return sizes, class counts, and mean and standard deviation of the pixels in [0, 1].

    ``samples`` holds the first image of each class, up to ``MAX_SAMPLES`` of them, and the mean of
    all of its images, as ``common.data.pixels`` encodes them.
    """
    dataset = everything.dataset
    mean, std = pixel_moments(everything.images)
    num_classes = len(dataset.classes)
    return {
        "key": dataset.key,
        "name": dataset.title,
        "classes": list(dataset.classes),
        "noun": dataset.noun,
        "image_shape": [1, *everything.images.shape[1:]],
        "train_size": len(train),
        "val_size": len(val),
        "class_counts": {
            "train": class_counts(train.targets, num_classes),
            "val": class_counts(val.targets, num_classes),
        },
        "pixel_mean": mean,
        "pixel_std": std,
        "normalization": list(dataset.normalization),
        "samples": [
            _sample_of_class(everything, int(label))
            for label in np.unique(everything.targets)[:MAX_SAMPLES]
        ],
    }


def class_counts(targets: np.ndarray, num_classes: int) -> list[int]:
    """Return how many of ``targets`` are 0, 1, ..., ``num_classes - 1``."""
    return np.bincount(targets, minlength=num_classes).tolist()


def _sample_of_class(everything: LabelledImages, label: int) -> dict[str, Any]:
    indices = np.flatnonzero(everything.targets == label)
    mean = np.rint(everything.images[indices].mean(axis=0)).astype(np.uint8)
    return {
        "class": label,
        "index": int(indices[0]),
        "pixels": encode_pixels(everything.images[indices[0]]),
        "mean_pixels": encode_pixels(mean),
    }
