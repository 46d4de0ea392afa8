"""The training images, split into those to train on and those to validate on."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split

from common.data.arrays import LabelledImages, load_split
from common.data.catalog import DatasetSpec
from common.data.summary import describe
from common.support.errors import UserError


class TrainingData(NamedTuple):
    """The training images in two parts, and what ``describe`` says of them."""

    train: LabelledImages
    val: LabelledImages
    summary: dict[str, Any]


def load_training_data(spec: DatasetSpec, data_dir: Path, val_size: int, seed: int) -> TrainingData:
    """Read the training images and split them, stratified by class. No test image is read.

    Parameters
    ----------
    spec : DatasetSpec
    data_dir : Path
        As for ``load_split``.
    val_size : int
        Images to validate on; 0 trains on all.
    seed : int
        Decides which images those are.

    Raises UserError if the images cannot be read, or ``val_size`` leaves a part without an image of
    each class.
    """
    everything = load_split(spec, data_dir, "train")
    train_indices, val_indices = split_indices(everything.targets, val_size, seed)
    train, val = everything.select(train_indices), everything.select(val_indices)
    return TrainingData(train, val, describe(everything, train, val))


def split_indices(targets: np.ndarray, val_size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices (int64) of a stratified, seeded split: to train on, to validate on.

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
