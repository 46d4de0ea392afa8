"""The training images: split into those to train on and to validate on, and described."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split

from common.data.arrays import LabelledImages, load_split, pixel_moments
from common.data.catalog import DatasetSpec
from common.data.pixels import encode_pixels
from common.support.errors import UserError

# Classes that are shown by an image; more would fill metrics.json with pictures.
MAX_SAMPLES = 20


class TrainingData(NamedTuple):
    """The training images in two parts, and what ``describe`` says of them."""

    train: LabelledImages
    val: LabelledImages
    summary: dict[str, Any]


def load_training_data(spec: DatasetSpec, data_dir: Path, val_size: int, seed: int) -> TrainingData:
    """Read the training images and split them, stratified by class. No test image is read.

    ``val_size`` of 0 trains on all. Raises UserError if the images cannot be read, or a part would
    lack a class.
    """
    everything = load_split(spec, data_dir, "train")
    train_indices, val_indices = split_indices(everything.targets, val_size, seed)
    train, val = everything.select(train_indices), everything.select(val_indices)
    return TrainingData(train, val, describe(everything, train, val))


def split_indices(targets: np.ndarray, val_size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices (int64) to train on and to validate on, stratified by class.

    Raises UserError if a part would lack a class.
    """
    indices = np.arange(len(targets))
    counts = np.bincount(targets)
    present = int((counts > 0).sum())
    if val_size == 0:
        return indices, indices[:0]
    if counts[counts > 0].min() < 2:
        raise UserError(
            f"class {np.flatnonzero(counts == 1)[0]} has a single image, which cannot be both "
            "trained and validated on: add images, or give --val-size 0"
        )
    if not present <= val_size <= len(targets) - present:
        raise UserError(
            f"--val-size is {val_size}, but must be 0, or between {present} and "
            f"{len(targets) - present} so that each part has an image of each class"
        )
    train, val = train_test_split(indices, test_size=val_size, stratify=targets, random_state=seed)
    return train, val


def describe(
    everything: LabelledImages, train: LabelledImages, val: LabelledImages
) -> dict[str, Any]:
    """Return what to know about a data set before training, as JSON values.

    Mean and standard deviation are those of the pixels in [0, 1]. ``samples`` holds the first image
    of each class, up to ``MAX_SAMPLES`` of them, and the mean of all of its images, as
    ``common.data.pixels`` encodes them.
    """
    dataset = everything.dataset
    mean, std = pixel_moments(everything.images)
    num_classes = len(dataset.classes)
    samples = []
    for label in np.unique(everything.targets)[:MAX_SAMPLES].tolist():
        indices = np.flatnonzero(everything.targets == label)
        first = int(indices[0])
        mean_image = np.rint(everything.images[indices].mean(axis=0)).astype(np.uint8)
        shown = {
            "pixels": encode_pixels(everything.images[first]),
            "mean_pixels": encode_pixels(mean_image),
        }
        samples.append({"class": label, "index": first, **shown})
    return {
        "key": dataset.key,
        "name": dataset.title,
        "images": everything.name,
        "classes": list(dataset.classes),
        "noun": dataset.noun,
        "image_shape": [1, *everything.images.shape[1:]],
        "train_size": len(train),
        "val_size": len(val),
        "class_counts": {
            "train": np.bincount(train.targets, minlength=num_classes).tolist(),
            "val": np.bincount(val.targets, minlength=num_classes).tolist(),
        },
        "pixel_mean": mean,
        "pixel_std": std,
        "normalization": list(dataset.normalization),
        "samples": samples,
    }
